"""What the kernel and TLS know of a connection and its event loop does not tell."""

import asyncio
import fcntl
import os
import ssl
import struct
import termios
from collections.abc import Iterator

_READ_BYTES = 64 * 1024


def descriptor(transport: asyncio.BaseTransport) -> int:
    """Return the transport's file descriptor."""
    return int(transport.get_extra_info("socket").fileno())


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how many written bytes the peer's host has not acknowledged: the transport's and the kernel's."""
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(descriptor(transport), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        queued = 0
    return int(transport.get_write_buffer_size()) + int(queued)


def unread_pieces(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """Yield what a broken connection had received and the event loop dropped unread.

    To be used inside `connection_lost`, while the socket still exists. Over TLS there is nothing that could be read.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return
    try:
        # An empty read is not the peer's own end here: the loop has read the error away before.
        while data := os.read(descriptor(transport), _READ_BYTES):
            yield data
    except OSError:
        return


def is_cut(transport: asyncio.BaseTransport) -> bool:
    """Tell whether a TLS stream ended without close_notify, as anyone on the path can end it (RFC 9112 section 9.8)."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return False
    try:
        return tls.read(1) != b""
    except ssl.SSLZeroReturnError:
        return False
    except ssl.SSLError:
        return True
