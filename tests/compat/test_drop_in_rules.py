"""Under the name `replicate`, calls follow the rules of 1.0.7; `replicate_rs` keeps its own."""

import textwrap

from support import programs

# A fixture.
run = programs.run


def test_what_1_0_7_swallows_is_ignored_with_a_warning(run):
    code = """
    from io import BytesIO

    replicate_run = sys.modules["replicate_rs.run"].run
    version = replicate.models.get("acme/shout").latest_version
    inputs, words = {"text": "hi"}, {"text": "a b"}


    async def first(events):
        return [event async for event in await events]


    calls = {
        "run": lambda: replicate.run("acme/shout", input=inputs, shout=1, louder=2) == "HI",
        "async_run": lambda: (
            asyncio.run(replicate.async_run("acme/shout", inputs, shout=1, louder=2)) == "HI"
        ),
        "module run": lambda: (
            replicate_run(replicate.default_client, "acme/shout", inputs, shout=1, louder=2) == "HI"
        ),
        "stream": lambda: (
            len([*replicate.stream("acme/tokens", input=words, shout=1, louder=2)]) == 3
        ),
        "async_stream": lambda: (
            len(asyncio.run(first(replicate.async_stream("acme/tokens", words, shout=1, louder=2))))
            == 3
        ),
        "create": lambda: (
            replicate.predictions.create(version=version, input=inputs, shout=1, louder=2).id
        ),
        "of a model": lambda: (
            replicate.models.predictions.create("acme/shout", inputs, shout=1, louder=2).id
        ),
        "upload": lambda: replicate.files.create(BytesIO(b"x"), shout=1, louder=2).id,
        "get": lambda: replicate.models.get(key="acme/shout", shout=1, louder=2).name,
    }
    for name, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert call(), name
        (warning,) = [each for each in caught if "ignores" in str(each.message)]
        assert "shout=, louder=" in str(warning.message), name
        if "async" not in name:
            assert warning.filename == "<string>", (name, warning.filename)
    for options in ({"follow_redirects": True}, {"http2": True, "trust_env": False}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = Client(**options)
        assert (
            all(f"{name}=" in str(caught[0].message) for name in options)
            and caught[0].filename == "<string>"
        )
        assert client.run("acme/shout", inputs) == "HI"
    # What 1.0.7 refuses is refused, and `replicate_rs` refuses all of them.
    for call in (
        lambda: replicate.predictions.get("x", shout=1),
        lambda: replicate.models.list(shout=1),
        lambda: ours.run("acme/shout", inputs, shout=1),
        lambda: ours.predictions.create(version=version, input=inputs, shout=1),
        lambda: replicate_rs.run("acme/shout", inputs, shout=1),
        lambda: replicate_rs.Replicate(follow_redirects=True),
        lambda: ours.models.get("acme/shout", shout=1),
    ):
        assert type(raised(call)) is TypeError
    """
    assert run(code) == ""


def test_all_that_1_0_7_is_lenient_with_is_listed():
    import importlib
    import inspect

    from test_surfaces import OFFICIAL, function_of

    from replicate_rs.drop_in import adapter

    lenient = set()
    for path, value in OFFICIAL.items():
        function = function_of(value)
        if function is not None and any(
            each.kind is each.VAR_KEYWORD
            for each in inspect.signature(function).parameters.values()
        ):
            lenient.add(".".join(path.split(".")[-2:]).replace("async_", ""))
    # These pass their keywords to strict functions, or do nothing.
    strict = {"Deployments.create", "Deployments.update", "Models.create", "Model.predict"}
    of_the_client = {
        place
        for name in ("run", "stream")
        for place in (f"Client.{name}", f"{name}.{name}", f"replicate.{name}")
    }
    for module, kind, method in adapter._LENIENT:
        importlib.import_module(f"replicate_rs.{module}")
        function = adapter._function(module, kind, method)
        assert adapter._get_known(function), (kind, method)
    listed = {f"{kind}.{method}" for _, kind, method in adapter._LENIENT if kind != "BaseClient"}
    assert listed == lenient - strict - of_the_client


def test_a_token_of_one_call_is_honoured(run):
    code = """
    client = Client("r8_wrong")
    token = sys.argv[1]
    version = replicate.models.get("acme/shout").latest_version
    inputs = {"text": "hi"}
    assert raised(lambda: client.run("acme/shout", inputs)).status == 401
    assert client.run("acme/shout", inputs, api_token=token) == "HI"
    assert asyncio.run(client.async_run("acme/shout", inputs, api_token=token)) == "HI"
    assert len([*client.stream("acme/tokens", input=inputs, api_token=token)]) == 2
    prediction = client.predictions.create(version, inputs, api_token=token)
    prediction.wait()
    assert prediction.output == "HI"
    assert client.models.predictions.create("acme/shout", inputs, api_token=token).id
    assert asyncio.run(
        client.models.predictions.async_create("acme/shout", inputs, api_token=token)
    ).id
    assert raised(lambda: client.predictions.get(prediction.id)).status == 401
    assert raised(lambda: replicate.run("acme/shout", inputs, api_token="r8_wrong")).status == 401
    assert client.run("acme/shout", inputs, api_token=token, wait=False) == "HI"
    secret = "".join(["r8_not", "_to_be_shown"])
    for call in (
        lambda: client.run("acme/shout", inputs, api_token=5),
        lambda: Client(secret, timeout="x"),
    ):
        error = raised(call)
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename != "<string>":
                assert secret not in repr(frame.tb_frame.f_locals), frame.tb_frame
            frame = frame.tb_next
    error = raised(lambda: ours.run("acme/shout", inputs, api_token="r8_secret_of_mine"))
    assert (
        type(error) is TypeError
        and "with_options(api_token=" in str(error)
        and "of_mine" not in str(error)
    )
    """
    assert run("import sys\n" + textwrap.dedent(code), "r8_secret") == ""


def test_a_failed_model_is_no_replicate_error_under_that_name(run):
    code = """
    import replicate.stream, replicate.prediction

    for call in (
        lambda: replicate.run("acme/fail", input={}),
        lambda: asyncio.run(replicate.async_run("acme/fail", input={})),
        lambda: [*replicate.stream("acme/fail", input={})],
    ):
        error = raised(call)
        assert isinstance(error, ModelError) and not isinstance(error, ReplicateError)
        assert isinstance(error, replicate_rs.ReplicateError) and isinstance(
            error, replicate_rs.ModelError
        )
    assert isinstance(raised(lambda: ours.run("acme/fail", input={})), replicate_rs.ReplicateError)
    missing = raised(lambda: replicate.predictions.get("none"))
    assert (
        isinstance(missing, ReplicateError)
        and isinstance(missing, replicate_rs.NotFoundError)
        and missing.status == 404
    )
    assert ReplicateError is replicate.ReplicateError is replicate.client.ReplicateError
    assert ReplicateError is sys.modules["replicate.stream"].ReplicateError
    assert (
        replicate_rs.ReplicateError is replicate_rs.exceptions.ReplicateError is not ReplicateError
    )
    assert not issubclass(ModelError, ReplicateError) and issubclass(
        replicate_rs.ModelError, replicate_rs.ReplicateError
    )
    # All errors except those of a model.
    for name in replicate_rs.exceptions.__all__:
        kind = getattr(replicate_rs.exceptions, name)
        assert getattr(replicate.exceptions, name) is kind or name == "ReplicateError", name
        if name not in ("ReplicateException", "ReplicateError", "ModelError", "PredictionCanceled"):
            assert issubclass(kind, ReplicateError), name
    error = ReplicateError(title="t", status=404)
    assert isinstance(error, replicate.exceptions.ReplicateException)
    assert pickle.loads(pickle.dumps(error)).to_dict() == error.to_dict()
    """
    assert run(code) == ""


def test_what_is_a_generator_in_1_0_7_is_one(run):
    code = """
    import inspect
    from replicate.stream import stream as stream_of, async_stream as async_stream_of


    def tokens(items):
        return [str(each) for each in items]


    text = {"text": "a b"}
    for call in (
        lambda: replicate.stream("acme/tokens", input=text),
        lambda: replicate.default_client.stream("acme/tokens", input=text),
        lambda: stream_of(replicate.default_client, "acme/tokens", text),
        lambda: replicate.models.predictions.create("acme/tokens", text).stream(),
    ):
        events = call()
        assert isinstance(events, types.GeneratorType) and inspect.isgenerator(events)
        assert tokens(events) == ["a ", "b ", ""] and [*events] == []
    iterator = replicate.models.predictions.create("acme/tokens", text).output_iterator()
    assert isinstance(iterator, types.GeneratorType) and "".join(iterator) in ("a b ", "b ", "")
    assert isinstance(replicate.paginate(replicate.models.list), types.GeneratorType)


    async def main():
        prediction = await replicate.models.predictions.async_create("acme/tokens", text)
        for events in (
            await replicate.async_stream("acme/tokens", input=text),
            await replicate.default_client.async_stream("acme/tokens", input=text),
            async_stream_of(replicate.default_client, "acme/tokens", text),
            prediction.async_stream(),
        ):
            assert isinstance(events, types.AsyncGeneratorType) and inspect.isasyncgen(events)
            assert [str(event) async for event in events] == ["a ", "b ", ""]
        assert isinstance(prediction.async_output_iterator(), types.AsyncGeneratorType)
        assert isinstance(
            replicate.async_paginate(replicate.models.async_list), types.AsyncGeneratorType
        )
        # It works without `await` too, as in `replicate_rs`.
        assert [
            str(event) async for event in replicate.async_stream("acme/tokens", input=text)
        ] == ["a ", "b ", ""]


    asyncio.run(main())
    with ours.stream("acme/tokens", input=text) as events:
        assert events.collect() == "a b " and events.prediction.id
    assert replicate.default_client.text_stream("acme/tokens", text).collect() == "a b "
    """
    assert run(code) == ""


def test_a_generator_that_is_closed_early_cancels_its_prediction(run):
    code = """
    import time

    def ended():
        newest = replicate.predictions.list().results[0]
        newest.wait()
        return newest.status

    text = {"text": "word " * 200, "pause": 0.05}
    events = replicate.stream("acme/tokens", input=text)
    next(events)
    events.close()
    assert ended() == "canceled"
    for event in replicate.stream("acme/tokens", input=text):
        break
    del event
    assert ended() == "canceled"

    async def leave():
        events = await replicate.async_stream("acme/tokens", input=text)
        await anext(events)
        await events.aclose()

    asyncio.run(leave())
    assert ended() == "canceled"
    assert len([*replicate.stream("acme/tokens", input={"text": "a b"})]) == 3
    assert ended() == "succeeded"
    # A generator that was never read has created no prediction.
    before = replicate.predictions.list().results[0].id
    replicate.stream("acme/tokens", input={"text": "a b"}).close()
    assert replicate.predictions.list().results[0].id == before
    """
    assert run(code) == ""


def test_a_list_is_an_iterator_too(run):
    code = """
    import copy, json

    text = {"text": "a b c"}
    output = replicate.run("acme/tokens", text)
    assert (
        isinstance(output, list)
        and output == ["a ", "b ", "c "]
        and len(output) == 3
        and output[1] == "b "
    )
    assert json.dumps(output) == '["a ", "b ", "c "]' and "".join(output) == "a b c " == "".join(
        output
    )
    assert (
        next(output) == "a "
        and next(output) == "b "
        and [*output] == ["c "]
        and next(output, None) is None
    )
    assert len(output) == 3 and type(pickle.loads(pickle.dumps(output))) is list is type(
        copy.copy(output)
    )
    assert pickle.loads(pickle.dumps(output)) == ["a ", "b ", "c "] == copy.deepcopy(output)


    async def main():
        pieces = [each for each in await replicate.async_run("acme/tokens", text)]
        again = [each async for each in await replicate.async_run("acme/tokens", text)]
        assert pieces == again == ["a ", "b ", "c "]
        output = await replicate.async_run("acme/tokens", text)
        assert await anext(output) == "a " and [each async for each in output] == ["b ", "c "]


    asyncio.run(main())
    files = replicate.run("acme/copies", {"files": [b"x"], "one": b"y"})["files"]
    assert type(files) is list and len(files) == 1
    assert (
        type(ours.run("acme/tokens", text)) is list and replicate.run("acme/shout", text) == "A B C"
    )
    """
    assert run(code) == ""


def test_each_name_has_its_own_settings_and_client(run):
    code = """
    assert (
        isinstance(replicate.default_client, Client)
        and type(replicate_rs.default_client) is replicate_rs.Replicate
    )
    assert isinstance(replicate.default_client, replicate_rs.Replicate)
    assert replicate.default_client is not replicate_rs.default_client
    replicate.bearer_token = "r8_wrong"
    assert raised(lambda: replicate.run("acme/shout", {"text": "x"})).status == 401
    shout = replicate.use("acme/shout")
    assert raised(lambda: shout(text="x")).status == 401
    assert replicate_rs.run("acme/shout", {"text": "x"}) == "X"
    replicate.bearer_token = None
    assert replicate.run("acme/shout", {"text": "x"}) == "X" and shout(text="y") == "Y"
    assert replicate.Client is replicate.Replicate is Client and replicate_rs.Client is not Client
    client = pickle.loads(pickle.dumps(Client()))
    assert type(client) is Client and client.run("acme/tokens", {"text": "x"}).__next__() == "x "
    assert pickle.loads(pickle.dumps(shout))(text="z") == "Z"
    changed = Client("r8_wrong").with_options(api_token="r8_secret")
    assert type(changed) is Client and next(changed.run("acme/tokens", {"text": "x"})) == "x "
    """
    assert run(code) == ""


def test_a_run_is_held_for_as_long_as_the_api_allows(run):
    code = """
    import httpx, json

    seen = []


    def handle(request):
        seen.append(request)
        body = {"id": "p1", "status": "processing", "output": ["a"], "input": {}}
        return httpx.Response(201, json=body)


    replicate.default_client = Client(
        "r8", base_url="https://api.test", transport=httpx.MockTransport(handle)
    )
    for options, header in (
        ({}, "wait"),
        ({"wait": True}, "wait"),
        ({"wait": 10}, "wait=10"),
        ({"wait": 90}, "wait=60"),
        ({"timeout": 30}, "wait=29"),
    ):
        seen.clear()
        assert replicate.run("a/b", **options) == ["a"], options
        assert [request.headers.get("prefer") for request in seen] == [header], options
    """
    assert run(code) == ""


def test_the_name_that_ref_had_in_early_versions(run):
    code = """
    inputs, words = {"text": "hi"}, {"text": "a b"}


    async def main():
        text = await replicate.async_run(model_version="acme/shout", input=inputs)
        return text, [
            str(event)
            async for event in await replicate.async_stream(
                model_version="acme/tokens", input=words
            )
        ]


    print(replicate.run(model_version="acme/shout", input=inputs), asyncio.run(main()))
    print([str(event) for event in replicate.stream(model_version="acme/tokens", input=words)])
    print(type(raised(lambda: ours.run(model_version="acme/shout", input=inputs))).__name__)
    """
    assert run(code).splitlines() == [
        "HI ('HI', ['a ', 'b ', ''])",
        "['a ', 'b ', '']",
        "TypeError",
    ]
