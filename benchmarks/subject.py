"""Run one subject against the generator; feed.py starts it, in a process of its own.

python benchmarks/subject.py picows+orjson --url ws://127.0.0.1:8765 --kinds tick --phases flood:10000
"""

from __future__ import annotations

import argparse
import os
import threading

from subjects import SUBJECTS, Feed
from tally import Tally


def compute(is_over: threading.Event) -> None:
    """Be busy in pure Python, as a strategy may be."""
    total = 0
    while not is_over.is_set():
        for number in range(10_000):
            total += number * number


def main() -> None:
    """Run it; it ends with its last message, or when it is told to."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("name", choices=SUBJECTS)
    command.add_argument("--url", required=True)
    command.add_argument("--kinds", required=True, help="tick, trade, depth, with commas")
    command.add_argument("--phases", required=True, help="see tally.py")
    command.add_argument("--ca-file", default="")
    command.add_argument("--core", type=int, help="the processor to stay on")
    command.add_argument("--busy", action="store_true", help="another thread computes all the time")
    command.add_argument("--for", type=float, default=60.0, dest="for_s", help="end after so many seconds")
    args = command.parse_args()
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    tally = Tally(args.phases)
    listen = SUBJECTS[args.name].load()
    feed = Feed(args.url, tuple(args.kinds.split(",")), args.ca_file, tally)
    if args.busy:
        threading.Thread(target=compute, args=(tally.is_over,), daemon=True).start()

    def end() -> None:
        tally.is_over.wait(args.for_s)
        tally.cut()
        os._exit(0)  # some of them take seconds to end, or wait for somebody to read what they got

    threading.Thread(target=end, daemon=True).start()
    listen(feed)


if __name__ == "__main__":
    main()
