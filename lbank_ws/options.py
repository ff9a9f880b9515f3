"""Which options of a client can be used; one that cannot is refused when the client is made."""

from __future__ import annotations

import re

from lbank_ws.errors import UsageError

_LEAST_S = {"silent_after_s": 1.0, "stale_after_s": 0.1}
_MAY_BE_NONE = ("give_up_after_s",)
_MAY_BE_ZERO = ("give_up_after_s", "late_after_s")
LEAST_MESSAGE_BYTES = 65_536  # a book of a hundred levels a side, and some
_NODES = re.compile(r"[a-z]+")


def check_lengths(**lengths_s: float | None) -> None:
    """Check lengths of time by the names of their options.

    Raises:
        UsageError: One of them is no length of time, or too short.
    """
    for name, length_s in lengths_s.items():
        if length_s is None and name in _MAY_BE_NONE:
            continue
        least_s = _LEAST_S.get(name, 0.0)
        is_number = isinstance(length_s, int | float) and not isinstance(length_s, bool)
        is_long_enough = is_number and (length_s >= least_s if least_s or name in _MAY_BE_ZERO else length_s > 0)  # type: ignore[operator]  # is_number says so
        if not is_long_enough:
            bound = f", at least {least_s:g}" if least_s else "" if name in _MAY_BE_ZERO else " above 0"
            none = ", or None for ever" if name in _MAY_BE_NONE else ""
            raise UsageError(f"{name} is a length of time in seconds{bound}{none}, not {length_s!r}")


def checked_queue(events: int) -> int:
    """Give how many events may wait, unchanged, or raise `UsageError`."""
    if isinstance(events, bool) or not isinstance(events, int) or events < 1:
        raise UsageError(f"queue_events is a whole number above 0, not {events!r}")
    return events


def checked_message(size: int) -> int:
    """Give how many bytes a message may have, unchanged, or raise `UsageError`."""
    if isinstance(size, bool) or not isinstance(size, int) or size < LEAST_MESSAGE_BYTES:
        raise UsageError(
            f"max_message_bytes is a whole number, at least {LEAST_MESSAGE_BYTES}, so that a book fits in, not {size!r}"
        )
    return size


def checked_nodes(nodes: str | None) -> str | None:
    """Give the letters of the publishing nodes that count, unchanged, or raise `UsageError`."""
    if nodes is not None and not (isinstance(nodes, str) and _NODES.fullmatch(nodes)):
        raise UsageError(f"nodes is letters before a node's dash, such as 't' or 'tm', or None for all, not {nodes!r}")
    return nodes
