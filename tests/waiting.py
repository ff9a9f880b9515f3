"""Waiting for a condition with a deadline; no test sleeps for a fixed time."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any


def wait_until(condition: Callable[[], object], timeout_s: float = 5.0, what: str = "the condition") -> float:
    """Wait until the condition is true and give how long it took, in seconds; fail the test when time is over."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > timeout_s:
            raise AssertionError(f"{what} did not hold within {timeout_s} s")
        time.sleep(0.005)
    return time.monotonic() - began_s


def line_kinds(statuses: Sequence[Any], line: int | None = None) -> list[str]:
    """Give what happened to lines, or to one of them; what became of subscriptions is left out."""
    return [status.kind for status in statuses if status.topic is None and line in (None, status.line)]


def our_threads() -> list[str]:
    """Give the names of the client's threads that run in this process."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(
            (
                "lbank-ws-socket",
                "lbank-ws-dispatch",
                "lbank-ws-caretaker",
                "lbank-ws-fetch",
                "lbank-ws-sink",
                "lbank-ws-lease",
                "lbank-ws-page",
            )
        )
    ]


def open_sockets() -> int:
    """Count this process's open sockets."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed the folder is gone
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count
