"""A backend for large bodies, run as a program: /sink swallows what is sent, /source/N sends N bytes, /drip never ends.

It works on raw sockets, so that it never holds more than one piece of a body.
"""

import argparse
import contextlib
import socket
import threading
import time

PIECE = 256 * 1024
DRIP_EVERY_S = 0.005


def main() -> None:
    """Serve on the port that is given until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                piece = connection.recv(PIECE)
                if not piece:
                    return
                received += piece
            head, _, body = received.partition(b"\r\n\r\n")
            _answer(connection, head, len(body))
            received = b""


def _answer(connection: socket.socket, head: bytes, already: int) -> None:
    target = head.split(b" ", 2)[1]
    if target == b"/drip":
        _drip(connection)
        return
    if target.startswith(b"/source/"):
        length = int(target.rpartition(b"/")[2])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        piece = bytes(PIECE)
        while length:
            length -= connection.send(piece[: min(PIECE, length)])
        return
    received = _swallow(connection, _content_length(head), already)
    text = b"%d" % received
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"1\r\n.\r\n")
            time.sleep(DRIP_EVERY_S)


def _swallow(connection: socket.socket, length: int, received: int) -> int:
    room = bytearray(PIECE)
    while received < length:
        count = connection.recv_into(room)
        if not count:
            break
        received += count
    return received


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    main()
