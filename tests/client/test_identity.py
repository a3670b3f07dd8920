"""Whose a client, a record, a page or a file is: copies keep it, pickles leave out secrets, and no
other token replaces them.
"""

import copy
import dataclasses
import gc
import pickle
import subprocess
import sys
import textwrap
import weakref

import cloudpickle
import dill
import joblib
import pydantic
import pytest

import replicate_rs as replicate
from conftest import without_slowness
from replicate_rs import FileOutput, Prediction
from replicate_rs.exceptions import MissingTokenError
from support.wire import Wire, prediction, reply

TOKEN = "r8_of_its_own"
OTHER = "r8_of_the_environment"
GATEWAY = {"X-Gateway-Key": "gateway-secret"}


def answer(seen):
    listed = seen.method == "GET" and seen.path.endswith("predictions")
    return reply({"results": [prediction()], "next": None} if listed else prediction(output="x"))


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", OTHER)
    with Wire(answer) as wire:
        yield wire


def token_of(wire):
    return wire.seen[-1].headers.get("authorization")


def through(pickler):
    return lambda value: pickler.loads(pickler.dumps(value))


@dataclasses.dataclass
class Holder:
    client: object


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    client: object


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "in a list": lambda client: copy.deepcopy([{"a": client}])[0]["a"],
    "asdict": lambda client: dataclasses.asdict(Holder(client))["client"],
    "replace": lambda client: copy.deepcopy(dataclasses.replace(Holder(client))).client,
    "model_copy": lambda client: Model(client=client).model_copy(deep=True).client,
    "with_options": lambda client: client.with_options(),
    "twice": lambda client: copy.copy(copy.deepcopy(client)),
}
PICKLES = {"pickle": through(pickle), "cloudpickle": through(cloudpickle), "dill": through(dill)}
# dill 0.4.1 reads `co_lnotab` of functions that it stores by value, which 3.15 does not have.
DILL_STORES_CODE = sys.version_info < (3, 15)
OPTIONS = {
    "headers": GATEWAY,
    "user_agent": "mine",
    "timeout": replicate.Timeout(7),
    "max_retries": 1,
    "poll_interval": 3,
    "use_file_output": False,
    "file_encoding_strategy": "upload",
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_has_all_that_its_original_has(both, wire, way):
    client = both.kind(TOKEN, base_url=wire.base_url, **OPTIONS)
    client.poll_interval = 4
    twin = COPIES[way](client)
    assert type(twin) is both.kind
    both(lambda: twin.predictions.get("x"))
    seen = wire.seen[-1].headers
    assert (token_of(wire), seen["x-gateway-key"], seen["user-agent"]) == (
        f"Bearer {TOKEN}",
        "gateway-secret",
        "mine",
    )
    for name in [*OPTIONS, "poll_interval", "api_token", "base_url"]:
        assert getattr(twin, name) == getattr(client, name), name
    # Each is itself.
    twin.api_token = "r8_twin"
    both(lambda: client.predictions.get("x"))
    assert token_of(wire) == f"Bearer {TOKEN}"
    both(lambda: twin.predictions.get("x"))
    assert token_of(wire) == "Bearer r8_twin"


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_has_what_a_test_has_replaced(both, way):
    client = both.client("http://127.0.0.1:1")
    client.models.versions.get = lambda *_: "replaced"
    client.predictions.get = lambda id: id
    client.run = lambda ref: ref
    twin = COPIES[way](client)
    assert twin.run("a/b") == "a/b"
    if way != "with_options":
        assert (twin.predictions.get("x"), twin.models.versions.get("a/b", "c")) == (
            "x",
            "replaced",
        )


class Mine(replicate.Replicate):
    def __init__(self, tenant, base_url):
        super().__init__(TOKEN, base_url=base_url)
        self.tenant = [tenant]


def test_a_copy_of_a_client_of_another_class(wire):
    client = Mine("acme", wire.base_url)
    for twin in (copy.copy(client), copy.deepcopy(client), client.with_options(timeout=5)):
        assert (type(twin), twin.tenant, twin.api_token) == (Mine, ["acme"], TOKEN)
    assert copy.deepcopy(client).tenant is not client.tenant
    again = through(cloudpickle)(client)
    assert again.tenant == ["acme"]
    with pytest.raises(MissingTokenError):
        again.predictions.get("x")


@pytest.mark.parametrize("way", PICKLES)
@pytest.mark.parametrize("how", ["given", "assigned", "header"])
def test_a_token_that_was_given_is_not_replaced_by_another(both, wire, way, how):
    client = both.kind(
        base_url=wire.base_url, **(OPTIONS | ({"api_token": TOKEN} if how == "given" else {}))
    )
    if how == "assigned":
        client._api_token = TOKEN
    if how == "header":
        client.headers = {"Authorization": f"Bearer {TOKEN}"}
    record = both(lambda: client.predictions.get("x"))
    assert token_of(wire) == f"Bearer {TOKEN}"
    page = both(lambda: client.predictions.list())
    file = FileOutput(f"{wire.base_url}/files/x", client)
    wire.script = lambda _: reply({"results": [], "next": f"{wire.base_url}/predictions?cursor=2"})
    first = both(lambda: client.predictions.list())
    before = len(wire.seen)
    for made in (
        client,
        record,
        page,
        file,
        client.predictions,
        client.use("acme/x"),
        client.models.versions,
    ):
        stored = {"pickle": pickle, "cloudpickle": cloudpickle, "dill": dill}[way].dumps(made)
        assert TOKEN.encode() not in stored
        assert b"gateway-secret" not in stored
    again = PICKLES[way](client)
    assert type(again) is both.kind
    assert (again.poll_interval, again.max_retries, again.timeout) == (3, 1, replicate.Timeout(7))
    calls = [
        lambda: again.predictions.get("x"),
        lambda: PICKLES[way](again).predictions.get("x"),
        lambda: copy.deepcopy(again).predictions.get("x"),
        lambda: PICKLES[way](record).reload(),
        lambda: PICKLES[way](page)[0].reload(),
        lambda: PICKLES[way](file).read(),
        lambda: PICKLES[way](client.predictions).get("x"),
        lambda: PICKLES[way](client.use("acme/x"))(),
        lambda: PICKLES[way](first).get_next_page(),
        lambda: next(iter(PICKLES[way](first).auto())),
    ]
    for call in calls:
        with pytest.raises(MissingTokenError, match="unpickled"):
            both(call)
    assert len(wire.seen) == before
    wire.script = answer
    again.api_token = "r8_given_again"
    both(lambda: again.predictions.get("x"))
    assert token_of(wire) == "Bearer r8_given_again"


@pytest.mark.parametrize("way", PICKLES)
def test_a_token_of_the_environment_is_read_where_it_is_unpickled(both, wire, way, monkeypatch):
    client = both.kind(base_url=wire.base_url, **OPTIONS)
    record, page = (
        both(lambda: client.predictions.get("x")),
        both(lambda: client.predictions.list()),
    )
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_there")
    for call in (
        lambda: PICKLES[way](client).predictions.get("x"),
        lambda: PICKLES[way](record).reload(),
        lambda: PICKLES[way](page)[0].reload(),
        lambda: PICKLES[way](client.predictions).get("x"),
    ):
        both(call)
        assert token_of(wire) == "Bearer r8_there"


def token_of_a_module():
    return "r8_function"


def test_functions_that_give_tokens(both, wire):
    client = both.kind(token_of_a_module, base_url=wire.base_url)
    both(lambda: through(pickle)(client).predictions.get("x"))
    assert token_of(wire) == "Bearer r8_function"
    record = both(lambda: client.predictions.get("x"))
    through(pickle)(record).reload()
    assert token_of(wire) == "Bearer r8_function"
    # Of another, a record is pickled all the same.
    record = both(lambda: both.kind(lambda: TOKEN, base_url=wire.base_url).predictions.get("x"))
    with pytest.raises(MissingTokenError):
        through(pickle)(record).reload()
    both(
        lambda: through(cloudpickle)(
            both.kind(lambda: TOKEN, base_url=wire.base_url)
        ).predictions.get("x")
    )
    assert token_of(wire) == f"Bearer {TOKEN}"


def test_records_of_a_client_whose_functions_no_pickle_takes(both, wire):
    async def awaited(request, send):
        return await send(request)

    fetch = awaited if both.is_async else (lambda request, send: send(request))
    client = both.kind(base_url=wire.base_url, fetch=fetch)
    record = both(lambda: client.predictions.get("x"))
    again = through(pickle)(record)
    assert again == record
    again.reload()


def test_what_belongs_to_the_default_client_belongs_to_it_everywhere(wire, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", wire.base_url)
    stored = pickle.dumps([replicate.predictions.get("x"), replicate.use("acme/x")])
    del vars(replicate)["default_client"]
    record, function = pickle.loads(stored)
    assert record._session is replicate.default_client._session
    assert function._client is None


def test_proxies_and_files_are_kept_without_passwords():
    client = replicate.Replicate(
        base_url="http://127.0.0.1:1", proxy="http://me:hunter2@127.0.0.1:2", max_connections=3
    )
    stored = pickle.dumps(client)
    assert b"hunter2" not in stored
    assert (pickle.loads(stored).proxy, pickle.loads(stored).max_connections) == (
        "http://127.0.0.1:2",
        3,
    )


def test_copies_of_records_pages_and_files_belong_to_the_same_client(both, wire):
    client = both.kind(TOKEN, base_url=wire.base_url)
    record, page = (
        both(lambda: client.predictions.get("x")),
        both(lambda: client.predictions.list()),
    )
    file = FileOutput(f"{wire.base_url}/files/x", client)
    for make in (copy.copy, copy.deepcopy, lambda each: copy.deepcopy({"a": [each]})["a"][0]):
        for call in (
            lambda make=make: make(record).reload(),
            lambda make=make: make(page)[0].reload(),
            lambda make=make: make(file).read(),
            lambda make=make: make(client.predictions).get("x"),
            lambda make=make: make(client.use("acme/x"))(),
        ):
            both(call)
            assert token_of(wire) == f"Bearer {TOKEN}"


def test_a_page_is_pickled_without_the_headers_of_its_call(both, wire):
    client = both.kind(base_url=wire.base_url)
    signal = replicate.AbortController().signal
    page = both(lambda: client.predictions.list(extra_headers=GATEWAY, signal=signal, timeout=9))
    for way in PICKLES.values():
        assert way(page) == page
    assert b"gateway-secret" not in cloudpickle.dumps(page)
    assert copy.deepcopy(page)._source is page._source


def test_a_copy_needs_no_closing():
    client = replicate.Replicate(TOKEN)
    gone = [weakref.ref(copy.deepcopy(client)), weakref.ref(copy.copy(client))]
    gc.collect()
    assert [each() for each in gone] == [None, None]
    client.api_token = "r8_x"
    gone = weakref.ref(client)
    del client
    assert gone() is None


PROGRAM = """
import cloudpickle, dill, joblib, pickle, sys
import replicate_rs as replicate
import replicate_rs
import replicate_rs.drop_in
replicate_rs.drop_in.install()
import replicate as alias
from replicate_rs import run, models, default_client

def global_module(id): return replicate.predictions.get(id).id
def other_name(id): return replicate_rs.predictions.get(id).id
def of_the_alias(id): return alias.predictions.get(id).id
def by_name(id): return run("acme/x", {"id": id}) and id
def of_a_namespace(id): return models.get("acme/x") and id
def of_the_client(id): return default_client.predictions.get(id).id

def closed_over():
    import replicate_rs as inner
    client = replicate.Replicate()
    return lambda id: inner.predictions.get(id).id + client.predictions.get(id).id

functions = [global_module, other_name, of_the_alias, by_name, of_a_namespace, of_the_client,
    closed_over()]
"""


def test_functions_that_use_the_module_go_to_other_processes(tmp_path):
    make = tmp_path / "make.py"
    make.write_text(
        PROGRAM
        + textwrap.dedent("""
        for name, library in {"cloudpickle": cloudpickle, "dill": dill}.items():
            if name not in sys.argv[2:]:
                continue
            with open(sys.argv[1] + "/" + name, "wb") as file:
                library.dump(functions, file, **({"recurse": True} if name == "dill" else {}))
        """)
    )
    use = tmp_path / "use.py"
    use.write_text(
        textwrap.dedent("""
        import cloudpickle, dill, sys
        for name, library in {"cloudpickle": cloudpickle, "dill": dill}.items():
            if name not in sys.argv[2:]:
                continue
            with open(sys.argv[1] + "/" + name, "rb") as file:
                assert {function("p1") for function in library.load(file)} == {"p1", "p1p1"}
        """)
    )

    def answered(seen):
        return reply(prediction(output="x"), 201 if seen.method == "POST" else 200)

    with Wire(answered) as wire:
        env = {
            "REPLICATE_BASE_URL": wire.base_url,
            "REPLICATE_API_TOKEN": TOKEN,
            "PATH": "/usr/bin:/bin",
        }
        names = ["cloudpickle", "dill"] if DILL_STORES_CODE else ["cloudpickle"]
        for program in (make, use):
            command = [sys.executable, "-X", "dev", "-W", "error", program, tmp_path, *names]
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=60, check=False
            )
            assert (done.returncode, without_slowness(done.stderr)) == (0, ""), done.stderr
        assert len(wire.seen) == 8 * len(names)
        assert {each.headers["authorization"] for each in wire.seen} == {f"Bearer {TOKEN}"}


def test_joblib_s_processes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        PROGRAM
        + textwrap.dedent("""
        if __name__ == "__main__":
            for function in functions:
                assert set(joblib.Parallel(n_jobs=2)(joblib.delayed(function)("p1")
                    for _ in range(2))) <= {"p1", "p1p1"}
        """)
    )
    with Wire(
        lambda seen: reply(prediction(output="x"), 201 if seen.method == "POST" else 200)
    ) as wire:
        env = {
            "REPLICATE_BASE_URL": wire.base_url,
            "REPLICATE_API_TOKEN": TOKEN,
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, str(program)],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, without_slowness(done.stderr)) == (0, ""), done.stderr
        assert len(wire.seen) == 16


def test_the_module_itself():
    for way in (*PICKLES.values(), copy.copy, copy.deepcopy):
        assert way(replicate) is replicate
        assert way({"module": replicate})["module"] is replicate
    assert joblib.hash(replicate)


def test_a_prediction_that_was_made_by_hand_is_pickled_as_ever():
    record = Prediction(id="x", status="succeeded")
    for name, way in PICKLES.items():
        if name != "dill" or DILL_STORES_CODE:
            assert way(record) == record
