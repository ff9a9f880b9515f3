"""One line against servers that no library would make: each fault ends it in time, with its name, and it comes back."""

from __future__ import annotations

import gc
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from lbank_ws.causes import Cause
from lbank_ws.channels import topic
from lbank_ws.errors import ConnectionLost
from lbank_ws.events import Status
from lbank_ws.feed import line as feed
from lbank_ws.feed.backoff import Backoff
from lbank_ws.feed.clock import SystemClock, Waker
from lbank_ws.feed.dial import Dialler
from lbank_ws.feed.dials import Dials
from lbank_ws.feed.hosts import Hosts
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.session import Habits, Reaction, Session
from lbank_ws.feed.stream import Limits, Stream
from lbank_ws.wire import V2
from tests.raw_server import RawServer, frame
from tests.waiting import line_kinds, our_threads, wait_until

pytestmark = pytest.mark.usefixtures("reader")

TICK = frame(
    json.dumps({"tick": {"latest": 1.5}, "type": "tick", "pair": "btc_usdt", "SERVER": "V2"}).encode(),
)
SHORT = Limits(connect_s=0.5, handshake_s=0.5, message_s=0.5, send_s=0.5)


class Line:
    """A connection and what it delivered."""

    def __init__(self, url: str, limits: Limits, habits: Habits) -> None:
        self.statuses: list[Status] = []
        self.events: list[object] = []
        self.faults: list[Exception] = []
        session = Session(V2(), Backoff(0.02, 0.05), habits)
        session.subscribe(topic("ticker", "btc_usdt"))
        self.connection = feed.Line(
            session,
            Dials(Hosts([f"{url}/ws/V2/"]), apart_s=0.0),
            self._keep,
            connect=Dialler().dial,
            clock=SystemClock(),
            logbook=Logbook(),
            limits=limits,
        )
        self.connection.start()

    def _keep(self, reaction: Reaction) -> None:
        self.statuses += reaction.statuses
        self.events += reaction.events
        self.faults += reaction.faults

    def first_loss(self, timeout_s: float = 5.0) -> Status:
        """Wait for the first status that names a cause."""
        wait_until(lambda: any(status.cause for status in self.statuses), timeout_s, "a loss")
        return next(status for status in self.statuses if status.cause)


@pytest.fixture
def make_line() -> Iterator[Callable[..., Line]]:
    """Give a maker of lines with short limits; each is stopped when the test ends."""
    made: list[Line] = []

    def make(server: RawServer, *, limits: Limits = SHORT, habits: Habits | None = None) -> Line:
        made.append(Line(server.url, limits, habits or Habits()))
        return made[-1]

    yield make
    for line in made:
        line.connection.stop()
        assert line.connection.join(5)
    assert not our_threads()


def silence(sock: socket.socket, server: RawServer) -> None:
    """Stay on the line and say nothing."""
    server.ended.wait(10)


def then_good(fault: Callable[[socket.socket, RawServer], object]) -> Callable[[socket.socket, RawServer], object]:
    """Show the first connection a fault and serve a tick to every later one."""

    def act(sock: socket.socket, server: RawServer) -> None:
        if server.connections == 1:
            fault(sock, server)
            return
        server.handshake(sock)
        sock.sendall(TICK)
        silence(sock, server)

    return act


def says(*pieces: bytes, stay: bool = True) -> Callable[[socket.socket, RawServer], object]:
    """Shake hands, send these bytes, and stay or leave."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.handshake(sock)
        for piece in pieces:
            sock.sendall(piece)
        if stay:
            silence(sock, server)

    return act


def answers(head: bytes, *, stay: bool = True) -> Callable[[socket.socket, RawServer], object]:
    """Read the request, send these bytes, and stay or leave."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        sock.sendall(head)
        if stay:
            silence(sock, server)

    return act


def pours(piece: bytes, *, after: bytes = b"") -> Callable[[socket.socket, RawServer], object]:
    """Shake hands when `after` is given, and send one piece again and again, as fast as it is taken."""

    def act(sock: socket.socket, server: RawServer) -> None:
        if after:
            server.handshake(sock)
            sock.sendall(after)
        else:
            server.request(sock)
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
        for _ in range(200_000):
            sock.sendall(piece)

    return act


def drips(head: bytes) -> Callable[[socket.socket, RawServer], object]:
    """Send one byte every tenth of a second."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.request(sock)
        for number in head:
            if server.ended.wait(0.1):
                return
            sock.sendall(bytes([number]))

    return act


def resets(sock: socket.socket, server: RawServer) -> None:
    """Shake hands and reset the connection."""
    server.handshake(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


FAULTS = {
    "accepts and says nothing": (silence, Cause.STALLED),
    "answers no HTTP": (answers(b"SSH-2.0-OpenSSH\r\n\r\n"), Cause.HANDSHAKE),
    "answers 200": (answers(b"HTTP/1.1 200 OK\r\n\r\n<html>"), Cause.REFUSED),
    "answers 404 with a body": (
        answers(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9999\r\n\r\n<html>"),
        Cause.REFUSED,
    ),
    "wrong accept": (
        answers(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
        ),
        Cause.HANDSHAKE,
    ),
    "handshake one byte at a time": (drips(b"HTTP/1.1 101 Switching Protocols\r\n"), Cause.STALLED),
    "endless header line": (pours(b"x" * 4096), Cause.TOO_LARGE),
    "endless headers": (pours(b"x: y\r\n" * 100), Cause.TOO_LARGE),
    "frame of 2^63 bytes": (pours(b"x" * 65536, after=frame(b"", claims=2**63 - 1)), Cause.TOO_LARGE),
    "endless fragments": (
        pours(frame(b"x" * 60000, opcode=0, fin=False), after=frame(b"x", fin=False)),
        Cause.TOO_LARGE,
    ),
    "endless small fragments": (
        pours(frame(b"x", opcode=0, fin=False) * 500, after=frame(b"x", fin=False)),
        Cause.TOO_LARGE,
    ),
    "half a header": (says(b"\x81"), Cause.STALLED),
    "half a frame": (says(frame(b'{"type"', claims=900)), Cause.STALLED),
    "reserved bits": (says(frame(b"{}", rsv=4)), Cause.BROKEN),
    "unknown opcode": (says(frame(b"{}", opcode=5)), Cause.BROKEN),
    "polite close": (says(frame(b"\x03\xe8", opcode=8), stay=False), Cause.CLOSED),
    "polite close without a code": (says(frame(b"", opcode=8), stay=False), Cause.CLOSED),
    "close with code 1013": (says(frame(b"\x03\xf5try later", opcode=8), stay=False), Cause.REFUSED),
    "end without a close": (says(stay=False), Cause.BROKEN),
    "reset": (resets, Cause.BROKEN),
    "redirect": (answers(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n"), Cause.REFUSED),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_ends_in_time_with_its_name_and_the_line_comes_back(case, make_line):
    """Each of these hangs websocket-client, or is followed, or eats memory, or is shown to nobody."""
    fault, cause = FAULTS[case]
    with RawServer(then_good(fault)) as server:
        line = make_line(server)

        loss = line.first_loss()

        assert loss.cause is not None
        assert loss.cause.cause is cause
        wait_until(lambda: line.events, 6, "the first price of the next connection")
        assert server.connections == 2


def test_unbounded_frame_costs_no_memory(make_line):
    """A peer must not be able to take the machine down by claiming a length."""
    fault, _ = FAULTS["frame of 2^63 bytes"]
    with RawServer(then_good(fault)) as server:
        tracemalloc.start()
        line = make_line(server)
        line.first_loss()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 32 * 1024 * 1024


@pytest.mark.parametrize("case", ["reset", "polite close", "half a frame", "answers 404 with a body", "reserved bits"])
def test_loss_that_is_kept_keeps_no_connection(case, make_line):
    """Scripts keep every status they get; each held a whole connection, buffers and all, by its traceback."""
    fault, _ = FAULTS[case]
    with RawServer(fault) as server:
        line = make_line(server, limits=Limits(message_s=0.1))
        wait_until(lambda: len([status for status in line.statuses if status.cause]) >= 3, 15)

        line.connection.stop()
        assert line.connection.join(5)
        gc.collect()

        assert not [each for each in gc.get_objects() if isinstance(each, Stream)]


def test_redirect_reaches_nobody_else(make_line):
    """Followed blindly, it would carry headers to a stranger."""
    with RawServer(silence) as stranger:
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {stranger.url}/\r\n\r\n".encode()
        with RawServer(answers(head)) as server:
            line = make_line(server)

            line.first_loss()

            assert "307" in str(line.statuses[0].cause)
        assert stranger.connections == 0


def test_cookies_are_neither_kept_nor_sent(make_line):
    """The library keeps them for all objects of the process."""

    def act(sock: socket.socket, server: RawServer) -> None:
        server.handshake(sock, "Set-Cookie: id=canary; Domain=127.0.0.1", "set-cookie: b=canary")
        sock.sendall(TICK)

    with RawServer(act) as server:
        make_line(server)
        wait_until(lambda: len(server.requests) >= 3)

        assert b"cookie" not in b"".join(server.requests).lower()
        assert b"origin" not in b"".join(server.requests).lower()


def test_retry_after_is_obeyed(make_line):
    """Whoever dials earlier is blocked for longer."""
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 600\r\n\r\n"
    with RawServer(answers(head, stay=False)) as server:
        line = make_line(server)

        loss = line.first_loss()

        assert loss.cause is not None
        assert loss.cause.retry_after_s == 600
        assert line.connection.ask(lambda session: session.due_s()) > SystemClock().now().s + 590


def test_silent_line_is_asked_and_then_cut(make_line):
    """Quiet is not dead: the exchange is asked first, and only an unanswered line is cut."""
    heard: list[bytes] = []

    def act(sock: socket.socket, server: RawServer) -> None:
        server.handshake(sock)
        sock.settimeout(5)
        with suppress(OSError):
            while piece := sock.recv(4096):
                heard.append(piece)

    with RawServer(act) as server:
        line = make_line(server, habits=Habits(ping_after_s=0.2, cut_after_s=0.6))

        loss = line.first_loss()

        assert loss.cause is not None
        assert loss.cause.cause is Cause.SILENT
        assert len(heard) >= 2  # the subscription, then the ping


def test_broken_text_and_binary_frames_are_faults_and_no_loss(make_line):
    """Good frames behind bad ones still arrive."""
    bad = frame(b'{"a":"\xff"}') + frame(b"\x00\x01", opcode=2)
    with RawServer(says(bad + frame(b"hi", opcode=9) + TICK)) as server:
        line = make_line(server)

        wait_until(lambda: line.events)

        assert len(line.faults) == 2
        assert line_kinds(line.statuses) == ["opened"]


def test_message_in_fragments_and_masked_lengths_is_read_whole(make_line):
    """Unusual is not wrong."""
    body = TICK[2:]
    pieces = frame(body[:10], fin=False) + frame(b"", opcode=9) + frame(body[10:], opcode=0)
    with RawServer(says(*[bytes([number]) for number in pieces])) as server:
        line = make_line(server)

        wait_until(lambda: line.events)

        assert not line.faults


def test_dead_address_costs_less_than_a_second(make_line, monkeypatch):
    """The first address may lead into a black hole while the second is well."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:  # a full backlog swallows further dials without an answer
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(full.getsockname())
    with RawServer(says(TICK)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname()),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        line = make_line(server)

        took_s = wait_until(lambda: line.statuses)

        assert line.statuses[0].kind == "opened"
        assert took_s < 1
    for sock in (full, *fillers):
        sock.close()


def test_send_that_does_not_finish_breaks_the_line():
    """A half-sent frame must not be followed by another."""
    ours, theirs = socket.socketpair()
    waker = Waker()
    waker.open()
    stream = Stream(ours, SystemClock(), waker, Limits(send_s=0.2), lambda: False)

    with pytest.raises(ConnectionLost, match="a send did not finish"):
        stream.send(b"x" * 50_000_000)
    with pytest.raises(ConnectionLost, match="gone"):
        stream.send(b"x")

    for end in (stream, theirs, waker):
        end.close()


def test_name_that_leads_nowhere_is_told_apart(make_line):
    """A typo in the address should not look like a dead exchange."""

    class Nowhere:
        url = "ws://no-such-host.invalid"

    line = make_line(Nowhere())

    assert line.first_loss().cause.cause is Cause.NO_ADDRESS


def test_many_threads_subscribe_and_frames_stay_whole(make_line):
    """Frames leave from one thread alone, whoever asked."""
    heard: list[bytes] = []

    def act(sock: socket.socket, server: RawServer) -> None:
        server.handshake(sock)
        sock.settimeout(10)
        with suppress(OSError):
            while piece := sock.recv(65536):
                heard.append(piece)

    with RawServer(act) as server:
        line = make_line(server, habits=Habits(send_apart_s=0.001))
        wanted = [topic("ticker", f"p{number}_usdt") for number in range(80)]
        threads = [
            threading.Thread(
                target=lambda part=wanted[start::8]: [
                    line.connection.ask(lambda session, each=each: session.subscribe(each)) for each in part
                ]
            )
            for start in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        wait_until(lambda: len(pairs_in(b"".join(heard))) == 81)
        assert pairs_in(b"".join(heard)) == {"btc_usdt", *(each.pair for each in wanted)}


def pairs_in(stream: bytes) -> set[str]:
    """Read masked client frames, which must stand behind each other without a gap, and give the pairs they name."""
    pairs = set()
    while len(stream) >= 6:
        length = stream[1] & 0x7F
        if len(stream) < 6 + length:
            break
        assert stream[0] == 0x81
        mask, masked = stream[2:6], stream[6 : 6 + length]
        pairs.add(json.loads(bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked)))["pair"])
        stream = stream[6 + length :]
    return pairs
