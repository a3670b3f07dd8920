"""Valid and invalid certificates of a temporary authority, and a TLS server that uses them."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.wire import Answer, Seen, Wire

NAMES = ("127.0.0.1", "localhost", "api.invalid")
DISTANT_PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FAR_FUTURE = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)

BAD = ("expired", "not yet valid", "wrong name", "self-signed", "unknown authority")


class Certificates:
    """An authority, and TLS contexts of servers with valid and invalid certificates.

    The files are written to `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._stranger = trustme.CA()
        self.authority = self._write("authority.pem", self._authority.cert_pem.bytes())
        """The path of the certificate that a client must trust."""
        self.stranger = self._write("stranger.pem", self._stranger.cert_pem.bytes())
        """The path of another authority, which signed the certificate "unknown authority"."""
        # One for all servers, which read it in several threads.
        self._self_signed = self._write("self-signed.pem", _self_signed())
        leaf = self._authority.issue_cert("client@example.com")
        self.client_certificate = self._write("client.pem", leaf.cert_chain_pems[0].bytes())
        self.client_key = self._write("client-key.pem", leaf.private_key_pem.bytes())
        self.client = self._write("client-both.pem", leaf.private_key_and_cert_chain_pem.bytes())
        """The path of a client's certificate and key in one file."""

    def server(self, kind: str = "good", *, asks_for_clients: bool = False) -> ssl.SSLContext:
        """Return a server's TLS context, whose certificate is "good" or one of `BAD`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "self-signed":
            context.load_cert_chain(self._self_signed)
        else:
            self._issued(kind).configure_cert(context)
        if asks_for_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context

    def _issued(self, kind: str) -> trustme.LeafCert:
        match kind:
            case "good":
                return self._authority.issue_cert(*NAMES)
            case "expired":
                return self._authority.issue_cert(
                    *NAMES, not_before=DISTANT_PAST, not_after=DISTANT_PAST + DAY
                )
            case "not yet valid":
                return self._authority.issue_cert(
                    *NAMES, not_before=FAR_FUTURE, not_after=FAR_FUTURE + DAY
                )
            case "wrong name":
                return self._authority.issue_cert("elsewhere.example.com")
            case "unknown authority":
                return self._stranger.issue_cert(*NAMES)
        raise ValueError(kind)

    def _write(self, name: str, content: bytes) -> str:
        path = self._folder / name
        path.write_bytes(content)
        return str(path)


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), _address("127.0.0.1")]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _address(text: str) -> x509.IPAddress:
    from ipaddress import ip_address

    return x509.IPAddress(ip_address(text))


class SecureWire(Wire):
    """A `Wire` with TLS; without a context it has none."""

    def __init__(
        self, script: Callable[[Seen], Answer | None], context: ssl.SSLContext | None
    ) -> None:
        self._context = context
        super().__init__(script)
        if context is not None:
            self.origin = self.origin.replace("http:", "https:")
            self.base_url = self.base_url.replace("http:", "https:")

    def _serve(self, connection: socket.socket) -> None:
        if self._context is not None:
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                # The client refused the certificate; `super` then sees a closed connection.
                connection.close()
        super()._serve(connection)
