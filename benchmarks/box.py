"""Measure the practice exchange: how fast it sends, to how many at once, and what memory it takes.

    python benchmarks/box.py

It takes less than a minute and prints a table, and JSON in the last line. The clients run in a process of their own,
are as plain as sockets allow and read as fast as they can, so that it is the box that is measured.
What the columns mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

INTERVALS = ("1min", "5min", "15min", "30min", "1hr", "4hr", "day", "week", "month", "year")
SPEEDS = (25, 100, 200, 400)
UTC8 = timezone(timedelta(hours=8))
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# --- the client's process


class RawLine:
    """A socket that counts frames.

    Attributes:
        frames: How many came.
        ages_s: How old each 50th was, by its `TS`.
        last: The last one.
    """

    def __init__(self, url: str, asked: list[dict[str, object]]) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), 10)
        self.socket.sendall(_HANDSHAKE.format(path=parts.path, host=parts.netloc).encode())
        self._waiting = b""
        while b"\r\n\r\n" not in self._waiting:
            self._waiting += self.socket.recv(4096)
        self._waiting = self._waiting.partition(b"\r\n\r\n")[2]
        for frame in asked:
            self.socket.sendall(_masked(json.dumps(frame).encode()))
        self.socket.setblocking(False)
        self.frames = 0
        self.bytes = 0
        self.ages_s: list[float] = []
        self.last = b""

    def read(self) -> None:
        """Take what has come."""
        came = self.socket.recv(1 << 20)
        if not came:
            raise ConnectionError("the box hung up")
        self.bytes += len(came)
        held = self._waiting + came
        at, end = 0, len(held)
        while at + 10 <= end:
            length, head = held[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(held[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(held[at + 2 : at + 10], "big"), 10
            if at + head + length > end:
                break
            self.last = held[at + head : at + head + length]
            self.frames += 1
            if self.frames % 50 == 0 and (age_s := _age_s(self.last)) is not None:
                self.ages_s.append(age_s)
            at += head + length
        self._waiting = held[at:]


def _masked(payload: bytes) -> bytes:
    """Give a text frame with a mask of zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + payload


def _sent_s(frame: bytes) -> float | None:
    """Give the epoch seconds of a frame's own `TS`, the last one in it."""
    at = frame.rfind(b'"TS":"')
    if at < 0:
        return None
    return datetime.fromisoformat(frame[at + 6 : at + 29].decode()).replace(tzinfo=UTC8).timestamp()


def _age_s(frame: bytes) -> float | None:
    """Give how old a frame is that carries the time of day."""
    sent_s = _sent_s(frame)
    return None if sent_s is None else time.time() - sent_s


def client(url: str, pairs: list[str], lines: int, seconds: float, *, every_bar: bool) -> dict[str, Any]:
    """Read on some lines for some seconds; the first second is not counted."""
    asked = [_subscribe(pair, "tick") for pair in pairs] + [_subscribe(pair, "trade") for pair in pairs]
    asked += [_subscribe(pair, "depth", depth=20) for pair in pairs]
    asked += [_subscribe(pair, "kbar", kbar=each) for pair in pairs for each in (INTERVALS if every_bar else ["1min"])]
    opened = [RawLine(url, asked) for _ in range(lines)]
    waiting = selectors.DefaultSelector()
    for line in opened:
        waiting.register(line.socket, selectors.EVENT_READ, line)
    _read_for(waiting, 1.0)
    before = [(line.frames, line.bytes) for line in opened]
    first_s = _sent_s(opened[0].last)
    for line in opened:
        line.ages_s.clear()
    took_s = _read_for(waiting, seconds)
    last_s = _sent_s(opened[0].last)
    counts = [line.frames - frames for line, (frames, _) in zip(opened, before, strict=True)]
    ages_s = sorted(age_s for line in opened for age_s in line.ages_s) or [0.0]
    return {
        "frames": sum(line.frames for line in opened),
        "frames_per_s": round(sum(counts) / took_s),
        "megabytes_per_s": round(
            sum(line.bytes - old for line, (_, old) in zip(opened, before, strict=True)) / took_s / 1e6, 2
        ),
        "fewest": min(counts),
        "most": max(counts),
        "market_s_per_s": round((last_s - first_s) / took_s, 1) if last_s and first_s else None,
        "age_ms_p50": round(1000 * ages_s[len(ages_s) // 2], 1),
        "age_ms_p99": round(1000 * ages_s[int(len(ages_s) * 0.99)], 1),
    }


def _read_for(waiting: selectors.BaseSelector, seconds: float) -> float:
    began_s = time.monotonic()
    while (took_s := time.monotonic() - began_s) < seconds:
        for key, _ in waiting.select(0.1):
            key.data.read()
    return took_s


def _subscribe(pair: str, channel: str, **more: object) -> dict[str, object]:
    return {"action": "subscribe", "subscribe": channel, "pair": pair, **more}


# --- the box's process


def measured(lines: int, speed: float, pairs: list[str], seconds: float, *, every_bar: bool) -> dict[str, Any]:
    """Run a box, and a client process beside it; give what the client found, and the box's memory and CPU time."""
    from lbank_ws.sandbox import Sandbox

    with Sandbox(seed=1, speed=speed) as box:
        before_mb, cpu_s = _memory_mb(), time.process_time()
        command = [sys.executable, __file__, "--client", box.v2_url, "--lines", str(lines), "--for", str(seconds)]
        command += ["--pairs", *(pairs or box.pairs), *(["--every-bar"] if every_bar else [])]
        reading = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory_mb = [before_mb]
        began_s = time.monotonic()
        while reading.poll() is None and time.monotonic() - began_s < seconds + 20:
            memory_mb.append(_memory_mb())
            time.sleep(0.1)
        reading.kill()
        out, _ = reading.communicate()
        took_s = time.monotonic() - began_s
        found: dict[str, Any] = json.loads(out) if out else {"failed": True}
        cpu_s = time.process_time() - cpu_s
        if speed != 1:  # the clock of the market is another one
            found |= {"age_ms_p50": None, "age_ms_p99": None}
        return {
            "lines": lines,
            "speed": speed,
            **found,
            "frames_per_cpu_s": round(found.get("frames", 0) / cpu_s),
            "box_cpu": round(cpu_s / took_s, 2),
            "memory_mb": round(before_mb, 1),
            "memory_peak_mb": round(max(memory_mb), 1),
        }


def _memory_mb() -> float:
    """Give how much memory this process has in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def runs(seconds: float) -> Iterator[dict[str, Any]]:
    """One client at ever higher speeds, then two hundred at once; each box in a process of its own."""
    for lines, speed in [*((1, speed) for speed in SPEEDS), (200, 1)]:
        command = [sys.executable, __file__, "--run", str(lines), str(speed), "--for", str(seconds)]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
        yield json.loads(out)


_COLUMNS = (
    *("lines", "speed", "frames_per_s", "frames_per_cpu_s", "box_cpu", "megabytes_per_s", "market_s_per_s"),
    *("age_ms_p50", "age_ms_p99", "fewest", "most", "memory_mb", "memory_peak_mb"),
)


def main() -> None:
    """Measure, or be the client of a measurement."""
    parser = argparse.ArgumentParser(description="Measure the practice exchange.")
    parser.add_argument("--for", dest="seconds", type=float, default=4.0, help="of each run (default: 4)")
    parser.add_argument("--run", nargs=2, type=int, metavar=("LINES", "SPEED"), help=argparse.SUPPRESS)
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--lines", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--every-bar", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        print(json.dumps(client(args.client, args.pairs, args.lines, args.seconds, every_bar=args.every_bar)))
        return
    if args.run:
        lines, speed = args.run
        pairs = ["btc_usdt", "eth_usdt", "sol_usdt"] if lines > 1 else []
        print(json.dumps(measured(lines, speed, pairs, args.seconds, every_bar=not pairs)))
        return
    print("  ".join(_COLUMNS), flush=True)
    found = []
    for run in runs(args.seconds):
        found.append(run)
        print("  ".join(f"{run.get(name)!s:>{len(name)}}" for name in _COLUMNS), flush=True)
    best = {
        f"best_{name}": max(run.get(name, 0) for run in found if run["lines"] == 1)
        for name in ("frames_per_s", "frames_per_cpu_s")
    }
    print(json.dumps({**best, "cpus": os.cpu_count(), "load": os.getloadavg()[0], "runs": found}))


if __name__ == "__main__":
    main()
