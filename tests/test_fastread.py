"""The bulk reader takes whole text messages, and leaves everything else to websocket-client exactly where it stands."""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.causes import Cause
from lbank_ws.errors import ConnectionLost
from lbank_ws.feed.clock import Moment, SystemClock, Waitable, Waker
from lbank_ws.feed.fastread import Reader, is_known
from lbank_ws.feed.stream import Limits, Stream

MOST = 4 * 1024 * 1024


def framed(payload: bytes, *, first: int = 0x81, form: int | None = None) -> bytes:
    """Build a server's frame; `form` chooses how the length is written."""
    size = len(payload)
    form = form if form is not None else 0 if size < 126 else 126 if size < 65536 else 127
    length = {0: bytes([size % 126]), 126: b"\x7e" + struct.pack("!H", size % 65536)}
    return bytes([first]) + length.get(form, b"\x7f" + struct.pack("!Q", size)) + payload


SIZES = [0, 1, 125, 126, 127, 4000, 65535]
LEFT = {
    "a long message": framed(b"x" * 65536),
    "a long form of a short length": framed(b"abc", form=127),
    "a ping": framed(b"", first=0x89),
    "a close": framed(b"\x03\xe8", first=0x88),
    "a binary message": framed(b"abc", first=0x82),
    "a first fragment": framed(b"abc", first=0x01),
    "a continuation": framed(b"abc", first=0x80),
    "an extension": framed(b"abc", first=0xC1),
    "a masked frame": b"\x81\x83\0\0\0\0abc",
    "half a head": b"\x81",
    "half a length": b"\x81\x7e\x01",
    "half a message": framed(b"x" * 100)[:-1],
}


@pytest.mark.parametrize("left", LEFT)
def test_whole_messages_are_taken_up_to_the_first_thing_that_is_none(left: str):
    """What is left must stay whole, or the library reads from the middle of a frame."""
    texts = [b"x" * size for size in SIZES]
    buffer = b"??" + b"".join(map(framed, texts))
    reader = Reader(MOST)

    found = reader.texts(buffer + LEFT[left], 2)

    assert found == texts
    assert reader.at == len(buffer)
    assert reader.texts(buffer + LEFT[left], reader.at) == []
    assert reader.at == len(buffer)


def test_longer_length_than_needed_is_read_as_the_library_reads_it():
    """It breaks the letter of RFC 6455 and is harmless."""
    assert Reader(MOST).texts(framed(b"abc", form=126), 0) == [b"abc"]


def test_message_beyond_the_budget_is_left_where_the_budget_is_kept():
    """Else a small limit would hold on the slow path alone."""
    reader = Reader(100)

    assert reader.texts(framed(b"x" * 98) + framed(b"x" * 99), 0) == [b"x" * 98]  # the header counts
    assert not reader.is_short


def test_text_inside_a_message_in_fragments_is_left_too():
    """It breaks the protocol, and the library is the one to say so; once the message has ended all is as before."""
    reader = Reader(MOST)
    text, fragment, ping = framed(b"abc"), framed(b"a", first=0x01), framed(b"", first=0x89)

    assert reader.texts(fragment, 0) == []
    assert reader.texts(ping, 0) == []
    assert reader.texts(text, 0) == []
    reader.message_ended()

    assert reader.texts(text, 0) == [b"abc"]


@pytest.mark.parametrize(("version", "is_so"), [("1.9.2", True), ("1.9.9", True), ("1.8.0", False), ("2.0.0", False)])
def test_unknown_library_is_said_once_and_not_bypassed(version: str, is_so: bool, caplog):
    """Another version may keep bytes of the next frame to itself."""
    is_known.cache_clear()
    with caplog.at_level(logging.WARNING, "lbank_ws"):
        assert [is_known(version), is_known(version)] == [is_so, is_so]

    assert len(caplog.records) == (0 if is_so else 1)
    is_known.cache_clear()


@given(
    texts=st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([b"x" * 5000, b"y" * 65535])), max_size=12),
    cuts=st.lists(st.integers(0, 80_000), max_size=12),
)
def test_messages_come_out_whole_wherever_tcp_cuts_them(texts: list[bytes], cuts: list[int]):
    """A receive ends anywhere: in a head, in a length, in a message."""
    wire = b"".join(map(framed, texts))
    pieces = [wire[begin:end] for begin, end in pairwise([0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)])]
    stream = Stream(Pieces(pieces), Impatient(), Waker(), Limits(), lambda: False)
    stream._is_open = True
    found: list[bytes] = []

    for _ in range(len(texts) + 2 * len(wire) // 65536 + len(cuts) + 2):
        if len(found) < len(texts) and stream.ready(0.0):
            found += stream.texts()

    assert found == texts


def test_pings_between_messages_do_not_use_up_the_budget_of_a_message():
    """A line that lives for days gets thousands of them, and was cut for a message in too many pieces."""
    ping, text = framed(b"", first=0x89), framed(b"abc")
    stream = Stream(Pieces([ping + text] * 20), Impatient(), Waker(), Limits(message_reads=3), lambda: False)
    stream._is_open = True

    for _ in range(20):
        assert stream.ready(0.0)
        assert stream.texts() == []
        assert stream.recv(2) == ping
        stream.control_ended()
        assert stream.texts() == [b"abc"]


def test_goodbye_takes_no_longer_than_it_may():
    """A peer that never answers it must not hold up the end for as long as a frame may take."""
    clock = Hurried()
    stream = Stream(Pieces([framed(b"abc")]), clock, Waker(), Limits(message_s=5.0), lambda: False)
    stream._is_open = True
    assert stream.ready(0.0)
    assert stream.texts() == [b"abc"]

    stream.closing(0.5)
    with pytest.raises(ConnectionLost) as lost:
        stream.recv(2)

    assert lost.value.cause is Cause.STALLED
    assert clock.waited_s == pytest.approx(0.5)


class Hurried:
    """A clock whose waits are over at once."""

    def __init__(self) -> None:
        self.waited_s = 0.0

    def now(self) -> Moment:
        return Moment(1000.0 + self.waited_s, 0)

    def wait(self, reading: Sequence[Waitable], writing: Sequence[Waitable], timeout_s: float) -> list[Waitable]:
        self.waited_s += timeout_s
        return []


class Impatient(SystemClock):
    """Waits for nothing."""

    def wait(self, reading: Sequence[Waitable], writing: Sequence[Waitable], timeout_s: float) -> list[Waitable]:
        return []


class Pieces:
    """A socket whose receives give these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [
            piece[at : at + 65536] for piece in pieces for at in range(0, len(piece), 65536)
        ]  # none is empty

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            raise BlockingIOError
        return self._pieces.pop(0)

    def setblocking(self, flag: bool) -> None:
        pass

    def fileno(self) -> int:
        return -1
