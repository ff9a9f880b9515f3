"""A TCP relay on loopback that spoils what a server sends, by seed, and keeps a log of what it did."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from tests.faults.passage import DAMAGING, ENDING, Damage, Fault, Places, begins, pieces

_CHUNK = 65536
_Answer = TypeVar("_Answer")


@dataclass
class Deed:
    """What the proxy did to one connection: the fault, and when it began, on the wall clock in seconds."""

    fault: Fault
    at_s: float


@dataclass(eq=False)
class _Way:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    fault: Fault | None
    places: Places = field(default_factory=Places)
    frames: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class ChaosProxy:
    """Relays to a port of this machine. Methods may be called from any thread but its own.

    Args:
        port: Where the server listens.
        seed: Of the damage.

    Attributes:
        port: Where it listens itself; the same over `away` and `back`.
        connections: How many were accepted.
        deeds: What it did, in order.
    """

    def __init__(self, port: int, *, seed: int = 1) -> None:
        self._server_port = port
        self._chance = random.Random(seed)
        self._planned: deque[Fault | None] = deque()
        self._every: Fault | None = None
        self._ways: set[_Way] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.deeds: list[Deed] = []
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        self.back()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def plan(self, *faults: Fault | None) -> None:
        """Spoil the connections to come with these, one each; None lets one pass."""
        self._call(lambda: self._planned.extend(faults))

    def every(self, fault: Fault | None) -> None:
        """Spoil every connection to come that nothing else is planned for; None ends that."""

        def act() -> None:
            self._every = fault

        self._call(act)

    def strike(self, fault: Fault) -> int:
        """Spoil every open connection; tell how many there were."""

        def act() -> int:
            for way in self._ways:
                way.fault, way.frames = fault, 0
                if fault.phase == "at once" and fault.kind in ENDING:
                    self._end(way, fault)
            return len(self._ways)

        return self._call(act)

    def away(self) -> None:
        """Refuse every dial, and end what is open."""
        self._run(self._shut())
        self.strike(Fault("reset", "at once"))

    def back(self) -> None:
        """Take dials again."""
        self._run(self._open())

    @property
    def open(self) -> int:
        """How many connections are open."""
        return self._call(lambda: len(self._ways))

    # How it is done; all below runs on the loop.

    def _call(self, act: Callable[[], _Answer]) -> _Answer:
        async def run() -> _Answer:
            return act()

        return self._run(run())

    def _run(self, work: Coroutine[object, object, _Answer]) -> _Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._shut()
        for way in list(self._ways):
            way.client.transport.abort()
            way.gone.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        way = _Way(client, self._planned.popleft() if self._planned else self._every)
        self._ways.add(way)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, way)
        finally:
            self._ways.discard(way)
            self._tasks.discard(task)
            client.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, way: _Way) -> None:
        if way.fault is not None and way.fault.phase == "dial":
            self._note(way.fault)
            if way.fault.kind in ENDING:
                self._end(way, way.fault)
            while await reader.read(_CHUNK):  # until the client leaves
                pass
            return
        from_server, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        down = asyncio.ensure_future(self._down(from_server, way))
        try:
            while chunk := await reader.read(_CHUNK):
                server.write(chunk)
                await server.drain()
        finally:
            way.gone.set()
            server.transport.abort()
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)

    async def _down(self, reader: asyncio.StreamReader, way: _Way) -> None:
        damage: Damage | None = None
        lasting: tuple[Fault, float] | None = None  # what lasts, and until when on the loop's clock
        while chunk := await reader.read(_CHUNK):
            places = way.places.of(chunk)
            at = begins(way.fault, places, way.frames) if way.fault is not None else None
            way.frames += sum(phase == "stream" for _, phase in places)
            if at is not None and way.fault is not None:
                fault, way.fault = way.fault, None
                await self._pass(way, chunk[:at], None)
                chunk = chunk[at:]
                self._note(fault)
                if fault.kind in ENDING:
                    self._end(way, fault)
                    await way.gone.wait()
                    return
                if fault.kind in DAMAGING:
                    damage = Damage(fault, self._chance)
                elif fault.kind == "stall":
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(way.gone.wait(), fault.for_s)
                else:
                    lasting = fault, self._loop.time() + (fault.for_s or 1e9)
            if damage is not None:
                chunk = damage.done_to(chunk)
                damage = None if damage.is_over else damage
            if lasting is not None and self._loop.time() > lasting[1]:
                lasting = None
            await self._pass(way, chunk, lasting[0] if lasting else None)
        way.client.write_eof()

    async def _pass(self, way: _Way, chunk: bytes, fault: Fault | None) -> None:
        for piece, wait_s in pieces(chunk, fault) if fault is not None else [(chunk, 0.0)]:
            if wait_s:
                await asyncio.sleep(wait_s)
            way.client.write(piece)
            await way.client.drain()
            if fault is not None:
                await asyncio.sleep(0)

    def _end(self, way: _Way, fault: Fault) -> None:
        """End a connection towards the client; the server sees an end as soon as the client has left."""
        if fault.phase == "at once":
            self._note(fault)
        if fault.kind == "half_close":
            way.client.write_eof()
            return
        if fault.kind == "reset":
            sock = way.client.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            way.client.transport.abort()
        way.client.close()

    def _note(self, fault: Fault) -> None:
        self.deeds.append(Deed(fault, time.time()))
