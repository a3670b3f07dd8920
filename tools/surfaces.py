"""What the three official clients offer, and where it is here: the data behind `docs/migration.md`.

`tools/migration.py` writes the page; `tests/compat/test_surfaces.py` looks up every name of it, on both
sides.

A place is an expression: it begins with a module of this package, with ``client`` (a `Replicate`)
or with ``async_client``. After a callable, ``(name=, …)`` are parameters that it takes. ``import
x`` is a module.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """A public name of another client."""

    there: str
    here: str = ""
    """The place in this package; empty if there is none."""
    note: str = ""
    """What differs, or why it is not here and what to use instead."""

    @property
    def status(self) -> str:
        """``same``, ``differs`` or ``not here``."""
        return "not here" if not self.here else "differs" if self.note else "same"


def same(prefix: str, names: str) -> list[Name]:
    """Give names of 1.0.7 that are in the module of the same name here."""
    there = [f"{prefix}.{name}" for name in names.split()]
    return [Name(each, each.replace("replicate", "replicate_rs", 1)) for each in there]


def as_is(place: str) -> Name:
    """Give a name that is written the same here."""
    return Name(place, place)


def rooms(names: str) -> list[Name]:
    """Give modules of 1.0.7 that can be imported under the same name here."""
    return [
        Name(f"import replicate.{name}", f"import replicate_rs.{name}") for name in names.split()
    ]


def absent(prefix: str, names: str, note: str) -> list[Name]:
    """Give names that are not here, for one reason."""
    return [Name(f"{prefix}.{name}", note=note) for name in names.split()]


LISTS = (
    "a model whose output grows gives a list here, complete; 1.0.7 gives an iterator over it, and"
    " under the name `replicate` the list is one too. Increments: `stream`"
)
UNDER_THE_NAME = "under the name `replicate` it is there all the same"
CANCELED = (
    "a canceled prediction raises `PredictionCanceled` (a `ModelError`), where 1.0.7 gives None"
)
POLLED = (
    "a create that is answered `processing` without output is polled, where it counts as done there"
)
HELD = (
    "the create is held for 3 s at most, and then polled; under the name `replicate` for up to 60"
    " s, as there"
)
NODE_CANCELED = "raises `PredictionCanceled` if the prediction is canceled; Node's does not"
REPEATED = "a GET that is answered 500 is repeated"
PARAMETERS = f"the method has them as parameters of its own; {UNDER_THE_NAME}"
NO_HTTPX = (
    "HTTP is done by the Rust core. Retries: `max_retries=`; around every request: `fetch=`;"
    f" {UNDER_THE_NAME}"
)
NO_DECODER = (
    f"events are decoded by the Rust core: `client.stream`, `prediction.stream`; {UNDER_THE_NAME}"
)

V1: list[Name] = [
    # What the package itself has
    *same("replicate", "Client default_client paginate async_paginate"),
    Name("replicate.run", "replicate_rs.run", "as `Client.run`"),
    Name("replicate.async_run", "replicate_rs.async_run", "as `Client.async_run`"),
    Name("replicate.stream", "replicate_rs.stream", "as `Client.stream`"),
    Name("replicate.async_stream", "replicate_rs.async_stream", "as `Client.async_stream`"),
    *same(
        "replicate", "collections deployments files hardware models predictions trainings webhooks"
    ),
    *rooms("__about__"),
    Name(
        "replicate.__about__.__version__",
        "replicate_rs.__about__.__version__",
        "this package's version; under the name `replicate` it is `1.0.7`",
    ),
    # account
    *rooms("account"),
    *same(
        "replicate.account", "Account Account.type Account.username Account.name Account.github_url"
    ),
    *same("replicate.account", "Accounts Accounts.current Accounts.async_current"),
    # client
    *rooms("client"),
    Name(
        "replicate.client.Client",
        "replicate_rs.client.Client",
        "the token is read at each request, not once. What 1.0.7 hands on to httpx (`transport=`,"
        " `event_hooks=`, `follow_redirects=`, …) is a TypeError, but for `headers=`, `proxy=`,"
        " `verify=` and `cert=`; under the name `replicate` `transport=` is used, and the rest"
        f" ignored. Around every request: `fetch=`; {REPEATED}",
    ),
    *same(
        "replicate.client.Client",
        "accounts collections deployments files hardware models predictions trainings webhooks",
    ),
    Name(
        "replicate.client.Client.run",
        "replicate_rs.client.Client.run",
        f"{LISTS}; {CANCELED}; {HELD}",
    ),
    Name(
        "replicate.client.Client.async_run",
        "replicate_rs.client.Client.async_run",
        f"{LISTS}; {CANCELED}; {POLLED}; {HELD}",
    ),
    Name(
        "replicate.client.Client.stream",
        "replicate_rs.client.Client.stream",
        "an error event raises `ModelError`, where 1.0.7 raises RuntimeError; a canceled prediction"
        " raises `PredictionCanceled` after its `done`; a stream that breaks off is resumed; a"
        " generator under the name `replicate` only",
    ),
    Name(
        "replicate.client.Client.async_stream",
        "replicate_rs.client.Client.async_stream",
        "the `await` before it is not needed, and does no harm; errors as for `stream`",
    ),
    Name("replicate.client.RetryTransport", note=NO_HTTPX),
    *absent(
        "replicate.client.RetryTransport",
        "RETRYABLE_METHODS RETRYABLE_STATUS_CODES MAX_BACKOFF_WAIT",
        NO_HTTPX,
    ),
    *absent(
        "replicate.client.RetryTransport",
        "handle_request handle_async_request aclose close",
        NO_HTTPX,
    ),
    # collection
    *rooms("collection"),
    *same(
        "replicate.collection", "Collection Collection.slug Collection.name Collection.description"
    ),
    Name(
        "replicate.collection.Collection.models",
        "replicate_rs.collection.Collection.models",
        "an empty list where 1.0.7 has None",
    ),
    *same("replicate.collection", "Collection.id Collections"),
    *same("replicate.collection.Collections", "list async_list get async_get"),
    # deployment
    *rooms("deployment"),
    *same("replicate.deployment.Deployment", "owner name current_release Release"),
    *same("replicate.deployment", "Deployment"),
    *same(
        "replicate.deployment.Deployment.Release",
        "number model version created_at created_by configuration Configuration",
    ),
    *same(
        "replicate.deployment.Deployment.Release.Configuration",
        "hardware min_instances max_instances",
    ),
    *same("replicate.deployment.Deployment", "username id predictions"),
    *same("replicate.deployment", "Deployments"),
    *same(
        "replicate.deployment.Deployments",
        "list async_list get async_get create async_create update async_update",
    ),
    *same("replicate.deployment.Deployments", "delete async_delete predictions"),
    *absent(
        "replicate.deployment.Deployments",
        "CreateDeploymentParams UpdateDeploymentParams",
        PARAMETERS,
    ),
    *same("replicate.deployment", "DeploymentPredictions"),
    *same(
        "replicate.deployment", "DeploymentPredictions.create DeploymentPredictions.async_create"
    ),
    *same("replicate.deployment", "DeploymentsPredictions"),
    *same(
        "replicate.deployment", "DeploymentsPredictions.create DeploymentsPredictions.async_create"
    ),
    # exceptions
    *rooms("exceptions"),
    Name(
        "replicate.exceptions.ReplicateException",
        "replicate_rs.exceptions.ReplicateException",
        "errors of the network are in the tree too (`APIConnectionError`, `APITimeoutError`), where"
        " 1.0.7 lets httpx's through; under the name `replicate` they are both",
    ),
    Name(
        "replicate.exceptions.ReplicateError",
        "replicate_rs.exceptions.ReplicateError",
        "has a class for each status, and `request_id` and `retry_after`; as text it is one line;"
        " includes `ModelError`, but not under the name `replicate`",
    ),
    *same("replicate.exceptions", "ReplicateError.to_dict"),
    *same("replicate.exceptions", "ReplicateError.from_response"),
    Name(
        "replicate.exceptions.ModelError",
        "replicate_rs.exceptions.ModelError",
        "is a `ReplicateError` in `replicate_rs`: catch it before that one; not under the name"
        " `replicate`",
    ),
    # file
    *rooms("file"),
    Name(
        "replicate.file.FileEncodingStrategy",
        "replicate_rs.types.FileEncodingStrategy",
        "has more values; `base64` and `url` are good here",
    ),
    *same("replicate.file", "File"),
    *same(
        "replicate.file.File",
        "id name content_type size etag checksums metadata created_at expires_at urls",
    ),
    *same("replicate.file", "Files Files.get Files.async_get"),
    Name(
        "replicate.file.Files.create",
        "replicate_rs.file.Files.create",
        "an open file is sent whole, from its beginning, as in 1.0.7, and its position is left as"
        " it was; pipes are taken, once",
    ),
    Name(
        "replicate.file.Files.async_create", "replicate_rs.file.Files.async_create", "as `create`"
    ),
    Name(
        "replicate.file.Files.list",
        "replicate_rs.file.Files.list",
        "a `Page`: it iterates and has a length as a list has",
    ),
    Name("replicate.file.Files.async_list", "replicate_rs.file.Files.async_list", "a `Page`"),
    *same("replicate.file", "Files.delete Files.async_delete"),
    *absent("replicate.file.Files", "CreateFileParams", PARAMETERS),
    # hardware
    *rooms("hardware"),
    *same("replicate.hardware", "Hardware Hardware.sku Hardware.name Hardware.id"),
    *same(
        "replicate.hardware",
        "HardwareNamespace HardwareNamespace.list HardwareNamespace.async_list",
    ),
    # helpers
    *rooms("helpers"),
    Name(
        "replicate.helpers.encode_json",
        "replicate_rs.helpers.encode_json",
        "falls back to a data URI if the upload fails on the server's side, unless told `url`;"
        " files stay where they stood",
    ),
    Name(
        "replicate.helpers.async_encode_json",
        "replicate_rs.helpers.async_encode_json",
        "as `encode_json`",
    ),
    Name(
        "replicate.helpers.base64_encode_file",
        "replicate_rs.helpers.base64_encode_file",
        "the file's position is left as it was",
    ),
    Name(
        "replicate.helpers.FileOutput",
        "replicate_rs.helpers.FileOutput",
        "not a byte stream of httpx; the token does not go to the file's host, redirects are"
        " followed",
    ),
    *same("replicate.helpers", "FileOutput.read FileOutput.aread"),
    Name(
        "replicate.helpers.transform_output",
        "replicate_rs.helpers.transform_output",
        "text that only begins like a URL stays",
    ),
    # identifier
    *rooms("identifier"),
    *same("replicate.identifier", "ModelVersionIdentifier"),
    *same("replicate.identifier.ModelVersionIdentifier", "owner name version"),
    Name(
        "replicate.identifier.ModelVersionIdentifier.parse",
        "replicate_rs.identifier.ModelVersionIdentifier.parse",
        "white space, `.` and `..` are no names",
    ),
    # model
    *rooms("model"),
    *same(
        "replicate.model",
        "Model Model.url Model.owner Model.name Model.description Model.visibility"
        " Model.github_url",
    ),
    *same(
        "replicate.model.Model",
        "paper_url license_url run_count cover_image_url default_example latest_version id",
    ),
    Name("replicate.model.Model.username", "replicate_rs.model.Model.username", "read-only"),
    *same("replicate.model.Model", "predict versions reload"),
    *same(
        "replicate.model",
        "Models Models.predictions Models.list Models.async_list Models.search Models.async_search",
    ),
    *same("replicate.model.Models", "get async_get delete async_delete create async_create"),
    *absent(
        "replicate.model.Models",
        "model",
        f"the class `Model` under another name: `replicate_rs.model.Model`; {UNDER_THE_NAME}",
    ),
    *absent("replicate.model.Models", "CreateModelParams", PARAMETERS),
    *same(
        "replicate.model",
        "ModelsPredictions ModelsPredictions.create ModelsPredictions.async_create",
    ),
    # pagination
    *rooms("pagination"),
    *same("replicate.pagination", "Page Page.previous Page.next Page.results"),
    *same("replicate.pagination", "paginate async_paginate"),
    # prediction
    *rooms("prediction"),
    *same("replicate.prediction", "Prediction"),
    *same("replicate.prediction.Prediction", "id model version"),
    Name(
        "replicate.prediction.Prediction.status",
        "replicate_rs.prediction.Prediction.status",
        "may be `aborted` too",
    ),
    *same(
        "replicate.prediction.Prediction",
        "input output logs error metrics created_at started_at completed_at urls",
    ),
    *same("replicate.prediction.Prediction", "Progress Progress.parse progress wait async_wait"),
    Name(
        "replicate.prediction.Prediction.stream",
        "replicate_rs.prediction.Prediction.stream",
        "an error event raises `ModelError`, where 1.0.7 raises RuntimeError",
    ),
    Name(
        "replicate.prediction.Prediction.async_stream",
        "replicate_rs.prediction.Prediction.async_stream",
        "errors as for `stream`",
    ),
    *same(
        "replicate.prediction.Prediction",
        "cancel async_cancel reload async_reload output_iterator async_output_iterator",
    ),
    *same("replicate.prediction", "Predictions"),
    *same(
        "replicate.prediction.Predictions",
        "list async_list get async_get create async_create cancel async_cancel",
    ),
    *absent(
        "replicate.prediction",
        "Predictions.CreatePredictionParams CreatePredictionRequestParams",
        f"a dictionary of options: `replicate_rs.types.PredictionOptions`; {UNDER_THE_NAME}",
    ),
    # resource
    *rooms("resource"),
    Name(
        "replicate.resource.Resource",
        "replicate_rs.resource.Resource",
        "not a model of pydantic: its methods are here, such as `dict(exclude=)`, `json(indent=)`,"
        " `copy(deep=)`, `parse_raw()`, `schema()`, validation is not; `copy()` is deep if not"
        " told; fields that the API adds are kept",
    ),
    Name(
        "replicate.resource.Namespace",
        "replicate_rs.resource.Namespace",
        "made from a client's session, not by you",
    ),
    # run
    *rooms("run"),
    Name("replicate.run.run", "replicate_rs.run.run", "as `Client.run`"),
    Name("replicate.run.async_run", "replicate_rs.run.async_run", "as `Client.async_run`"),
    # schema
    *rooms("schema"),
    *same("replicate.schema", "version_has_no_array_type"),
    Name(
        "replicate.schema.make_schema_backwards_compatible",
        "replicate_rs.schema.make_schema_backwards_compatible",
        "gives a changed copy",
    ),
    # stream
    *rooms("stream"),
    Name(
        "replicate.stream.ServerSentEvent",
        "replicate_rs.stream.ServerSentEvent",
        "not a model of pydantic",
    ),
    *same("replicate.stream.ServerSentEvent", "event data id retry"),
    Name(
        "replicate.stream.ServerSentEvent.EventType",
        "replicate_rs.stream.ServerSentEvent.EventType",
        'a kind of text with `name` and `value`, so that `event == "output"` holds too; not an'
        " enumeration",
    ),
    *same("replicate.stream.ServerSentEvent.EventType", "OUTPUT LOGS ERROR DONE"),
    *absent("replicate.stream", "EventSource", NO_DECODER),
    Name(
        "replicate.stream.EventSource.Decoder",
        "replicate_rs.stream.EventDecoder",
        "takes bytes, cut wherever they may be",
    ),
    *absent(
        "replicate.stream",
        "EventSource.Decoder.decode",
        "`EventDecoder.feed` takes bytes, and gives a list of events",
    ),
    Name("replicate.stream.stream", "replicate_rs.stream.stream", "as `Client.stream`"),
    Name(
        "replicate.stream.async_stream",
        "replicate_rs.stream.async_stream",
        "as `Client.async_stream`",
    ),
    # training
    *rooms("training"),
    *same("replicate.training", "Training"),
    *same("replicate.training.Training", "id model version"),
    Name(
        "replicate.training.Training.destination",
        "replicate_rs.training.Training.destination",
        "read-only",
    ),
    *same(
        "replicate.training.Training",
        "status input output logs error created_at started_at completed_at urls",
    ),
    *same("replicate.training.Training", "cancel async_cancel reload async_reload"),
    *same("replicate.training", "Trainings"),
    *same(
        "replicate.training.Trainings",
        "list async_list get async_get create async_create cancel async_cancel",
    ),
    *absent(
        "replicate.training.Trainings",
        "CreateTrainingParams",
        f"a dictionary of options: `replicate_rs.types.TrainingOptions`; {UNDER_THE_NAME}",
    ),
    # version
    *rooms("version"),
    *same("replicate.version", "Version Version.id"),
    Name(
        "replicate.version.Version.created_at",
        "replicate_rs.version.Version.created_at",
        "text, as it is for the other resources; `created` is the `datetime`",
    ),
    *same("replicate.version.Version", "cog_version openapi_schema"),
    Name(
        "replicate.version.Versions",
        "replicate_rs.version.VersionsOfModel",
        "what `model.versions` is",
    ),
    Name("replicate.version.Versions.get", "replicate_rs.version.VersionsOfModel.get"),
    Name("replicate.version.Versions.async_get", "replicate_rs.version.VersionsOfModel.async_get"),
    Name("replicate.version.Versions.list", "replicate_rs.version.VersionsOfModel.list"),
    Name(
        "replicate.version.Versions.async_list", "replicate_rs.version.VersionsOfModel.async_list"
    ),
    Name(
        "replicate.version.Versions.delete",
        "replicate_rs.version.VersionsOfModel.delete",
        "True when the API has accepted it",
    ),
    Name(
        "replicate.version.Versions.async_delete",
        "replicate_rs.version.VersionsOfModel.async_delete",
        "as `delete`",
    ),
    # webhook
    *rooms("webhook"),
    *same("replicate.webhook", "WebhookSigningSecret WebhookSigningSecret.key"),
    *same(
        "replicate.webhook",
        "WebhookValidationError MissingWebhookHeaderError InvalidSecretKeyError",
    ),
    *same(
        "replicate.webhook", "MissingWebhookBodyError InvalidTimestampError InvalidSignatureError"
    ),
    *same("replicate.webhook", "Webhooks Webhooks.default Webhooks.Default"),
    *same("replicate.webhook", "Webhooks.Default.secret Webhooks.Default.async_secret"),
    Name(
        "replicate.webhook.Webhooks.validate",
        "replicate_rs.webhook.Webhooks.validate",
        "stricter: only `v1` signatures, and a timestamp of digits; a body of bytes is good, and"
        " requests of any framework; every refusal is a `WebhookValidationError`",
    ),
]

PARTS = (
    "what is known of an answer is on the records and errors themselves; the whole response:"
    " `client.request`"
)
HTTPX = "HTTP is done by the Rust core, not by httpx; around every request: `fetch=`"
UNSET = "leave the argument out, or pass None"

V2: list[Name] = [
    # The package
    Name(
        "replicate.Replicate",
        "replicate_rs.Replicate",
        "a missing token is an error of the first request, not of the client",
    ),
    Name("replicate.Client", "replicate_rs.Client"),
    Name("replicate.AsyncReplicate", "replicate_rs.AsyncReplicate", "as `Replicate`"),
    Name("replicate.AsyncClient", "replicate_rs.AsyncClient"),
    Name(
        "replicate.Replicate(bearer_token=, base_url=, max_retries=, default_headers=)",
        "replicate_rs.Replicate(bearer_token=, base_url=, max_retries=, default_headers=)",
        "5 retries if not told, and never of a request that may have started something; an address"
        " without `/v1` gets one, where 2.0 takes it as it is",
    ),
    Name(
        "replicate.Replicate(timeout=)",
        "replicate_rs.Replicate(timeout=)",
        "limits each part of each request; a call's own `timeout=` all of it",
    ),
    Name(
        "replicate.Replicate(default_query=)",
        note="no endpoint takes the same query as another; per call: `extra_query=`",
    ),
    Name("replicate.Replicate(http_client=)", note=HTTPX),
    Name("replicate.run", "replicate_rs.run"),
    Name(
        "replicate.stream",
        "replicate_rs.stream",
        "gives events, as in 1.0.7; pieces of output: `use(…, streaming=True)`",
    ),
    Name("replicate.use", "replicate_rs.use"),
    Name("replicate.account", "replicate_rs.account"),
    *[
        Name(f"replicate.{name}", f"replicate_rs.{name}")
        for name in [
            "collections",
            "deployments",
            "files",
            "hardware",
            "models",
            "predictions",
            "trainings",
            "webhooks",
        ]
    ],
    *[
        Name(
            f"replicate.{name} = …",
            f"replicate_rs.{name}",
            "one that is assigned counts from the next request on, also for functions imported by"
            " name",
        )
        for name in ["bearer_token", "base_url", "timeout", "max_retries", "default_headers"]
    ],
    Name("replicate.default_query = …", note="as for `Replicate(default_query=)`"),
    Name("replicate.http_client = …", note="as for `Replicate(http_client=)`"),
    Name("replicate.get_path_url", "replicate_rs.get_path_url"),
    Name("replicate.file_from_path", note="pass a `pathlib.Path`"),
    Name("replicate.FileOutput", "replicate_rs.FileOutput"),
    Name(
        "replicate.AsyncFileOutput",
        "replicate_rs.FileOutput",
        "one class for both: what an `AsyncReplicate` gives is awaited; in annotations"
        " `FileOutput[Async]`",
    ),
    Name(
        "replicate.Model",
        "replicate_rs.Model",
        "the resource, which is also good as a reference: `Model(owner=…, name=…)`",
    ),
    Name(
        "replicate.Version",
        "replicate_rs.Version",
        "the resource, which is also good as a reference: `Version(id=…)`",
    ),
    Name("replicate.ModelVersionIdentifier", "replicate_rs.ModelVersionIdentifier"),
    Name(
        "replicate.BaseModel",
        "replicate_rs.resource.Resource",
        "not a model of pydantic: its methods are here, such as `to_dict()`, `to_json()`,"
        " `model_dump()`, validation is not; dates are text, with `created`, `started`, `completed`"
        " beside them as `datetime`",
    ),
    Name(
        "replicate.Timeout",
        "replicate_rs.Timeout",
        "of this package, with `connect`, `read`, `pool`, `total`",
    ),
    *absent("replicate", "Transport ProxiesTypes RequestOptions DEFAULT_CONNECTION_LIMITS", HTTPX),
    *absent("replicate", "DefaultHttpxClient DefaultAsyncHttpxClient DefaultAioHttpClient", HTTPX),
    *absent("replicate", "NOT_GIVEN not_given NotGiven Omit omit NoneType", UNSET),
    *absent(
        "replicate",
        "Stream AsyncStream",
        "no endpoint of 2.0 answers with one; events of a prediction: `stream`",
    ),
    *absent("replicate", "APIResponse AsyncAPIResponse", PARTS),
    Name("replicate.DEFAULT_TIMEOUT", "replicate_rs.Timeout", "`Timeout()` has the defaults"),
    Name("replicate.DEFAULT_MAX_RETRIES", "replicate_rs.client.MAX_RETRIES", "5, not 2"),
    Name(
        "replicate.types",
        "import replicate_rs.types",
        "has what signatures name; each resource's class is in the module of its name:"
        " `replicate_rs.prediction.Prediction`",
    ),
    *absent(
        "replicate",
        "resources",
        "each namespace's class is in the room of its name: `replicate_rs.prediction.Predictions`",
    ),
    # The client
    *[
        as_is(f"client.{name}")
        for name in [
            "account",
            "collections",
            "deployments",
            "files",
            "hardware",
            "models",
            "predictions",
            "trainings",
            "webhooks",
        ]
    ],
    *absent("client", "with_raw_response with_streaming_response", PARTS),
    as_is("client.poll_interval"),
    as_is("client.bearer_token"),
    Name(
        "client.base_url",
        "client.base_url",
        "text; one that is assigned counts from the next request on",
    ),
    *absent(
        "client",
        "qs auth_headers default_headers default_query timeout max_retries",
        "given to the client, not read from it",
    ),
    *absent(
        "client",
        "user_agent platform_headers",
        "`user_agent=` replaces it; the platform is not told",
    ),
    Name(
        "client.copy(bearer_token=, base_url=, timeout=, max_retries=, default_headers=)",
        "client.copy(bearer_token=, base_url=, timeout=, max_retries=, default_headers=)",
        "headers replace those of the client, as `set_default_headers=` does in 2.0; the copy"
        " shares the client's connections, unless it reaches servers in another way (`proxy=`,"
        " `verify=`, …)",
    ),
    Name("client.with_options", "client.with_options", "as `copy`"),
    *absent("client", "copy(set_default_headers=)", "`copy(default_headers=)` replaces"),
    *absent("client", "copy(set_default_query=)", "as for `Replicate(default_query=)`"),
    as_is("client.close"),
    Name("client.is_closed", "client.is_closed", "a property: without parentheses"),
    Name("with client", "client.__enter__"),
    Name("async with async_client", "async_client.__aenter__"),
    *[
        Name(
            f"client.{name}",
            "client.request",
            f'`client.request("/…", method="{name.upper()}", params=…, data=…)`',
        )
        for name in ["get", "post", "put", "patch", "delete", "query"]
    ],
    Name(
        "client.request",
        "client.request(method=, params=, headers=, data=)",
        "takes a path, as Node's; gives a `Response`",
    ),
    Name("client.get_api_list", "client.request", "`client.request`, and its `json()`"),
    Name(
        "client.run",
        "client.run(input=, file_encoding_strategy=, use_file_output=, wait=, prefer=, webhook=,"
        " cancel_after=)",
        POLLED,
    ),
    as_is("client.run(extra_headers=, extra_query=, extra_body=, timeout=)"),
    as_is("async_client.run"),
    as_is("client.use"),
    Name(
        "client.stream",
        "client.stream",
        "gives events, as in 1.0.7; pieces of output: `use(…, streaming=True)`",
    ),
    # Functions
    Name("Function()", "replicate_rs.use.Function.__call__"),
    Name("Function.create", "replicate_rs.use.Function.create"),
    Name("Function.openapi_schema", "replicate_rs.use.Function.openapi_schema"),
    Name("Function.default_example", "replicate_rs.use.Function.default_example"),
    Name("Run.output", "replicate_rs.use.Run.output"),
    Name("Run.logs", "replicate_rs.use.Run.logs"),
    # Resources
    as_is("client.account.get"),
    as_is("client.collections.list"),
    as_is("client.collections.get(collection_slug=)"),
    as_is(
        "client.deployments.create(hardware=, max_instances=, min_instances=, model=, name=,"
        " version=)"
    ),
    as_is(
        "client.deployments.update(deployment_owner=, deployment_name=, hardware=, max_instances=,"
        " min_instances=, version=)"
    ),
    as_is("client.deployments.list"),
    as_is("client.deployments.get(deployment_owner=, deployment_name=)"),
    Name(
        "client.deployments.delete(deployment_owner=, deployment_name=)",
        "client.deployments.delete(deployment_owner=, deployment_name=)",
        "gives True",
    ),
    Name(
        "client.deployments.predictions.create(deployment_owner=, deployment_name=, input=,"
        " stream=, webhook=, webhook_events_filter=, cancel_after=, prefer=)",
        "client.deployments.predictions.create(deployment_owner=, deployment_name=, input=,"
        " stream=, webhook=, webhook_events_filter=, cancel_after=, prefer=)",
        "files in the input are uploaded, as everywhere",
    ),
    as_is("client.files.create(content=, filename=, metadata=, type=)"),
    as_is("client.files.list"),
    as_is("client.files.get(file_id=)"),
    Name("client.files.delete(file_id=)", "client.files.delete(file_id=)", "gives True"),
    Name(
        "client.files.download(file_id=, owner=, expiry=, signature=)",
        "client.files.download(file_id=, owner=, expiry=, signature=)",
        "gives the bytes",
    ),
    as_is("client.hardware.list"),
    as_is(
        "client.models.create(hardware=, name=, owner=, visibility=, cover_image_url=,"
        " description=, github_url=, license_url=, paper_url=)"
    ),
    as_is(
        "client.models.update(model_owner=, model_name=, description=, github_url=, license_url=,"
        " paper_url=, readme=, weights_url=)"
    ),
    as_is("client.models.list(sort_by=, sort_direction=)"),
    as_is("client.models.get(model_owner=, model_name=)"),
    Name(
        "client.models.delete(model_owner=, model_name=)",
        "client.models.delete(model_owner=, model_name=)",
        "gives True",
    ),
    Name(
        "client.models.search(body=)",
        "client.models.search(body=)",
        "sends the text itself; 2.0 sends it in quotes",
    ),
    as_is("client.models.examples.list(model_owner=, model_name=)"),
    as_is("client.models.readme.get(model_owner=, model_name=)"),
    as_is("client.models.versions.list(model_owner=, model_name=)"),
    as_is("client.models.versions.get(model_owner=, model_name=, version_id=)"),
    Name(
        "client.models.versions.delete(model_owner=, model_name=, version_id=)",
        "client.models.versions.delete(model_owner=, model_name=, version_id=)",
        "gives True",
    ),
    as_is(
        "client.models.predictions.create(model_owner=, model_name=, input=,"
        " file_encoding_strategy=, stream=, webhook=, webhook_events_filter=, cancel_after=,"
        " prefer=)"
    ),
    as_is(
        "client.predictions.create(input=, version=, stream=, webhook=, webhook_events_filter=,"
        " cancel_after=, prefer=, file_encoding_strategy=)"
    ),
    as_is("client.predictions.list(created_after=, created_before=)"),
    as_is("client.predictions.get(prediction_id=)"),
    as_is("client.predictions.cancel(prediction_id=)"),
    as_is("client.predictions.wait(prediction_id=)"),
    as_is(
        "client.trainings.create(model_owner=, model_name=, version_id=, destination=, input=,"
        " webhook=, webhook_events_filter=)"
    ),
    as_is("client.trainings.list"),
    as_is("client.trainings.get(training_id=)"),
    as_is("client.trainings.cancel(training_id=)"),
    as_is("client.webhooks.default.secret.get"),
    as_is("client.search(query=, limit=)"),
    Name(
        "extra_headers=, extra_query=, extra_body=, timeout=",
        "client.predictions.list(extra_headers=, extra_query=, extra_body=, timeout=)",
    ),
    # Pages
    Name("page.results", "replicate_rs.Page.results"),
    Name("page.next", "replicate_rs.Page.next"),
    Name(
        "for item in page",
        "replicate_rs.Page.auto",
        "`for` iterates over a page's own items, as in 1.0.7; `page.auto()`, and `async for` over a"
        " page, go on to all others",
    ),
    Name("page.has_next_page", "replicate_rs.Page.has_next_page"),
    Name("page.get_next_page", "replicate_rs.Page.get_next_page"),
    Name("page.next_page_info", "replicate_rs.Page.next", "`page.next`"),
    Name("page.iter_pages", "client.paginate", "`client.paginate(client.predictions.list)`"),
    # Records
    Name(
        "prediction.to_dict",
        "replicate_rs.Prediction.to_dict",
        "without options: what the API sent",
    ),
    Name(
        "prediction.to_json",
        "replicate_rs.Prediction.to_json",
        "without options: what the API sent",
    ),
    # Errors
    *[
        Name(f"replicate.{name}", f"replicate_rs.{name}")
        for name in [
            "ReplicateError",
            "APIStatusError",
            "BadRequestError",
            "AuthenticationError",
            "PermissionDeniedError",
            "NotFoundError",
            "ConflictError",
            "UnprocessableEntityError",
            "RateLimitError",
            "InternalServerError",
            "APIConnectionError",
            "APITimeoutError",
            "APIResponseValidationError",
        ]
    ],
    Name("replicate.APIError", "replicate_rs.APIError", "`body` is the raw answer"),
    Name("replicate.exceptions.ModelError", "replicate_rs.exceptions.ModelError"),
    Name("APIStatusError.status_code", "replicate_rs.APIStatusError.status_code"),
    Name("APIStatusError.message", "replicate_rs.APIStatusError.message"),
    Name(
        "APIStatusError.response",
        "replicate_rs.APIStatusError.headers",
        "`status`, `headers` and `body` are on the error itself",
    ),
    Name(
        "APIError.request",
        "replicate_rs.APIError.url",
        "`method` and `url` are on the error itself",
    ),
]

NODE: list[Name] = [
    Name(
        "new Replicate({auth, userAgent, baseUrl})",
        "replicate_rs.Replicate(auth=, user_agent=, base_url=)",
        "an address without `/v1` gets one; Node takes it as it is",
    ),
    Name(
        "new Replicate({fetch})",
        "replicate_rs.Replicate(fetch=)",
        "a function `fetch(request, send)` around every request",
    ),
    Name(
        "new Replicate({fileEncodingStrategy, useFileOutput})",
        "replicate_rs.Replicate(file_encoding_strategy=, use_file_output=)",
        "a wrong strategy is an error at once",
    ),
    Name(
        "replicate.run(ref, {input})",
        "client.run(ref=, input=)",
        f"{CANCELED.replace('1.0.7 gives None', 'Node gives null')}; {POLLED}",
    ),
    Name(
        "replicate.run(…, {wait: {mode, interval, timeout}})",
        "client.run(wait=)",
        "a dict of the same; seconds, not milliseconds",
    ),
    Name(
        "replicate.run(…, {webhook, webhook_events_filter})",
        "client.run(webhook=, webhook_events_filter=)",
    ),
    Name(
        "replicate.run(…, {signal})",
        "client.run(signal=)",
        "`AbortController` and `AbortSignal` are here",
    ),
    Name("replicate.run(…, progress)", "client.run(progress=)"),
    Name(
        "replicate.stream(ref, {input, webhook, webhook_events_filter, signal, useFileOutput})",
        "client.stream(ref=, input=, webhook=, webhook_events_filter=, signal=, use_file_output=)",
        NODE_CANCELED,
    ),
    Name(
        "replicate.request(route, {method, params, headers, data, signal})",
        "client.request(route=, method=, params=, headers=, data=, signal=)",
        "the response is read to its end; a token goes to the API's own host only; `FormData`: a"
        " dict with files as its values",
    ),
    Name(
        "replicate.paginate(endpoint, {signal})",
        "client.paginate(list_method=, signal=)",
        "gives pages, which iterate over their items; an aborted signal raises `AbortError`",
    ),
    Name(
        "replicate.wait(prediction, {interval}, stop)",
        "client.wait(prediction=, interval=)",
        "seconds; instead of `stop`: `signal=`, `timeout=`, or `break` out of"
        f" `prediction.output_iterator()`; {NODE_CANCELED}",
    ),
    Name("replicate.accounts.current", "client.accounts.current(signal=)"),
    Name("replicate.collections.list", "client.collections.list(signal=)", "a `Page`"),
    Name("replicate.collections.get", "client.collections.get(signal=)"),
    Name(
        "replicate.deployments.get(owner, name)", "client.deployments.get(owner=, name=, signal=)"
    ),
    Name(
        "replicate.deployments.create(config)",
        "client.deployments.create(signal=)",
        "`create(**config)`",
    ),
    Name(
        "replicate.deployments.update(owner, name, config)",
        "client.deployments.update(owner=, name=, model=, version=, hardware=, min_instances=,"
        " max_instances=, signal=)",
        "`update(owner, name, **config)`",
    ),
    Name(
        "replicate.deployments.delete(owner, name)",
        "client.deployments.delete(owner=, name=, signal=)",
    ),
    Name("replicate.deployments.list", "client.deployments.list(signal=)", "a `Page`"),
    Name(
        "replicate.deployments.predictions.create(owner, name, {input, …})",
        "client.deployments.predictions.create(deployment=, input=, wait=, webhook=,"
        " webhook_events_filter=, stream=, signal=)",
        '`create("owner/name", input)`',
    ),
    Name(
        "replicate.files.create(file, metadata)",
        "client.files.create(file=, metadata=, signal=)",
        "`metadata` by name",
    ),
    Name("replicate.files.list", "client.files.list(signal=)", "a `Page`"),
    Name("replicate.files.get", "client.files.get(signal=)"),
    Name("replicate.files.delete", "client.files.delete(signal=)"),
    Name("replicate.hardware.list", "client.hardware.list(signal=)"),
    Name("replicate.models.get(owner, name)", "client.models.get(owner=, name=, signal=)"),
    Name("replicate.models.list", "client.models.list(signal=)", "a `Page`"),
    Name(
        "replicate.models.create(owner, name, options)",
        "client.models.create(owner=, name=, signal=)",
        "`create(owner, name, **options)`",
    ),
    Name(
        "replicate.models.search(query)",
        "client.models.search(query=, signal=)",
        "sends the text itself; Node sends it in quotes",
    ),
    Name(
        "replicate.models.versions.list(owner, name)",
        "client.models.versions.list(owner=, name=, signal=)",
        "a `Page`",
    ),
    Name(
        "replicate.models.versions.get(owner, name, id)",
        "client.models.versions.get(owner=, name=, version_id=, signal=)",
    ),
    Name(
        "replicate.predictions.create({model, version, input, wait, webhook, webhook_events_filter,"
        " stream, signal})",
        "client.predictions.create(model=, version=, input=, wait=, webhook=,"
        " webhook_events_filter=, stream=, signal=)",
        "give `model` or `version`, not both",
    ),
    Name("replicate.predictions.get(id)", "client.predictions.get(id=, signal=)"),
    Name("replicate.predictions.cancel(id)", "client.predictions.cancel(id=, signal=)"),
    Name("replicate.predictions.list", "client.predictions.list(signal=)", "a `Page`"),
    Name(
        "replicate.trainings.create(owner, name, version_id, options)",
        "client.trainings.create(destination=, input=, webhook=, webhook_events_filter=, signal=)",
        "`create(owner, name, version_id, **options)`; files in the input are uploaded",
    ),
    Name("replicate.trainings.get(id)", "client.trainings.get(id=, signal=)"),
    Name("replicate.trainings.cancel(id)", "client.trainings.cancel(id=, signal=)"),
    Name("replicate.trainings.list", "client.trainings.list(signal=)", "a `Page`"),
    Name(
        "replicate.webhooks.default.secret.get",
        "client.webhooks.default.secret.get(signal=)",
        "`cached=True` fetches it once",
    ),
    Name(
        "validateWebhook(request, secret)",
        "replicate_rs.validate_webhook(request=, secret=, tolerance=)",
        "refuses webhooks older than 300 s (`tolerance=`), and signatures other than `v1`; requests"
        " whose body is awaited go to `avalidate_webhook`",
    ),
    Name(
        "validateWebhook({id, timestamp, signature, body, secret})",
        "replicate_rs.validate_webhook(id=, timestamp=, signature=, body=, secret=)",
    ),
    Name("parseProgressFromLogs", "replicate_rs.parse_progress_from_logs"),
    Name(
        "ApiError",
        "replicate_rs.APIStatusError",
        "`status`, `headers`, `body`, `method`, `url` are on the error itself",
    ),
    Name("FileOutput", "replicate_rs.FileOutput", "nothing is fetched before it is asked for"),
    Name("FileOutput.blob", "replicate_rs.FileOutput.read", "bytes"),
    Name("FileOutput.url", "replicate_rs.FileOutput.url", "text, without parentheses"),
    Name("FileOutput.toString", "replicate_rs.FileOutput.__str__"),
    Name("ServerSentEvent", "replicate_rs.ServerSentEvent"),
    Name("Page", "replicate_rs.Page"),
    *[
        Name(name, f"replicate_rs.{name}")
        for name in ["Account", "Collection", "Hardware", "Model", "Prediction", "Training"]
    ],
    Name("Deployment", "replicate_rs.deployment.Deployment"),
    Name("FileObject", "replicate_rs.File"),
    Name("ModelVersion", "replicate_rs.Version"),
    Name("WebhookSecret", "replicate_rs.WebhookSigningSecret"),
    Name("Status", "replicate_rs.types.Status"),
    Name("Visibility", "replicate_rs.types.Visibility"),
    Name("WebhookEventType", "replicate_rs.types.WebhookEvent"),
    Name("FileEncodingStrategy", "replicate_rs.types.FileEncodingStrategy"),
]
