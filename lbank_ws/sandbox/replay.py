"""A recording, served again: any client that dials gets the frames that were recorded for what it subscribes.

Decided here: who hears which frame, and when. A line plays one *life* of the recording and then ends as that one ended;
the next line that comes goes on with the next life. Time begins with a line's first subscription. Where the recorded
client asked for something, the tape waits a moment for this one to do so too: the same client gets the same frames in
the same order at every speed, and one that asks for less loses a second or two. What is played is decided in `tape.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from lbank_ws.sandbox.line import hands_shaken
from lbank_ws.sandbox.loop_thread import LoopThread
from lbank_ws.sandbox.outlet import ANSWER_WITHIN_S, Outlet
from lbank_ws.sandbox.seat import Seat
from lbank_ws.sandbox.tape import Life, Tape, read_tape, said_by_client

if TYPE_CHECKING:
    from aiohttp import web

_PATHS = {"v2": "/ws/V2/", "simple": "/ws"}
_LONGEST_GAP_S = 60.0  # no line lives through a longer silence; what looks like one is a clock that was set
_PING_EVERY_S = 60.0
_AWAITED_S = 60.0  # how long the next life waits for the client whose line was ended
_NORMAL, _GOING_AWAY, _POLICY, _TRY_LATER = 1000, 1001, 1008, 1013


class Replayer:
    """Serves a recording on a port of this machine: `with Replayer("tape.jsonl") as box: ...`.

    All methods may be called from any thread but its own.

    Args:
        path: A recording, plain or packed.
        speed: How much faster than recorded; `max` waits for nothing but the client.
        port: 0 takes a free one.
        loop: Start over after the last frame; else the line is closed politely, and nobody else is let in.
        host: Where to listen; only this machine can reach the default.

    Attributes:
        dialect: What the recording speaks, `v2` or `simple`.

    Raises:
        NotARecording: The file is none; the text names the line.
        OSError: It cannot be read.
        ImportError: It ends in `.zst`, and zstandard is not installed.
        ValueError: The speed is not above zero.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        speed: float | Literal["max"] = 1.0,
        port: int = 0,
        loop: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        if speed != "max" and not speed > 0:
            raise ValueError("speed is a number above zero, or max")
        self._tape = read_tape(path)
        self.dialect = self._tape.dialect
        self._stage = _Stage(self._tape, None if speed == "max" else speed, loop=loop)
        self._thread = LoopThread("lbank-ws-replay", host, port, self._serve)

    def __enter__(self) -> Replayer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address without a path; the recorded dialect answers there."""
        return f"ws://{self._thread.address}"

    @property
    def is_over(self) -> bool:
        """Whether the last frame was played, and everybody has left."""
        return self._stage.is_over and not self._stage.lines and not self._stage.awaits()

    def start(self) -> None:
        """Open the port; does nothing when it is open.

        Raises:
            ImportError: aiohttp is not installed.
            OSError: The port is taken.
        """
        self._thread.start()

    def stop(self) -> None:
        """Close all lines with code 1001, then the port, and end the thread; does nothing when it is stopped."""
        self._thread.stop()

    async def _serve(self, listening: socket.socket, opened: Future[None], stopping: asyncio.Event) -> None:
        from aiohttp import web  # late, as in `loop_thread.py`

        application = web.Application()
        paths = ("/", _PATHS[self.dialect])
        application.add_routes([web.get(path, self._stage.serve) for path in paths])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=ANSWER_WITHIN_S)
        try:
            await runner.setup()
            site = web.SockSite(runner, listening)
            await site.start()
        except Exception as error:  # whatever it is, it belongs to the caller of start()
            listening.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        await stopping.wait()
        await site.stop()
        await self._stage.clear()
        await runner.cleanup()


class _Stage:
    """Everybody who is connected. Everything here runs on the loop of the replayer."""

    def __init__(self, tape: Tape, speed: float | None, *, loop: bool) -> None:
        self.lines: set[Outlet] = set()
        self.is_over = False
        self._tape = tape
        self._speed = speed
        self._starts_over = loop
        self._awaited: dict[int, deque[tuple[float, int]]] = {}  # of each recorded line: until when, and which life

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one client from its handshake to its end."""
        from aiohttp import web  # late, as in `loop_thread.py`

        if self.is_over and not self.awaits():
            return web.Response(status=410, reason="The recording is over", text="The recording is over.")
        response = web.WebSocketResponse(timeout=ANSWER_WITHIN_S, autoping=False, compress=False)
        transport = await hands_shaken(response, request)
        if transport is None:
            return web.Response()  # for nobody: the first one cannot be used any more
        seat = Seat(self._tape)
        line = Outlet(response, transport)
        self.lines.add(line)
        playing = asyncio.create_task(self._play(line, seat))
        pinging = asyncio.create_task(_ping(line, seat))
        try:
            await line.serve(seat.received)
        finally:
            self.lines.discard(line)
            pinging.cancel()
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
        return response

    async def clear(self) -> None:
        """Send everybody away."""
        lines = list(self.lines)
        for line in lines:
            line.close(_GOING_AWAY)
        await asyncio.gather(*(line.ended() for line in lines))

    def awaits(self) -> bool:
        """Tell whether a life waits for the client whose line was ended."""
        now_s = time.monotonic()
        return any(now_s < until_s for awaited in self._awaited.values() for until_s, _ in awaited)

    def _next_life(self, recorded: int) -> int:
        """Tell which life of a recorded line a new one plays: the one that waits for its client, else the first."""
        awaited = self._awaited.get(recorded, deque())
        while awaited:
            until_s, number = awaited.popleft()
            if time.monotonic() < until_s:
                return number
        return 0

    async def _play(self, line: Outlet, seat: Seat) -> None:
        """Play a life, and end the line as it ended."""
        await seat.until(lambda: bool(seat.wanted))
        recorded = self._tape.line_for(seat.wanted)
        lives = self._tape.lives[recorded]
        number = self._next_life(recorded)
        while True:
            life = lives[number]
            await self._play_life(line, seat, life, recorded)
            await line.room(0)
            number += 1
            if number < len(lives) or (self._starts_over and life.end is not None):
                awaited = self._awaited.setdefault(recorded, deque())
                awaited.append((time.monotonic() + _AWAITED_S, number % len(lives)))
                return _end(line, life)
            if not self._starts_over:
                self.is_over = True
                return _end(line, life)
            number = 0

    async def _play_life(self, line: Outlet, seat: Seat, life: Life, recorded: int) -> None:
        await seat.until(lambda: bool(seat.wanted))
        due_s = time.monotonic()
        last_ns: int | None = None
        for frame in self._tape.frames(life):
            if self._speed is not None:
                gap_s = 0.0 if last_ns is None else min(max(0, frame.ns - last_ns) / 1e9, _LONGEST_GAP_S)
                due_s += gap_s / self._speed
            last_ns = frame.ns
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))  # at full speed too the others get their turn
            if frame.is_in:
                line.send(seat.heard(frame, is_own=frame.line == recorded))
                await line.room()
            elif frame.line == recorded:
                due_s += await seat.follow(said_by_client(frame.text))


async def _ping(line: Outlet, seat: Seat) -> None:
    """Ask a client whether it is there when the recording has not for a minute."""
    while True:
        left_s = seat.pinged_s + _PING_EVERY_S - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)
            continue
        seat.pinged_s = time.monotonic()
        line.send([seat.ping()])


def _end(line: Outlet, life: Life) -> None:
    """End a line as the recorded one ended: with the same close code, or with none."""
    if life.end is not None and life.end.cause not in ("closed", "refused"):
        line.reset()
        return
    words = "" if life.end is None else life.end.detail
    line.close(next((code for code in (_GOING_AWAY, _POLICY, _TRY_LATER) if f"code {code}" in words), _NORMAL))
