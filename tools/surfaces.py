"""Names of the official clients that differ here or are missing: the data of docs/migration.md.

`tools/migration.py` writes the page. `tests/compat/same_names.py` has the names that are the same;
`tests/compat/test_surfaces.py` looks up all of them.

A place is an expression that begins with a module of this package, with ``client`` (a `Replicate`)
or with ``async_client``. ``(name=, …)`` after a callable are parameters that it takes. ``import x``
is a module.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """A public name of another client."""

    there: str
    here: str = ""
    """The place in this package; empty if there is none."""
    note: str = ""
    """What differs, or why the name is missing and what to use instead."""


def here_too(prefix: str, names: str, note: str) -> list[Name]:
    """Return names of 1.0.7 that are in the module of the same name here, with one difference."""
    there = [f"{prefix}.{name}" for name in names.split()]
    return [Name(each, each.replace("replicate", "replicate_rs", 1), note) for each in there]


def missing(prefix: str, names: str, note: str) -> list[Name]:
    """Return names that are missing here for one reason."""
    return [Name(f"{prefix}.{name}", note=note) for name in names.split()]


LISTS = (
    "A model that yields its output returns a complete list, where 1.0.7 returns an iterator; for"
    " increments: `stream`. Under the name `replicate` the list is an iterator too"
)
DROP_IN = "under the name `replicate` it exists"
CANCELED = "A canceled prediction raises `PredictionCanceled` (a `ModelError`)"
LEFT = (
    "Ctrl-C, a timeout or a cancelled task cancels the prediction, which the other client leaves"
    " running; `cancel_on_exit=False` does the same"
)
POLLED = (
    "A prediction that is answered `processing` without output is polled until it ends, where the"
    " other client takes it for done"
)
HELD = (
    "The create request waits for at most 3 s, then the prediction is polled; under the name"
    " `replicate` it waits for up to 60 s, as in 1.0.7"
)
STREAM_ERRORS = "an error event raises `ModelError`, where 1.0.7 raises RuntimeError"
PARAMETERS = "the method has these parameters itself; under the name `replicate` the types exist"
NO_HTTPX = (
    "the Rust core sends requests. Retries: `max_retries=`; a function around every request:"
    f" `fetch=`; {DROP_IN}"
)
NO_DECODER = (
    "the Rust core decodes events: `client.stream`, `prediction.stream`; of your own bytes:"
    f" `replicate_rs.stream.EventDecoder`; {DROP_IN}"
)
PYDANTIC = (
    "not a pydantic model: it has pydantic's methods, such as `dict(exclude=)`, `json(indent=)`,"
    " `copy(deep=)`, `parse_raw()`, `schema()`, without validation. `copy()` is deep by default."
    " Unknown fields are kept"
)

V1: list[Name] = [
    *here_too("replicate", "run async_run stream async_stream", "see `Client`"),
    *here_too(
        "replicate",
        "__about__.__version__",
        "this package's version; under the name `replicate` it is `1.0.7`",
    ),
    *here_too(
        "replicate.client",
        "Client",
        "reads the token at each request. Arguments that 1.0.7 passes to httpx (`transport=`,"
        " `event_hooks=`, `follow_redirects=`, …) raise TypeError, except `headers=`, `proxy=`,"
        " `verify=` and `cert=`; under the name `replicate`, `transport=` works and the others are"
        " ignored. A GET that is answered 500 is repeated",
    ),
    *here_too(
        "replicate.client", "Client.run", f"{LISTS}. {CANCELED}; 1.0.7 returns None. {LEFT}. {HELD}"
    ),
    *here_too("replicate.client", "Client.async_run", f"As `run`. {POLLED}"),
    *here_too(
        "replicate.client",
        "Client.stream",
        f"{STREAM_ERRORS}; a canceled prediction raises `PredictionCanceled` after its `done`; a"
        " stream that breaks off is resumed. It is a generator only under the name `replicate`",
    ),
    *here_too(
        "replicate.client",
        "Client.async_stream",
        "as `stream`; it works with and without `await`",
    ),
    *missing(
        "replicate.client",
        "RetryTransport RetryTransport.RETRYABLE_METHODS RetryTransport.RETRYABLE_STATUS_CODES"
        " RetryTransport.MAX_BACKOFF_WAIT RetryTransport.handle_request"
        " RetryTransport.handle_async_request RetryTransport.aclose RetryTransport.close",
        NO_HTTPX,
    ),
    *here_too("replicate.collection", "Collection.models", "an empty list, where 1.0.7 has None"),
    *missing(
        "replicate.deployment",
        "Deployments.CreateDeploymentParams Deployments.UpdateDeploymentParams",
        PARAMETERS,
    ),
    *here_too(
        "replicate.exceptions",
        "ReplicateException",
        "includes network errors (`APIConnectionError`, `APITimeoutError`), where 1.0.7 raises"
        " those of httpx; under the name `replicate` they are both",
    ),
    *here_too(
        "replicate.exceptions",
        "ReplicateError",
        "has a subclass for each status, `request_id` and `retry_after`; its text is one line. It"
        " includes `ModelError`, except under the name `replicate`",
    ),
    *here_too(
        "replicate.exceptions",
        "ModelError",
        "a subclass of `ReplicateError`, except under the name `replicate`: catch it first",
    ),
    Name(
        "replicate.file.FileEncodingStrategy",
        "replicate_rs.types.FileEncodingStrategy",
        "has more values; `base64` and `url` work",
    ),
    *here_too(
        "replicate.file",
        "Files.create",
        "leaves the position of an open file unchanged; sends pipes too, once",
    ),
    *here_too("replicate.file", "Files.async_create", "as `create`"),
    *here_too(
        "replicate.file", "Files.list", "a `Page`, which iterates and has a length, as a list has"
    ),
    *here_too("replicate.file", "Files.async_list", "as `list`"),
    *missing("replicate.file", "Files.CreateFileParams", PARAMETERS),
    *here_too(
        "replicate.helpers",
        "encode_json",
        "sends a file as a data URI if the server fails to store it, except with `url`; leaves the"
        " positions of files unchanged",
    ),
    *here_too("replicate.helpers", "async_encode_json", "as `encode_json`"),
    *here_too(
        "replicate.helpers", "base64_encode_file", "leaves the position of the file unchanged"
    ),
    *here_too(
        "replicate.helpers",
        "FileOutput",
        "not an httpx byte stream. The token is not sent to the file's host, and redirects are"
        " followed",
    ),
    *here_too("replicate.helpers", "transform_output", "keeps text that only begins like a URL"),
    *here_too(
        "replicate.identifier",
        "ModelVersionIdentifier.parse",
        "refuses white space, `.` and `..` as names",
    ),
    *here_too("replicate.model", "Model.username", "read-only"),
    *missing(
        "replicate.model",
        "Models.model",
        f"the class `replicate_rs.model.Model` under another name; {DROP_IN}",
    ),
    *missing("replicate.model", "Models.CreateModelParams", PARAMETERS),
    *here_too("replicate.prediction", "Prediction.status", "can be `aborted` too"),
    *here_too("replicate.prediction", "Prediction.stream", STREAM_ERRORS),
    *here_too("replicate.prediction", "Prediction.async_stream", "as `stream`"),
    *missing(
        "replicate.prediction",
        "Predictions.CreatePredictionParams CreatePredictionRequestParams",
        f"a dictionary of options: `replicate_rs.types.PredictionOptions`; {DROP_IN}",
    ),
    *here_too("replicate.resource", "Resource", PYDANTIC),
    *here_too("replicate.resource", "Namespace", "created by a client, not by programs"),
    *here_too("replicate.run", "run async_run", "see `Client`"),
    *here_too("replicate.schema", "make_schema_backwards_compatible", "returns a changed copy"),
    *here_too("replicate.stream", "ServerSentEvent", "not a pydantic model"),
    *here_too(
        "replicate.stream",
        "ServerSentEvent.EventType",
        'a subclass of str with `name` and `value`, so that `event == "output"` works; not an Enum',
    ),
    *missing("replicate.stream", "EventSource", NO_DECODER),
    Name(
        "replicate.stream.EventSource.Decoder",
        "replicate_rs.stream.EventDecoder",
        "decodes bytes, in pieces of any size",
    ),
    *missing(
        "replicate.stream",
        "EventSource.Decoder.decode",
        "`EventDecoder.feed` takes bytes and returns a list of events",
    ),
    *here_too("replicate.stream", "stream async_stream", "see `Client`"),
    *here_too("replicate.training", "Training.destination", "read-only"),
    *missing(
        "replicate.training",
        "Trainings.CreateTrainingParams",
        f"a dictionary of options: `replicate_rs.types.TrainingOptions`; {DROP_IN}",
    ),
    *here_too(
        "replicate.version",
        "Version.created_at",
        "a string, as in the other resources; `created` is a `datetime`",
    ),
    Name(
        "replicate.version.Versions",
        "replicate_rs.version.VersionsOfModel",
        "the class of `model.versions`",
    ),
    Name(
        "replicate.version.Versions.delete",
        "replicate_rs.version.VersionsOfModel.delete",
        "returns True when the API has accepted the request",
    ),
    Name(
        "replicate.version.Versions.async_delete",
        "replicate_rs.version.VersionsOfModel.async_delete",
        "as `delete`",
    ),
    *here_too(
        "replicate.webhook",
        "Webhooks.validate",
        "stricter: only `v1` signatures, and a timestamp of digits. Accepts a body of bytes and the"
        " requests of any framework; every refusal is a `WebhookValidationError`",
    ),
]

RESPONSES = (
    "records and errors carry what is known of the response; for a whole response: `client.request`"
)
HTTPX = "the Rust core sends requests; a function around every request: `fetch=`"
UNSET = "leave the argument out, or pass None"
DELETED = "returns True"
DEFAULT_QUERY = "no two endpoints take the same query; for one call: `extra_query=`"
EVENTS = "yields events, as in 1.0.7; for pieces of output: `use(…, streaming=True)`"

V2: list[Name] = [
    # The package
    Name(
        "replicate.Replicate",
        "replicate_rs.Replicate",
        "a missing token is an error of the first request, not of the constructor",
    ),
    Name("replicate.AsyncReplicate", "replicate_rs.AsyncReplicate", "as `Replicate`"),
    Name(
        "replicate.Replicate(bearer_token=, base_url=, max_retries=, default_headers=)",
        "replicate_rs.Replicate(bearer_token=, base_url=, max_retries=, default_headers=)",
        "5 retries by default, and never of a request that may have created something; `/v1` is"
        " added to a base URL without it",
    ),
    Name(
        "replicate.Replicate(timeout=)",
        "replicate_rs.Replicate(timeout=)",
        "limits each part of each request; the `timeout=` of a call limits the whole call",
    ),
    Name("replicate.Replicate(default_query=)", note=DEFAULT_QUERY),
    Name("replicate.Replicate(http_client=)", note=HTTPX),
    Name("replicate.stream", "replicate_rs.stream", EVENTS),
    *[
        Name(
            f"replicate.{name} = …",
            f"replicate_rs.{name}",
            "an assigned value takes effect at the next request, also in functions imported by"
            " name",
        )
        for name in ["bearer_token", "base_url", "timeout", "max_retries", "default_headers"]
    ],
    Name("replicate.default_query = …", note=DEFAULT_QUERY),
    Name("replicate.http_client = …", note=HTTPX),
    Name("replicate.file_from_path", note="pass a `pathlib.Path`"),
    Name(
        "replicate.AsyncFileOutput",
        "replicate_rs.FileOutput",
        "one class for both clients; the files of an `AsyncReplicate` are awaited, and annotated as"
        " `FileOutput[Async]`",
    ),
    Name(
        "replicate.Model",
        "replicate_rs.Model",
        "the resource, which is also a reference: `Model(owner=…, name=…)`",
    ),
    Name(
        "replicate.Version",
        "replicate_rs.Version",
        "the resource, which is also a reference: `Version(id=…)`",
    ),
    Name(
        "replicate.BaseModel",
        "replicate_rs.resource.Resource",
        "not a pydantic model: it has `to_dict()`, `to_json()`, `model_dump()`, …, without"
        " validation. Dates are strings; `created`, `started` and `completed` are `datetime`s",
    ),
    Name(
        "replicate.Timeout",
        "replicate_rs.Timeout",
        "a class of this package, with `connect`, `read`, `write`, `pool`, `total` and `idle`",
    ),
    *missing("replicate", "Transport ProxiesTypes RequestOptions DEFAULT_CONNECTION_LIMITS", HTTPX),
    *missing("replicate", "DefaultHttpxClient DefaultAsyncHttpxClient DefaultAioHttpClient", HTTPX),
    *missing("replicate", "NOT_GIVEN not_given NotGiven Omit omit NoneType", UNSET),
    *missing(
        "replicate",
        "Stream AsyncStream",
        "no endpoint of 2.0 returns a stream; for the events of a prediction: `stream`",
    ),
    *missing("replicate", "APIResponse AsyncAPIResponse", RESPONSES),
    Name("replicate.DEFAULT_TIMEOUT", "replicate_rs.Timeout", "`Timeout()` has the defaults"),
    Name("replicate.DEFAULT_MAX_RETRIES", "replicate_rs.client.MAX_RETRIES", "5, not 2"),
    Name(
        "replicate.types",
        "import replicate_rs.types",
        "the types of signatures; the class of a resource is in the module of its name:"
        " `replicate_rs.prediction.Prediction`",
    ),
    *missing(
        "replicate",
        "resources",
        "the class of a namespace is in the module of its resource:"
        " `replicate_rs.prediction.Predictions`",
    ),
    # The client
    *missing("client", "with_raw_response with_streaming_response", RESPONSES),
    Name(
        "client.base_url",
        "client.base_url",
        "a string; an assigned value takes effect at the next request",
    ),
    *missing(
        "client",
        "qs auth_headers default_headers default_query timeout max_retries",
        "pass them to the client",
    ),
    *missing(
        "client",
        "user_agent platform_headers",
        "`user_agent=` replaces the header; the platform is not sent",
    ),
    Name(
        "client.copy(bearer_token=, base_url=, timeout=, max_retries=, default_headers=)",
        "client.copy(bearer_token=, base_url=, timeout=, max_retries=, default_headers=)",
        "headers replace those of the client. The copy shares the client's connections, unless an"
        " option such as `proxy=` or `verify=` changes how servers are reached",
    ),
    Name("client.with_options", "client.with_options", "as `copy`"),
    *missing("client", "copy(set_default_headers=)", "`copy(default_headers=)` replaces headers"),
    *missing("client", "copy(set_default_query=)", DEFAULT_QUERY),
    Name("client.is_closed", "client.is_closed", "a property, without parentheses"),
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
        "takes a path, as Node's does, and returns a `Response`",
    ),
    Name("client.get_api_list", "client.request", "`client.request(…).json()`"),
    Name(
        "client.run",
        "client.run(input=, file_encoding_strategy=, use_file_output=, wait=, prefer=, webhook=,"
        " cancel_after=)",
        f"{POLLED}. {LEFT}",
    ),
    Name("client.stream", "client.stream", EVENTS),
    # Resources
    Name(
        "client.deployments.delete(deployment_owner=, deployment_name=)",
        "client.deployments.delete(deployment_owner=, deployment_name=)",
        DELETED,
    ),
    Name(
        "client.deployments.predictions.create(deployment_owner=, deployment_name=, input=,"
        " stream=, webhook=, webhook_events_filter=, cancel_after=, prefer=)",
        "client.deployments.predictions.create(deployment_owner=, deployment_name=, input=,"
        " stream=, webhook=, webhook_events_filter=, cancel_after=, prefer=)",
        "uploads files in the input",
    ),
    Name("client.files.delete(file_id=)", "client.files.delete(file_id=)", DELETED),
    Name(
        "client.files.download(file_id=, owner=, expiry=, signature=)",
        "client.files.download(file_id=, owner=, expiry=, signature=)",
        "returns the bytes",
    ),
    Name(
        "client.models.delete(model_owner=, model_name=)",
        "client.models.delete(model_owner=, model_name=)",
        DELETED,
    ),
    Name(
        "client.models.search(body=)",
        "client.models.search(body=)",
        "sends the text itself; 2.0 sends it in quotes",
    ),
    Name(
        "client.models.versions.delete(model_owner=, model_name=, version_id=)",
        "client.models.versions.delete(model_owner=, model_name=, version_id=)",
        DELETED,
    ),
    # Pages
    Name(
        "for item in page",
        "replicate_rs.Page.auto",
        "`for` iterates over the items of this page, as in 1.0.7; `page.auto()`, and `async for`,"
        " continue with the next pages",
    ),
    Name("page.next_page_info", "replicate_rs.Page.next", "`page.next`"),
    Name("page.iter_pages", "client.paginate", "`client.paginate(client.predictions.list)`"),
    # Records
    Name("prediction.to_dict", "replicate_rs.Prediction.to_dict", "without options"),
    Name("prediction.to_json", "replicate_rs.Prediction.to_json", "without options"),
    # Errors
    Name("replicate.APIError", "replicate_rs.APIError", "`body` has the raw bytes"),
    Name(
        "APIStatusError.response",
        "replicate_rs.APIStatusError.headers",
        "the error itself has `status`, `headers` and `body`",
    ),
    Name(
        "APIError.request",
        "replicate_rs.APIError.url",
        "the error itself has `method` and `url`",
    ),
]

NODE: list[Name] = [
    Name(
        "new Replicate({auth, userAgent, baseUrl})",
        "replicate_rs.Replicate(auth=, user_agent=, base_url=)",
        "`/v1` is added to a base URL without it",
    ),
    Name(
        "new Replicate({fetch})",
        "replicate_rs.Replicate(fetch=)",
        "a function `fetch(request, send)` around every request",
    ),
    Name(
        "new Replicate({fileEncodingStrategy, useFileOutput})",
        "replicate_rs.Replicate(file_encoding_strategy=, use_file_output=)",
        "the constructor raises an error for an unknown strategy",
    ),
    Name(
        "replicate.run(ref, {input})",
        "client.run(ref=, input=)",
        f"{CANCELED}; Node's returns null. {POLLED}. {LEFT}",
    ),
    Name(
        "replicate.run(…, {wait: {mode, interval, timeout}})",
        "client.run(wait=)",
        "a dict with the same keys, in seconds instead of milliseconds",
    ),
    Name(
        "replicate.run(…, {signal})",
        "client.run(signal=)",
        "an `AbortSignal` of this package, which an `AbortController` has",
    ),
    Name(
        "replicate.stream(ref, {input, webhook, webhook_events_filter, signal, useFileOutput})",
        "client.stream(ref=, input=, webhook=, webhook_events_filter=, signal=, use_file_output=)",
        CANCELED,
    ),
    Name(
        "replicate.request(route, {method, params, headers, data, signal})",
        "client.request(route=, method=, params=, headers=, data=, signal=)",
        "reads the whole response, and sends the token only to the API's own host; instead of"
        " `FormData`, pass a dict with files as values",
    ),
    Name(
        "replicate.paginate(endpoint, {signal})",
        "client.paginate(list_method=, signal=)",
        "yields pages, which iterate over their items; an aborted signal raises `AbortError`",
    ),
    Name(
        "replicate.wait(prediction, {interval}, stop)",
        "client.wait(prediction=, interval=)",
        "in seconds; instead of `stop`: `signal=`, `timeout=`, or `break` out of"
        f" `prediction.output_iterator()`. {CANCELED}",
    ),
    *[
        Name(f"replicate.{name}.list", f"client.{name}.list(signal=)", "returns a `Page`")
        for name in ["collections", "deployments", "files", "models", "predictions", "trainings"]
    ],
    Name(
        "replicate.models.versions.list(owner, name)",
        "client.models.versions.list(owner=, name=, signal=)",
        "returns a `Page`",
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
        "replicate.deployments.predictions.create(owner, name, {input, …})",
        "client.deployments.predictions.create(deployment=, input=, wait=, webhook=,"
        " webhook_events_filter=, stream=, signal=)",
        '`create("owner/name", input)`',
    ),
    Name(
        "replicate.files.create(file, metadata)",
        "client.files.create(file=, metadata=, signal=)",
        "`create(file, metadata=…)`",
    ),
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
        "replicate.predictions.create({model, version, input, wait, webhook, webhook_events_filter,"
        " stream, signal})",
        "client.predictions.create(model=, version=, input=, wait=, webhook=,"
        " webhook_events_filter=, stream=, signal=)",
        "pass either `model` or `version`",
    ),
    Name(
        "replicate.trainings.create(owner, name, version_id, options)",
        "client.trainings.create(destination=, input=, webhook=, webhook_events_filter=, signal=)",
        "`create(owner, name, version_id, **options)`; uploads files in the input",
    ),
    Name(
        "replicate.webhooks.default.secret.get",
        "client.webhooks.default.secret.get(signal=)",
        "`cached=True` fetches it once",
    ),
    Name(
        "validateWebhook(request, secret)",
        "replicate_rs.validate_webhook(request=, secret=, tolerance=)",
        "refuses webhooks older than 300 s (`tolerance=`), and signatures other than `v1`. For a"
        " request with an awaited body: `avalidate_webhook`",
    ),
    Name(
        "ApiError",
        "replicate_rs.APIStatusError",
        "the error itself has `status`, `headers`, `body`, `method` and `url`",
    ),
    Name("FileOutput", "replicate_rs.FileOutput", "fetches the file when it is first read"),
    Name("FileOutput.blob", "replicate_rs.FileOutput.read", "returns bytes"),
    Name("FileOutput.url", "replicate_rs.FileOutput.url", "a string, without parentheses"),
]
