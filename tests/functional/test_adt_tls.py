"""HL7 v2 over TLS: only a sender with a certificate of the exchange speaks, and for its own facility alone."""

import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.exchange import domain_of, facilities_toml
from tests.services.gateway import Gateway
from tests.services.mllp import MllpSender, answer_of
from tests.services.process import Server, accepts_connections, free_port


class Authority:
    """A certificate authority with a folder of certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Exchange CA")])
        self.file = folder / "ca.pem"
        certificate = self._sign(self._name, self._key.public_key(), is_authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """The certificate and the key of `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), is_authority=False)
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths[1].write_bytes(private)
        return paths

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            self._name, subject, key, x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=1)
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())

    def context(self, name: str | None) -> ssl.SSLContext:
        """How the sender `name` connects; None has no certificate."""
        context = ssl.create_default_context(cafile=str(self.file))
        if name is not None:
            context.load_cert_chain(*self.issue(name))
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The exchange's authority."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """Where `adt serve` listens with TLS, in an exchange of north and south."""
    port = free_port()
    certificate, key = authority.issue("gateway")
    gateway = Gateway(
        {
            "GATEWAY_ADT_LISTEN": f"127.0.0.1:{port}",
            "GATEWAY_ADT_TLS_CERT_FILE": str(certificate),
            "GATEWAY_ADT_TLS_KEY_FILE": str(key),
            "GATEWAY_ADT_TLS_CA_FILE": str(authority.file),
        }
    )
    tables = [
        {
            "id": id_,
            "name": id_.title(),
            "identifier_system": domain_of(id_),
            "time_zone": "Europe/Zurich",
            "adapter": "dicomweb",
            "query_url": "http://127.0.0.1:9",
        }
        for id_ in ("north", "south")
    ]
    gateway.run("facilities", "apply", str(gateway.write("facilities.toml", facilities_toml(tables))))
    server = Server(
        "adt-tls", [sys.executable, "-m", "gateway", "adt", "serve"], folder=gateway.folder, env=gateway.env
    )
    server.wait_until(lambda: accepts_connections(port))
    yield port
    assert server.stop() == 0


def a_message(facility: str) -> tuple[str, str]:
    """A message in the name of that facility."""
    return f"MSH|^~\\&|ENGINE|{facility}|||20260301120000||ADT^A28|C1|P|2.5.1", "PID|||t-1||Fam^Giv||19800203|F"


def test_a_facility_speaks_for_itself(port: int, authority: Authority) -> None:
    """The common name of its certificate is its id."""
    with MllpSender(port, context=authority.context("north")) as sender:
        assert answer_of(sender.send(*a_message("north"))) == "AA"


def test_a_facility_does_not_speak_for_another(port: int, authority: Authority) -> None:
    """MSH-4 says south, the certificate north: AR."""
    with MllpSender(port, context=authority.context("north")) as sender:
        assert answer_of(sender.send(*a_message("south"))) == "AR"


def test_without_a_certificate_nobody_speaks(port: int, authority: Authority) -> None:
    """TLS without a client certificate, and no TLS at all: no acknowledgement."""
    with pytest.raises(OSError), MllpSender(port, context=authority.context(None)) as sender:  # noqa: PT011
        sender.send(*a_message("north"))
    with MllpSender(port) as plain, pytest.raises(OSError):  # noqa: PT011
        plain.send(*a_message("north"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"GATEWAY_ADT_LISTEN": ""}, "GATEWAY_ADT_LISTEN"),
        ({"GATEWAY_ADT_LISTEN": "nowhere"}, "host:port"),
        ({"GATEWAY_ADT_LISTEN": "127.0.0.1:1", "GATEWAY_ADT_TLS_CERT_FILE": "x.pem"}, "go together"),
    ],
)
def test_settings_that_can_not_hold_are_refused(settings: dict[str, str], words: str) -> None:
    """Exit 78 with the setting's name."""
    done = Gateway(settings).run("adt", "serve", expect=78)

    assert words in done.stderr
