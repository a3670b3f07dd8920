"""Proxies over raw sockets that record what passes through them."""

from __future__ import annotations

import base64
import selectors
import socket
import ssl
from collections.abc import Callable

from support.certificates import SecureWire
from support.wire import Answer, Seen, hang, reply


class HttpProxy(SecureWire):
    """An HTTP proxy that opens tunnels, and answers requests for http URLs itself.

    Args:
        answer: Returns the answer to a request for an http URL.
        credentials: The ``user:password`` that it requires.
        refuse: A status with which it refuses each ``CONNECT``.
        to: The server that all tunnels lead to, whatever their target.
        context: TLS between client and proxy.

    """

    def __init__(
        self,
        answer: Callable[[Seen], Answer | None] = lambda _: reply(status=501),
        *,
        credentials: str | None = None,
        refuse: int | None = None,
        to: SecureWire | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._credentials = (
            None
            if credentials is None
            else f"Basic {base64.b64encode(credentials.encode()).decode()}"
        )
        self._refuse = refuse
        self._to = to
        self.passed = bytearray()
        """The bytes that went through tunnels, in both directions."""
        super().__init__(self._proxied, context)

    @property
    def tunnels(self) -> list[str]:
        """The requested targets of tunnels."""
        return [each.path for each in self.seen if each.method == "CONNECT"]

    def _proxied(self, seen: Seen) -> Answer | None:
        if (
            self._credentials is not None
            and seen.headers.get("proxy-authorization") != self._credentials
        ):
            return reply(
                {"detail": "who are you?"},
                407,
                headers='Proxy-Authenticate: Basic realm="proxy"\r\n',
            )
        if seen.method != "CONNECT":
            return self._answer(seen)
        if self._refuse is not None:
            return reply({"detail": "not there"}, self._refuse)
        host, _, port = seen.path.rpartition(":")

        def tunnel(connection: socket.socket) -> None:
            server = _connect(self._to, host, int(port))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(connection, server, self.passed)

        return tunnel


class SocksProxy(SecureWire):
    """A SOCKS5 proxy (RFC 1928), which may require a ``user:password`` (RFC 1929)."""

    def __init__(self, *, credentials: str | None = None, to: SecureWire | None = None) -> None:
        self._credentials = credentials
        self._to = to
        self.targets: list[tuple[str, str]] = []
        """The requested targets: ``name`` or ``address``, and the host and port."""
        self.passed = bytearray()
        super().__init__(lambda _: None, None)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                server = self._greet(connection)
                if server is not None:
                    _pump(connection, server, self.passed)
        except (OSError, EOFError):
            pass
        finally:
            with self._change:
                self.closed += 1
                self._change.notify_all()

    def _greet(self, connection: socket.socket) -> socket.socket | None:
        methods = _receive(connection, _receive(connection, 2)[1])
        wanted = 0 if self._credentials is None else 2
        if wanted not in methods:
            connection.sendall(b"\x05\xff")
            return None
        connection.sendall(bytes([5, wanted]))
        if self._credentials is not None:
            user = _receive(connection, _receive(connection, 2)[1])
            password = _receive(connection, _receive(connection, 1)[0])
            is_right = f"{user.decode()}:{password.decode()}" == self._credentials
            connection.sendall(b"\x01\x00" if is_right else b"\x01\x01")
            if not is_right:
                return None
        kind = _receive(connection, 4)[3]
        match kind:
            case 1:
                host = socket.inet_ntop(socket.AF_INET, _receive(connection, 4))
            case 4:
                host = socket.inet_ntop(socket.AF_INET6, _receive(connection, 16))
            case _:
                host = _receive(connection, _receive(connection, 1)[0]).decode()
        port = int.from_bytes(_receive(connection, 2))
        with self._change:
            self.targets.append(("name" if kind == 3 else "address", f"{host}:{port}"))
        server = _connect(self._to, host, port)
        connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return server


class ResettingProxy(SecureWire):
    """A proxy that closes each connection after its first byte."""

    def __init__(self) -> None:
        super().__init__(lambda _: None, None)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(1)


def stalling_proxy() -> SecureWire:
    """Return a proxy that never answers."""
    return SecureWire(lambda _: hang, None)


def _connect(to: SecureWire | None, host: str, port: int) -> socket.socket:
    if to is not None:
        host, _, digits = to.origin.partition("://")[2].rpartition(":")
        port = int(digits)
    return socket.create_connection((host, port), timeout=10)


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _pump(client: socket.socket, server: socket.socket, passed: bytearray) -> None:
    """Pass bytes on in both directions until one side has ended."""
    with server, selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while True:
            for key, _ in selector.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment] # only sockets are registered
                data = source.recv(65536)
                if not data:
                    return
                passed += data
                key.data.sendall(data)
