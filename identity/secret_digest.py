"""What is kept of a secret that somebody else holds: its SHA-256.

No salt and no slow hash: each such secret is random and long, or was chosen by who configures the gateway, so none can
be guessed from its digest; and a digest that is always the same can be looked up.
"""

import hashlib


def secret_digest(secret: str) -> bytes:
    """Return the 32 bytes that are kept."""
    return hashlib.sha256(secret.encode()).digest()
