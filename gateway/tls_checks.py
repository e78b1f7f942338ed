"""What can be known to be wrong with TLS files before anybody connects: unreadable, mismatched, expired."""

import datetime
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def tls_problem(key: str, section: Mapping[str, Any], now: datetime.datetime | None = None) -> str | None:
    """Say what is wrong with the file that `key` of the `tls` section names, None where nothing is.

    The file itself can be read. `now` replaces the clock in tests.
    """
    now = now if now is not None else datetime.datetime.now(datetime.UTC)
    file = Path(section[key])
    match key:
        case "certificate_file":
            return _certificate_problem(file, now)
        case "key_file":
            return _key_problem(file, section.get("certificate_file"))
        case _:
            return _client_ca_problem(file, now)


def _certificate_problem(file: Path, now: datetime.datetime) -> str | None:
    certificates = _certificates(file)
    if not certificates:
        return "holds no certificate in PEM form"
    if now < certificates[0].not_valid_before_utc:
        return f"holds a certificate that is not valid before {_minute(certificates[0].not_valid_before_utc)}"
    for certificate in certificates:
        if now >= certificate.not_valid_after_utc:
            return f"holds a certificate that expired on {_minute(certificate.not_valid_after_utc)}: renew it"
    return None


def _key_problem(file: Path, certificate_file: object) -> str | None:
    if file.stat().st_mode & (stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO):
        return "names a key that others may use or change: `chmod 600` it (a mounted secret: mode 0440)"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except TypeError:
        return "names an encrypted key, which nobody would be there to unlock: give one that is not"
    except (ValueError, UnsupportedAlgorithm):
        return "holds no private key in PEM form"
    certificates = _certificates(Path(certificate_file)) if isinstance(certificate_file, str) else ()
    if certificates and _public_bytes(key.public_key()) != _public_bytes(certificates[0].public_key()):
        return "is not the key of the first certificate in `tls.certificate_file`"
    return None


def _client_ca_problem(file: Path, now: datetime.datetime) -> str | None:
    certificates = _certificates(file)
    if not certificates:
        return "holds no certificate in PEM form"
    if all(now >= certificate.not_valid_after_utc for certificate in certificates):
        return "holds only certificates that have expired: no client could show a good one"
    return None


def _certificates(file: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return ()


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _minute(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
