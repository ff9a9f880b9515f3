"""Measure what a collector takes: messages a second, processor time, memory, and what the disk gets.

    python benchmarks/collect.py
    python benchmarks/collect.py --pairs 200 --rate 5000 --for 600

A generator (wire.py, frames.py) runs in a process of its own, `lbank-ws collect` in another: tickers, trades and books,
one after the other over all pairs. Prints JSON: the figures of the collector alone, from when all is live until the
end. What they mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from frames import Pool, header
from wire import Wire

from lbank_ws.collect import manifest
from lbank_ws.collect.verifying import verify

TICKS = os.sysconf("SC_CLK_TCK")
TURN_S = 0.01


class Crowd:
    """Who has subscribed what; each connection is read by a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _wires
        self._wires: dict[tuple[str, str], Wire] = {}

    def subscribed(self) -> dict[tuple[str, str], Wire]:
        """Give which connection asked for a kind of a pair last."""
        with self._lock:
            return dict(self._wires)

    def take(self, server: socket.socket) -> None:
        """Take connections."""
        while True:
            connection, _ = server.accept()
            threading.Thread(target=self._welcome, args=(connection,), daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        try:
            wire = Wire(connection, None)
            wire.handshake()
            while (payload := wire.frame()) is not None:
                told = json.loads(payload or b"{}")
                if told.get("action") == "subscribe":
                    with self._lock:
                        self._wires[told["subscribe"], told["pair"]] = wire
                elif told.get("action") == "ping":
                    pong = json.dumps({"action": "pong", "pong": told["ping"]}).encode()
                    wire.send([header(len(pong)) + pong])
        except (OSError, ValueError):
            connection.close()


def serve(rate: float, levels: int, topics_wanted: int) -> None:
    """Send so many messages a second to whoever subscribes, until the input ends.

    The first line is the address, the second comes when so many topics are subscribed.
    """
    crowd, pool = Crowd(), Pool("lbank", levels=levels)
    pieces = {kind: pool.pieces(kind) for kind in ("tick", "trade", "depth")}
    server = socket.create_server(("127.0.0.1", 0), backlog=600)
    threading.Thread(target=crowd.take, args=(server,), daemon=True).start()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"ws://127.0.0.1:{server.getsockname()[1]}", flush=True)
    count, owed, at_s, is_told = 0, 0.0, time.monotonic(), False
    while True:
        time.sleep(TURN_S)
        now_s = time.monotonic()
        owed, at_s = owed + rate * (now_s - at_s), now_s
        topics = list(crowd.subscribed().items())
        if not is_told and len(topics) >= topics_wanted:
            is_told = True
            print("subscribed", flush=True)
        moment = pool.moment(time.time())
        batches: dict[Wire, list[bytes]] = {}
        for _ in range(int(owed) if topics else 0):
            (kind, pair), wire = topics[count % len(topics)]
            frame = moment.join(pieces[kind][count // len(topics) * 7919 % len(pieces[kind])])
            batches.setdefault(wire, []).append(frame.replace(b"btc_usdt", pair.encode()))
            count += 1
        owed -= int(owed)
        for wire, frames in batches.items():
            with contextlib.suppress(OSError):  # it hung up
                wire.send(frames)


def cpu_s(pid: int) -> float:
    """Give the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Give the memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def measured(args: argparse.Namespace, folder: Path, generator: subprocess.Popen[str]) -> dict[str, object]:
    """Collect, and give what it took."""
    if generator.stdout is None:
        raise SystemExit("the generator has no output")
    url = generator.stdout.readline().strip()
    store = folder / "data"
    # As long as btc_usdt, in whose place they stand.
    pairs = [f"{number:03}_usdt" for number in range(args.pairs)]
    words = ["collect", *pairs, "--channels", "ticker,depth,trade", "--levels", str(args.levels), "--to", str(store)]
    process = subprocess.Popen([sys.executable, "-m", "lbank_ws", *words, "--url", url, "-q"])
    try:
        generator.stdout.readline()
        began_s, cpu_before_s = time.monotonic(), cpu_s(process.pid)
        memory = []
        for tenth in range(10):
            while time.monotonic() < began_s + args.for_s * (tenth + 1) / 10:
                time.sleep(0.1)
            memory.append(memory_mb(process.pid))
        share = (cpu_s(process.pid) - cpu_before_s) / (time.monotonic() - began_s)
        process.send_signal(signal.SIGTERM)
        stop_s = time.monotonic()
        code = process.wait(60)
        stop_s = time.monotonic() - stop_s
    finally:
        process.kill()
        process.wait()
    (run,) = manifest.runs(store)
    said = manifest.read(store, run)
    # The generator sends at one rate from the first subscription on.
    first_ns = min(row["first_ns"] for row in said["segments"])
    rate = said["events"] / (max(row["last_ns"] for row in said["segments"]) - first_ns) * 1e9
    began_s = time.monotonic()
    verdict = verify(store)
    return {
        "subscriptions": 3 * args.pairs,
        "events": said["events"],
        "events_per_s": round(rate),
        "cpu_of_one_core": round(share, 3),
        "us_per_event": round(share / rate * 1e6, 1),
        "memory_mb": memory,
        "dropped": said["dropped"],
        "late": said["late"],
        "gaps": len(said["gaps"]),
        "bytes_per_event": round(sum(row["bytes"] for row in said["segments"]) / max(1, said["events"])),
        "stop_s": round(stop_s, 2),
        "exit_code": code,
        "verify_s": round(time.monotonic() - began_s, 1),
        "problems": len(verdict.problems),
    }


def main() -> None:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--levels", type=int, default=20)
    parser.add_argument("--rate", type=float, default=5000.0, help="messages a second")
    parser.add_argument("--for", dest="for_s", type=float, default=60.0, help="seconds, once all is live")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.rate, args.levels, 3 * args.pairs)
        return
    command = [sys.executable, __file__, "--serve", "--rate", str(args.rate)]
    command += ["--levels", str(args.levels), "--pairs", str(args.pairs)]
    generator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(args, Path(folder), generator), indent=1))
    finally:
        generator.kill()
        generator.communicate()


if __name__ == "__main__":
    main()
