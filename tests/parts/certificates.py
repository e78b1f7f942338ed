"""A certificate authority for tests, and the certificates it issues.

authority = Authority(tmp_path)
server = authority.issue("server", x509.IPAddress(...))     # .certificate_file and .key_file, PEM
client = authority.client_context(authority.issue("alice"))  # trusts the authority, shows alice's certificate
"""

import base64
import datetime
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in files; `thumbprint` is its `x5t#S256`."""

    certificate_file: Path
    key_file: Path
    thumbprint: str


class Authority:
    """One self-signed authority; `file` holds its certificate, PEM."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key, datetime.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *addresses: x509.GeneralName,
        lifetime: datetime.timedelta = datetime.timedelta(hours=1),
        early: datetime.timedelta = datetime.timedelta(hours=1),
    ) -> Certificate:
        """Return a certificate that is valid from `early` ago until `lifetime` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._name, key, lifetime, early)
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        made = Certificate(
            self._directory / f"{name}.pem",
            self._directory / f"{name}.key",
            base64.urlsafe_b64encode(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())
            .rstrip(b"=")
            .decode(),
        )
        made.certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        made.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.key_file.chmod(0o600)
        return made

    def client_context(self, shown: Certificate | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority, and shows a certificate where one is given."""
        context = ssl.create_default_context(cafile=self.file)
        if shown is not None:
            context.load_cert_chain(shown.certificate_file, shown.key_file)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lifetime: datetime.timedelta,
    early: datetime.timedelta = datetime.timedelta(hours=1),
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - early)
        .not_valid_after(now + lifetime)
    )
