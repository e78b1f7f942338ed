"""The certificate that a client showed on its own TLS connection; one that a header tells of is never believed."""

import asyncio
import hashlib
import ssl

from identity.base64url import encode_base64url


def peer_thumbprint(transport: asyncio.BaseTransport) -> str | None:
    """Return the SHA-256 of the peer's verified certificate, in base64url, None where it showed none.

    This is what `x5t#S256` in a token means (RFC 8705, section 3.1): the digest of the certificate's DER form.
    """
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection is not None else None
    if certificate is None:
        return None
    return encode_base64url(hashlib.sha256(certificate).digest())
