"""The gateway's own end of TLS: one context for the listening socket, made from the `tls` section."""

import ssl
from typing import Final

from gateway.settings import TlsSettings

# What TLS 1.2 may use: forward secrecy and authenticated encryption. TLS 1.3 has nothing else.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context to serve with. Files are read now, once: a new certificate takes a restart.

    Where there is a `client_ca_file`, a client may show a certificate, and one that is shown must be good; whether one
    is needed is for the token and the backend to say. Raises OSError, ssl.SSLError among them, where a file can't be
    used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    # The password is for an encrypted key, which nobody is there to unlock: an error instead of a prompt.
    context.load_cert_chain(settings.certificate_file, settings.key_file, password=_no_password)
    if settings.client_ca_file is not None:
        context.load_verify_locations(cafile=settings.client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        # A resumed session shows the certificate of the first one, and nobody looks again whether it is still good.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def _no_password() -> str:
    raise ssl.SSLError("the private key is encrypted: give one that is not")
