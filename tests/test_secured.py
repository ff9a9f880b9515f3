"""TLS through memory: records that come together are opened together, and nothing is lost when a socket is full."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from lbank_ws.feed.secured import Secured
from tests.waiting import wait_until

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("localhost")


class Ends:
    """Our end, and a server's in a thread that only shakes hands."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CERTIFICATE.configure_cert(server)
        client = ssl.create_default_context()
        AUTHORITY.configure_trust(client)
        self.theirs = server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=self.theirs.do_handshake)
        thread.start()
        ours.setblocking(False)
        self.socket = ours
        self.ours = Secured(ours, client, "localhost")
        wait_until(self._has_shaken_hands)
        thread.join(5)
        self.theirs.settimeout(5)

    def _has_shaken_hands(self) -> bool:
        try:
            self.ours.do_handshake()
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        return True

    def recv(self, size: int) -> bytes:
        """Read on our side as soon as something is there."""
        got: list[bytes] = []

        def has_come() -> bool:
            try:
                got.append(self.ours.recv(size))
            except BlockingIOError:
                return False
            return True

        wait_until(has_come)
        return got[0]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.ours.close()
    ends.theirs.close()


def test_records_that_came_together_are_read_together(ends):
    """A server sends a record for each message; two receives for each were most of the work."""
    for number in range(5):
        ends.theirs.send(b"%d" % number)

    assert ends.recv(65536) == b"01234"
    with pytest.raises(BlockingIOError):
        ends.ours.recv(65536)


def test_send_to_a_full_socket_goes_on_where_it_stopped(ends):
    """Encrypted twice, it would be another message."""
    payload = bytes(range(256)) * 4000
    read: list[bytes] = []
    refusals: list[BlockingIOError] = []

    def read_all() -> None:
        while sum(map(len, read)) < len(payload):
            read.append(ends.theirs.recv(65536))

    def is_sent() -> bool:
        try:
            return ends.ours.send(payload) == len(payload)
        except BlockingIOError as refusal:
            refusals.append(refusal)
            return False

    assert not is_sent()
    reading = threading.Thread(target=read_all, daemon=True)
    reading.start()
    wait_until(is_sent)
    reading.join(5)

    assert len(refusals) > 1
    assert b"".join(read) == payload


@pytest.mark.parametrize("is_polite", [True, False])
def test_what_came_before_the_end_is_read_before_it(ends, is_polite):
    """The last words of an exchange, perhaps why it hangs up."""
    ends.theirs.send(b"bye")
    if is_polite:
        threading.Thread(target=lambda: _unwrapped(ends.theirs), daemon=True).start()
    else:
        ends.theirs.shutdown(socket.SHUT_RDWR)

    assert ends.recv(65536) == b"bye"
    assert ends.recv(65536) == b""
    assert ends.recv(65536) == b""


def _unwrapped(theirs: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):  # nobody answers
        theirs.unwrap()
