"""Whom a client trusts, and who it says it is: options, the environment, and certificates with
something wrong.
"""

import os
import pathlib

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import exceptions
from support.certificates import BAD, Certificates, SecureWire
from support.hosts import until
from support.wire import Wire, prediction, reply

WORDS = {
    "expired": "expired",
    "not yet valid": "not valid yet",
    "wrong name": "another name",
    "self-signed": "no authority that is trusted",
    "unknown authority": "no authority that is trusted",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def answering(_):
    return reply(prediction())


def serving(certificates, kind="good", **more):
    return SecureWire(answering, certificates.server(kind, **more))


def get(both, wire, **options):
    client = both.client(wire.base_url, **({"max_retries": 0} | options))
    return both(lambda: client.predictions.get("x"))


def test_ssl_cert_file_says_whom_to_trust(both, certificates):
    with serving(certificates) as wire:
        for path in (certificates.authority, pathlib.Path(certificates.authority)):
            assert get(both, wire, ssl_cert_file=path).id == "p1"
        assert get(both, wire, verify=certificates.authority).id == "p1"
        assert get(both, wire, verify=True, ssl_cert_file=certificates.authority).id == "p1"


def test_a_name_is_verified_as_well_as_an_address(both, certificates):
    with serving(certificates) as wire:
        client = both.client(
            wire.base_url.replace("127.0.0.1", "localhost"), ssl_cert_file=certificates.authority
        )
        assert both(lambda: client.predictions.get("x")).id == "p1"


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_certificate_is_refused_with_what_is_wrong_with_it(both, certificates, kind):
    with serving(certificates, kind) as wire:
        with pytest.raises(exceptions.APIConnectionError, match=WORDS[kind]) as caught:
            get(both, wire, ssl_cert_file=certificates.authority)
        assert wire.seen == []
    assert not isinstance(caught.value, TimeoutError)
    assert "r8_secret" not in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_certificate_is_refused_by_what_the_system_trusts_too(both, certificates, kind):
    """The default: the authority of these tests is none of the system's."""
    with serving(certificates, kind) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="certificate"):
            get(both, wire)
        assert wire.seen == []


@pytest.mark.parametrize("kind", ["good", *BAD])
def test_verify_false_accepts_any_certificate(both, certificates, kind):
    with serving(certificates, kind) as wire:
        assert get(both, wire, verify=False).id == "p1"


def test_a_bad_certificate_is_not_tried_again(both, certificates):
    """It will not be better a second later."""
    with serving(certificates, "expired") as wire:
        with pytest.raises(exceptions.APIConnectionError, match="expired"):
            get(both, wire, ssl_cert_file=certificates.authority, max_retries=5)
        assert wire.opened == 1


def test_trust_is_each_client_s_own(both, certificates):
    with serving(certificates) as wire, serving(certificates, "unknown authority") as other:
        trusting = both.client(wire.base_url, ssl_cert_file=certificates.authority, max_retries=0)
        careless = both.client(wire.base_url, verify=False, max_retries=0)
        strict = both.client(wire.base_url, max_retries=0)
        for _ in range(2):
            for client in (trusting, careless):
                assert both(lambda client=client: client.predictions.get("x")).id == "p1"
            with pytest.raises(exceptions.APIConnectionError, match="no authority that is trusted"):
                both(lambda: strict.predictions.get("x"))
        with pytest.raises(exceptions.APIConnectionError, match="no authority that is trusted"):
            get(both, other, ssl_cert_file=certificates.authority)
        assert get(both, other, ssl_cert_file=certificates.stranger).id == "p1"


def test_with_options_keeps_whom_to_trust_and_may_change_it(both, certificates):
    with serving(certificates) as wire:
        client = both.client(wire.base_url, ssl_cert_file=certificates.authority, max_retries=0)
        assert both(lambda: client.with_options(timeout=5).predictions.get("x")).id == "p1"
        with pytest.raises(exceptions.APIConnectionError, match="no authority that is trusted"):
            both(
                lambda: client.with_options(ssl_cert_file=certificates.stranger).predictions.get(
                    "x"
                )
            )


def test_files_are_fetched_by_the_same_trust(both, certificates):
    with (
        serving(certificates) as wire,
        SecureWire(lambda _: reply(b"file"), certificates.server()) as host,
    ):
        wire.script = lambda _: reply(prediction(output=f"{host.origin}/file.bin"), 201)
        client = both.client(wire.base_url, ssl_cert_file=certificates.authority, max_retries=0)
        output = both(lambda: client.run("acme/x", {}))
        assert both(output.aread if both.is_async else output.read) == b"file"


def test_a_redirect_from_https_to_http_is_refused(both, certificates):
    """What was asked for in secret is not fetched in the open."""
    with serving(certificates) as wire, Wire(answering) as plain:
        wire.script = lambda _: reply(status=302, headers=f"Location: {plain.origin}/there\r\n")
        with pytest.raises(exceptions.APIConnectionError, match="redirects from https to http"):
            get(both, wire, ssl_cert_file=certificates.authority)
    assert plain.opened == 0


@pytest.mark.parametrize("option", ["ssl_cert_file", "verify", "cert"])
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_file_without_certificates_is_refused_by_its_path(both, tmp_path, option, content):
    path = tmp_path / "wrong.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.pem"):
        both.client("https://localhost", **{option: str(path)})


MARK = b"\xef\xbb\xbf"


def marked(tmp_path, *paths):
    """Copies that begin with a byte-order mark, as some editors write them."""
    copies = [tmp_path / pathlib.Path(path).name for path in paths]
    for copy, path in zip(copies, paths, strict=True):
        copy.write_bytes(MARK + pathlib.Path(path).read_bytes())
    return [str(copy) for copy in copies]


def test_a_byte_order_mark_does_not_hide_a_certificate_or_a_key(both, certificates, tmp_path):
    names = (
        certificates.authority,
        certificates.client,
        certificates.client_certificate,
        certificates.client_key,
    )
    authority, own, certificate, key = marked(tmp_path, *names)
    with serving(certificates, asks_for_clients=True) as wire:
        for cert in (own, (certificate, key)):
            assert get(both, wire, ssl_cert_file=authority, cert=cert).id == "p1"


def test_files_are_read_without_the_interpreter_s_lock(tmp_path, certificates):
    """A pipe gives nothing before this process writes to it, from another thread."""
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    code = """
        import sys, threading
        import replicate_rs as replicate
        made = threading.Thread(target=lambda: replicate.Replicate("t", ssl_cert_file=sys.argv[1]))
        made.start()
        with open(sys.argv[1], "wb") as pipe, open(sys.argv[2], "rb") as file:
            pipe.write(file.read())
        made.join()
        print("made")
    """
    assert script(code, str(pipe), certificates.authority, timeout=10).stdout == "made\n"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_other_calls_go_on_while_what_the_system_trusts_is_read(
    monkeypatch, certificates, tmp_path, way
):
    """The file is a pipe again: it is read when the first request over https is made."""
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    code = """
        import asyncio, sys, threading
        import replicate_rs as replicate
        secure, plain = (replicate.Replicate("r8_secret", base_url=url, max_retries=0)
            for url in sys.argv[2:4])

        def write():
            with open(sys.argv[1], "wb") as pipe, open(sys.argv[4], "rb") as file:
                pipe.write(file.read())

        async def main():
            first = asyncio.create_task(secure.predictions.async_get("x"))
            await asyncio.sleep(0)
            for _ in range(3):
                assert (await plain.predictions.async_get("x")).id == "p1"
            write()
            assert (await first).id == "p1"

        if sys.argv[5] == "async":
            asyncio.run(main())
        else:
            first = threading.Thread(target=secure.predictions.get, args=("x",))
            first.start()
            for _ in range(3):
                assert plain.predictions.get("x").id == "p1"
            write()
            first.join()
        print("done")
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(pipe))
    with serving(certificates) as wire, Wire(answering) as plain:
        done = script(
            code, str(pipe), wire.base_url, plain.base_url, certificates.authority, way, timeout=10
        )
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize(
    ("option", "wrong"), [("verify", 3), ("ssl_cert_file", 3), ("cert", 3), ("cert", ("a",))]
)
def test_options_of_another_type_are_refused(both, option, wrong):
    with pytest.raises((TypeError, ValueError), match=option):
        both.client("https://localhost", **{option: wrong})


def test_a_client_certificate_is_shown_to_a_server_that_asks(both, certificates):
    with serving(certificates, asks_for_clients=True) as wire:
        for certificate in (
            certificates.client,
            (certificates.client_certificate, certificates.client_key),
        ):
            assert (
                get(both, wire, ssl_cert_file=certificates.authority, cert=certificate).id == "p1"
            )


def test_no_client_certificate_where_one_is_wanted_is_an_error_that_says_so(both, certificates):
    with serving(certificates, asks_for_clients=True) as wire:
        with pytest.raises(exceptions.APIConnectionError, match="certificate"):
            get(both, wire, ssl_cert_file=certificates.authority)
        assert wire.seen == []


def test_a_client_certificate_without_a_key_is_refused_by_its_path(both, certificates, tmp_path):
    with pytest.raises(ValueError, match=r"client\.pem"):
        both.client("https://localhost", cert=certificates.client_certificate)
    with pytest.raises(ValueError, match=r"gone\.pem"):
        both.client(
            "https://localhost", cert=(certificates.client_certificate, str(tmp_path / "gone.pem"))
        )


def test_a_key_that_is_wrong_is_not_shown(both, certificates, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ValueError, match=r"key\.pem") as caught:
        both.client("https://localhost", cert=(certificates.client_certificate, str(path)))
    assert "c2VjcmV0" not in str(caught.value)


CALL = """
    import asyncio, sys
    import replicate_rs as replicate
    for base_url in sys.argv[1:]:
        client = replicate.Replicate("r8_secret", base_url=base_url, max_retries=0)
        try:
            client.predictions.get("x")
            asyncio.run(client.predictions.async_get("x"))
            print("ok")
        except replicate.exceptions.APIConnectionError as error:
            assert "r8_secret" not in str(error)
            print("refused" if "certificate" in str(error) else error)
"""


def calls(*base_urls):
    """What comes of a fetch from each, in a process that reads its environment anew."""
    done = script(CALL, *base_urls)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_environment_s_certificates_in_a_file(monkeypatch, certificates):
    with serving(certificates) as wire, serving(certificates, "unknown authority") as other:
        monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
        assert calls(wire.base_url, other.base_url) == ["ok", "refused"]


def test_the_environment_s_certificates_in_a_folder(monkeypatch, certificates, tmp_path):
    """OpenSSL has such folders, with names that are hashes."""
    (tmp_path / "0123abcd.0").write_bytes(pathlib.Path(certificates.authority).read_bytes())
    with serving(certificates) as wire:
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        assert calls(wire.base_url) == ["ok"]


@pytest.mark.parametrize("file", [os.devnull, "nowhere.pem"])
def test_a_machine_without_certificates_has_http_and_refuses_strangers(
    monkeypatch, certificates, tmp_path, file
):
    """Its variables may be set all the same."""
    with serving(certificates) as wire, Wire(answering) as plain:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        assert calls(plain.base_url, wire.base_url) == ["ok", "refused"]
    assert wire.seen == []


def test_a_byte_order_mark_does_not_hide_the_environment_s_certificates(
    monkeypatch, certificates, tmp_path
):
    with serving(certificates) as wire:
        monkeypatch.setenv("SSL_CERT_FILE", *marked(tmp_path, certificates.authority))
        assert calls(wire.base_url) == ["ok"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("SSL_CERT_FILE", None, "No such file"),
        ("SSL_CERT_FILE", b"", "no certificate in it"),
        ("SSL_CERT_FILE", "folder", "Is a directory"),
        ("SSL_CERT_DIR", None, "No such file"),
        ("SSL_CERT_DIR", "folder", "there is no certificate in it"),
    ],
)
def test_a_variable_that_names_no_certificates_is_an_error(
    monkeypatch, certificates, tmp_path, name, content, says
):
    """No other authorities take their place, and the request is neither sent nor repeated."""
    path = tmp_path / "corporate"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(name, str(path))
    code = """
        import asyncio, sys
        import replicate_rs as replicate
        client = replicate.Replicate("r8_secret", base_url=sys.argv[1])
        for call in (client.predictions.get,
            lambda id: asyncio.run(client.predictions.async_get(id))):
            try:
                call("x")
            except replicate.exceptions.APIConnectionError as error:
                print(error)
        client = replicate.Replicate("r8_secret", base_url=sys.argv[1], ssl_cert_file=sys.argv[2])
        print(client.predictions.get("x").id)
    """
    with serving(certificates) as wire:
        *errors, last = script(code, wire.base_url, certificates.authority).stdout.splitlines()
        assert len(wire.seen) == wire.opened == 1
    assert last == "p1"
    assert len(errors) == 2
    for error in errors:
        assert f"the certificates of {name} cannot be used: {path}" in error
        assert says in error


def test_one_path_that_does_not_exist_among_others_is_an_error(monkeypatch, certificates, tmp_path):
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "authority.pem").write_bytes(pathlib.Path(certificates.authority).read_bytes())
    with serving(certificates) as wire:
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(folder), "", str(tmp_path)]))
        assert calls(wire.base_url) == ["ok"]
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(folder), str(tmp_path / "none")]))
        assert calls(wire.base_url) == ["refused"]


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_variable_counts_as_missing(monkeypatch, certificates, tmp_path, blank):
    """The system's authorities are asked, who do not know that of these tests."""
    monkeypatch.setenv("SSL_CERT_FILE", blank)
    monkeypatch.setenv("SSL_CERT_DIR", blank)
    code = CALL.replace(
        'print("refused" if "certificate" in str(error) else error)', "print(error)"
    )
    with serving(certificates) as wire:
        error = script(code, wire.base_url).stdout
        assert "no authority that is trusted" in error
        assert "cannot be used" not in error
        monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
        assert calls(wire.base_url) == ["ok"]


def test_the_option_overrides_the_environment_s_certificates(monkeypatch, both, certificates):
    """Unlike the environment, which a process reads once, it is each client's."""
    monkeypatch.setenv("SSL_CERT_FILE", certificates.stranger)
    with serving(certificates) as wire:
        assert get(both, wire, ssl_cert_file=certificates.authority).id == "p1"


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="descriptors are counted in /proc")
def test_a_thousand_clients_share_what_is_large_and_free_their_descriptors():
    with Wire(answering) as wire:
        replicate.Replicate("r8_secret", base_url=wire.base_url).predictions.get("x")
        until(lambda: wire.open_now == 0)
        before = descriptors()
        for _ in range(10):
            clients = [replicate.Replicate("r8_secret", base_url=wire.base_url) for _ in range(100)]
            for client in clients:
                client.predictions.get("x")
            # A client that was dropped frees its sockets as one that was closed does.
            for client in clients[::2]:
                client.close()
            del client, clients
            until(lambda: wire.open_now == 0)
        assert len(wire.seen) == 1001
        until(lambda: descriptors() <= before)
