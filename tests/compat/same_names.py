"""Names of the official clients that are the same here, which docs/migration.md leaves out.

`tools/surfaces.py` has the others: what differs, and what is not here.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from surfaces import Name

# Modules of 1.0.7 that can be imported under the same name.
MODULES = """
__about__ account client collection deployment exceptions file hardware helpers identifier model
pagination prediction resource run schema stream training version webhook
"""

# Names of 1.0.7, by the module that has them here too.
V1_NAMES = {
    "replicate": """
        Client default_client paginate async_paginate collections deployments files hardware models
        predictions trainings webhooks
    """,
    "replicate.account": """
        Account Account.type Account.username Account.name Account.github_url Accounts
        Accounts.current Accounts.async_current
    """,
    "replicate.client": """
        Client.accounts Client.collections Client.deployments Client.files Client.hardware
        Client.models Client.predictions Client.trainings Client.webhooks
    """,
    "replicate.collection": """
        Collection Collection.slug Collection.name Collection.description Collection.id Collections
        Collections.list Collections.async_list Collections.get Collections.async_get
    """,
    "replicate.deployment": """
        Deployment.owner Deployment.name Deployment.current_release Deployment.Release Deployment
        Deployment.Release.number Deployment.Release.model Deployment.Release.version
        Deployment.Release.created_at Deployment.Release.created_by Deployment.Release.configuration
        Deployment.Release.Configuration Deployment.Release.Configuration.hardware
        Deployment.Release.Configuration.min_instances
        Deployment.Release.Configuration.max_instances Deployment.username Deployment.id
        Deployment.predictions Deployments Deployments.list Deployments.async_list Deployments.get
        Deployments.async_get Deployments.create Deployments.async_create Deployments.update
        Deployments.async_update Deployments.delete Deployments.async_delete Deployments.predictions
        DeploymentPredictions DeploymentPredictions.create DeploymentPredictions.async_create
        DeploymentsPredictions DeploymentsPredictions.create DeploymentsPredictions.async_create
    """,
    "replicate.exceptions": """
        ReplicateError.to_dict ReplicateError.from_response
    """,
    "replicate.file": """
        File File.id File.name File.content_type File.size File.etag File.checksums File.metadata
        File.created_at File.expires_at File.urls Files Files.get Files.async_get Files.delete
        Files.async_delete
    """,
    "replicate.hardware": """
        Hardware Hardware.sku Hardware.name Hardware.id HardwareNamespace HardwareNamespace.list
        HardwareNamespace.async_list
    """,
    "replicate.helpers": """
        FileOutput.read FileOutput.aread
    """,
    "replicate.identifier": """
        ModelVersionIdentifier ModelVersionIdentifier.owner ModelVersionIdentifier.name
        ModelVersionIdentifier.version
    """,
    "replicate.model": """
        Model Model.url Model.owner Model.name Model.description Model.visibility Model.github_url
        Model.paper_url Model.license_url Model.run_count Model.cover_image_url
        Model.default_example Model.latest_version Model.id Model.predict Model.versions
        Model.reload Models Models.predictions Models.list Models.async_list Models.search
        Models.async_search Models.get Models.async_get Models.delete Models.async_delete
        Models.create Models.async_create ModelsPredictions ModelsPredictions.create
        ModelsPredictions.async_create
    """,
    "replicate.pagination": """
        Page Page.previous Page.next Page.results paginate async_paginate
    """,
    "replicate.prediction": """
        Prediction Prediction.id Prediction.model Prediction.version Prediction.input
        Prediction.output Prediction.logs Prediction.error Prediction.metrics Prediction.created_at
        Prediction.started_at Prediction.completed_at Prediction.urls Prediction.Progress
        Prediction.Progress.parse Prediction.progress Prediction.wait Prediction.async_wait
        Prediction.cancel Prediction.async_cancel Prediction.reload Prediction.async_reload
        Prediction.output_iterator Prediction.async_output_iterator Predictions Predictions.list
        Predictions.async_list Predictions.get Predictions.async_get Predictions.create
        Predictions.async_create Predictions.cancel Predictions.async_cancel
    """,
    "replicate.schema": """
        version_has_no_array_type
    """,
    "replicate.stream": """
        ServerSentEvent.event ServerSentEvent.data ServerSentEvent.id ServerSentEvent.retry
        ServerSentEvent.EventType.OUTPUT ServerSentEvent.EventType.LOGS
        ServerSentEvent.EventType.ERROR ServerSentEvent.EventType.DONE
    """,
    "replicate.training": """
        Training Training.id Training.model Training.version Training.status Training.input
        Training.output Training.logs Training.error Training.created_at Training.started_at
        Training.completed_at Training.urls Training.cancel Training.async_cancel Training.reload
        Training.async_reload Trainings Trainings.list Trainings.async_list Trainings.get
        Trainings.async_get Trainings.create Trainings.async_create Trainings.cancel
        Trainings.async_cancel
    """,
    "replicate.version": """
        Version Version.id Version.cog_version Version.openapi_schema
    """,
    "replicate.webhook": """
        WebhookSigningSecret WebhookSigningSecret.key WebhookValidationError
        MissingWebhookHeaderError InvalidSecretKeyError MissingWebhookBodyError
        InvalidTimestampError InvalidSignatureError Webhooks Webhooks.default Webhooks.Default
        Webhooks.Default.secret Webhooks.Default.async_secret
    """,
}

V1 = [
    *(Name(f"import replicate.{name}", f"import replicate_rs.{name}") for name in MODULES.split()),
    *(
        Name(f"{module}.{name}", f"{module}.{name}".replace("replicate", "replicate_rs", 1))
        for module, names in V1_NAMES.items()
        for name in names.split()
    ),
    Name("replicate.version.Versions.get", "replicate_rs.version.VersionsOfModel.get"),
    Name("replicate.version.Versions.async_get", "replicate_rs.version.VersionsOfModel.async_get"),
    Name("replicate.version.Versions.list", "replicate_rs.version.VersionsOfModel.list"),
    Name(
        "replicate.version.Versions.async_list", "replicate_rs.version.VersionsOfModel.async_list"
    ),
]

# Names of 2.0 that are written the same here.
V2_CALLS = [
    "client.account",
    "client.collections",
    "client.deployments",
    "client.files",
    "client.hardware",
    "client.models",
    "client.predictions",
    "client.trainings",
    "client.webhooks",
    "client.poll_interval",
    "client.bearer_token",
    "client.close",
    "client.run(extra_headers=, extra_query=, extra_body=, timeout=)",
    "async_client.run",
    "client.use",
    "client.account.get",
    "client.collections.list",
    "client.collections.get(collection_slug=)",
    "client.deployments.create(hardware=, max_instances=, min_instances=, model=, name=, version=)",
    (
        "client.deployments.update(deployment_owner=, deployment_name=, hardware=, "
        "max_instances=, min_instances=, version=)"
    ),
    "client.deployments.list",
    "client.deployments.get(deployment_owner=, deployment_name=)",
    "client.files.create(content=, filename=, metadata=, type=)",
    "client.files.list",
    "client.files.get(file_id=)",
    "client.hardware.list",
    (
        "client.models.create(hardware=, name=, owner=, visibility=, cover_image_url=, "
        "description=, github_url=, license_url=, paper_url=)"
    ),
    (
        "client.models.update(model_owner=, model_name=, description=, github_url=, license_url=,"
        " paper_url=, readme=, weights_url=)"
    ),
    "client.models.list(sort_by=, sort_direction=)",
    "client.models.get(model_owner=, model_name=)",
    "client.models.examples.list(model_owner=, model_name=)",
    "client.models.readme.get(model_owner=, model_name=)",
    "client.models.versions.list(model_owner=, model_name=)",
    "client.models.versions.get(model_owner=, model_name=, version_id=)",
    (
        "client.models.predictions.create(model_owner=, model_name=, input=, "
        "file_encoding_strategy=, stream=, webhook=, webhook_events_filter=, cancel_after=, "
        "prefer=)"
    ),
    (
        "client.predictions.create(input=, version=, stream=, webhook=, webhook_events_filter=, "
        "cancel_after=, prefer=, file_encoding_strategy=)"
    ),
    "client.predictions.list(created_after=, created_before=)",
    "client.predictions.get(prediction_id=)",
    "client.predictions.cancel(prediction_id=)",
    "client.predictions.wait(prediction_id=)",
    (
        "client.trainings.create(model_owner=, model_name=, version_id=, destination=, input=, "
        "webhook=, webhook_events_filter=)"
    ),
    "client.trainings.list",
    "client.trainings.get(training_id=)",
    "client.trainings.cancel(training_id=)",
    "client.webhooks.default.secret.get",
    "client.search(query=, limit=)",
]

# Names of 2.0 that the package has too.
V2_NAMES = """
Client AsyncClient run use account collections deployments files hardware models predictions
trainings webhooks get_path_url FileOutput ModelVersionIdentifier ReplicateError APIStatusError
BadRequestError AuthenticationError PermissionDeniedError NotFoundError ConflictError
UnprocessableEntityError RateLimitError InternalServerError APIConnectionError APITimeoutError
APIResponseValidationError exceptions.ModelError
"""

V2 = [
    *(Name(call, call) for call in V2_CALLS),
    *(Name(f"replicate.{name}", f"replicate_rs.{name}") for name in V2_NAMES.split()),
    Name("with client", "client.__enter__"),
    Name("async with async_client", "async_client.__aenter__"),
    Name("Function()", "replicate_rs.use.Function.__call__"),
    Name("Function.create", "replicate_rs.use.Function.create"),
    Name("Function.openapi_schema", "replicate_rs.use.Function.openapi_schema"),
    Name("Function.default_example", "replicate_rs.use.Function.default_example"),
    Name("Run.output", "replicate_rs.use.Run.output"),
    Name("Run.logs", "replicate_rs.use.Run.logs"),
    Name(
        "extra_headers=, extra_query=, extra_body=, timeout=",
        "client.predictions.list(extra_headers=, extra_query=, extra_body=, timeout=)",
    ),
    Name("page.results", "replicate_rs.Page.results"),
    Name("page.next", "replicate_rs.Page.next"),
    Name("page.has_next_page", "replicate_rs.Page.has_next_page"),
    Name("page.get_next_page", "replicate_rs.Page.get_next_page"),
    Name("APIStatusError.status_code", "replicate_rs.APIStatusError.status_code"),
    Name("APIStatusError.message", "replicate_rs.APIStatusError.message"),
]

NODE = [
    Name(
        "replicate.run(…, {webhook, webhook_events_filter})",
        "client.run(webhook=, webhook_events_filter=)",
    ),
    Name("replicate.run(…, progress)", "client.run(progress=)"),
    Name("replicate.accounts.current", "client.accounts.current(signal=)"),
    Name("replicate.collections.get", "client.collections.get(signal=)"),
    Name(
        "replicate.deployments.get(owner, name)", "client.deployments.get(owner=, name=, signal=)"
    ),
    Name(
        "replicate.deployments.delete(owner, name)",
        "client.deployments.delete(owner=, name=, signal=)",
    ),
    Name("replicate.files.get", "client.files.get(signal=)"),
    Name("replicate.files.delete", "client.files.delete(signal=)"),
    Name("replicate.hardware.list", "client.hardware.list(signal=)"),
    Name("replicate.models.get(owner, name)", "client.models.get(owner=, name=, signal=)"),
    Name(
        "replicate.models.versions.get(owner, name, id)",
        "client.models.versions.get(owner=, name=, version_id=, signal=)",
    ),
    Name("replicate.predictions.get(id)", "client.predictions.get(id=, signal=)"),
    Name("replicate.predictions.cancel(id)", "client.predictions.cancel(id=, signal=)"),
    Name("replicate.trainings.get(id)", "client.trainings.get(id=, signal=)"),
    Name("replicate.trainings.cancel(id)", "client.trainings.cancel(id=, signal=)"),
    Name(
        "validateWebhook({id, timestamp, signature, body, secret})",
        "replicate_rs.validate_webhook(id=, timestamp=, signature=, body=, secret=)",
    ),
    Name("parseProgressFromLogs", "replicate_rs.parse_progress_from_logs"),
    Name("FileOutput.toString", "replicate_rs.FileOutput.__str__"),
    Name("ServerSentEvent", "replicate_rs.ServerSentEvent"),
    Name("Page", "replicate_rs.Page"),
    Name("Account", "replicate_rs.Account"),
    Name("Collection", "replicate_rs.Collection"),
    Name("Hardware", "replicate_rs.Hardware"),
    Name("Model", "replicate_rs.Model"),
    Name("Prediction", "replicate_rs.Prediction"),
    Name("Training", "replicate_rs.Training"),
    Name("Deployment", "replicate_rs.deployment.Deployment"),
    Name("FileObject", "replicate_rs.File"),
    Name("ModelVersion", "replicate_rs.Version"),
    Name("WebhookSecret", "replicate_rs.WebhookSigningSecret"),
    Name("Status", "replicate_rs.types.Status"),
    Name("Visibility", "replicate_rs.types.Visibility"),
    Name("WebhookEventType", "replicate_rs.types.WebhookEvent"),
    Name("FileEncodingStrategy", "replicate_rs.types.FileEncodingStrategy"),
]
