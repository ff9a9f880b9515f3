"""Measure what many subscriptions cost: lines, threads, memory, and how long until all are live.

    python benchmarks/lines.py
    python benchmarks/lines.py --depths 1000 --others 0

It takes up to two minutes, most of them for dials that are 0.1 s apart, and prints JSON. The practice exchange runs in
a process of its own, with a market that stands still, so that it is the client that is measured.
What the figures mean stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from lbank_ws import LBankClient, Subscribed
from lbank_ws.sandbox import Sandbox

OTHERS = (("ticker", None), ("trade", None), ("kline", "1min"), ("kline", "5min"))
DEADLINE_S = 300.0


def pairs_of(count: int) -> list[str]:
    """Give so many made-up pairs."""
    return [f"c{number}_usdt" for number in range(count)]


def serve(pairs: int) -> None:
    """Run the practice exchange until the input ends; its first line is the address."""
    with Sandbox(pairs=pairs_of(pairs), speed=0) as box:
        print(box.url, flush=True)
        for line in sys.stdin:
            box.step(float(line))
            print("stepped", flush=True)


def memory_kb(key: str) -> int:
    """Give a figure of this process from /proc, in kB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def measured(url: str, depths: int, others: int) -> dict[str, object]:
    """Subscribe everything, wait until all is live, and give what it took."""
    client = LBankClient(url=url)
    pairs = pairs_of(max(depths, -(-others // len(OTHERS)), 1))
    before_kb, fds = memory_kb("VmRSS"), len(os.listdir("/proc/self/fd"))
    for pair in pairs[:depths]:
        client.subscribe("depth", pair)
    for number in range(others):
        channel, interval = OTHERS[number % len(OTHERS)]
        client.subscribe(channel, pairs[number // len(OTHERS)], interval=interval)
    lines = len(client.lines())
    began_s = time.monotonic()
    client.start()
    while any(known.state is not Subscribed.LIVE for known in client.subscriptions()):
        if time.monotonic() - began_s > DEADLINE_S:
            raise SystemExit(f"not live within {DEADLINE_S:.0f} s")
        time.sleep(0.2)
    live_s = time.monotonic() - began_s
    idle_kb = memory_kb("VmRSS")
    cpu_s, at_s = time.process_time(), time.monotonic()
    time.sleep(5)  # idle: pings, questions, the caretaker
    idle_cpu = (time.process_time() - cpu_s) / (time.monotonic() - at_s)
    found = {
        "subscriptions": depths + others,
        "lines": lines,
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) - fds,
        "live_s": round(live_s, 1),
        "memory_kb_per_line": round((idle_kb - before_kb) / lines, 1),
        "memory_mb": round(idle_kb / 1024, 1),
        "idle_cpu": round(idle_cpu, 3),
    }
    began_s = time.monotonic()
    has_ended = client.stop(30)
    return {**found, "stop_s": round(time.monotonic() - began_s, 2), "has_ended": has_ended}


def main() -> None:
    """Run the benchmark."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    command.add_argument("--depths", type=int, default=200, help="depth subscriptions, each on a line of its own")
    command.add_argument("--others", type=int, default=800, help="tickers, trades and bars, ten on a line")
    args = command.parse_args()
    if args.serve is not None:
        serve(args.serve)
        return
    pairs = max(args.depths, -(-args.others // len(OTHERS)), 1)
    box = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(pairs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        url = box.stdout.readline().strip() if box.stdout else ""
        print(json.dumps(measured(url, args.depths, args.others)))
    finally:
        if box.stdin:
            box.stdin.close()
        box.wait(30)


if __name__ == "__main__":
    main()
