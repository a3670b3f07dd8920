"""gptcache's adapter."""

from __future__ import annotations

import pytest
from gptcache import Cache, Config
from gptcache.manager.factory import get_data_manager
from gptcache.processor.pre import get_input_str
from gptcache.utils.error import CacheError


@pytest.fixture
def cached(server, tmp_path):
    """Return a function that runs models through the adapter, with a cache on the disk."""
    from gptcache.adapter import replicate

    cache = Cache()
    cache.init(
        pre_embedding_func=get_input_str,
        data_manager=get_data_manager(data_path=str(tmp_path / "cache.txt")),
        config=Config(auto_flush=1),
    )

    def run(model, path, question):
        with path.open("rb") as image:
            return replicate.run(
                model, input={"image": image, "question": question}, cache_obj=cache
            )

    return run


def test_the_second_answer_is_from_the_cache(server, cached, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(bytes(range(200)))
    answer = f"what? {200} bytes, {sum(range(200))} in all"
    assert cached("acme/look", path, "what? ") == answer
    assert len(server.created) == 1
    assert cached("acme/look", path, "what? ") == answer
    assert len(server.created) == 1
    assert cached("acme/look", path, "who? ").startswith("who? 200 bytes")
    assert len(server.created) == 2


def test_failures_are_not_cached(server, cached, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(b"meow")

    @server.model("acme/look")
    def look(image: bytes, question: str) -> str:
        raise RuntimeError("out of memory")

    for _ in range(2):
        with pytest.raises(CacheError) as raised:
            cached("acme/look", path, "what?")
        assert "out of memory" in str(raised.value.__cause__)
    assert len(server.created) == 2


def test_its_client_is_a_client(server):
    import replicate
    from gptcache.adapter.replicate import Client

    client = Client(api_token="r8_third")
    assert isinstance(client, replicate.client.Client)
    assert client.predictions.create("acme/shout", {"prompt": "hi"}).wait() is None
    assert client.models.get("acme/shout").name == "shout"
