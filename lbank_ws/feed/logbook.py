"""What reaches the log, and how often: a line that is away for an hour must not fill a disk.

Not decided here: what is a fault, and who else hears of it.
"""

from __future__ import annotations

import logging
import threading
import time

from lbank_ws.errors import CallbackError, LBankError, SlowCallback, SubscriptionRefused
from lbank_ws.events import Status

log = logging.getLogger("lbank_ws")

_APART_S = 60.0


class Logbook:
    """Writes the log of one client; used by its threads, guarded by its own lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[object, tuple[float, int]] = {}

    def fault(self, fault: LBankError, *, again: bool = False) -> None:
        """Log a fault with its traceback; the same kind again at most once a minute, with the count between.

        Args:
            fault: What went wrong.
            again: It is one that came before, so where it is not logged it is not counted either.
        """
        kind: object = type(fault)
        if isinstance(fault, CallbackError):
            kind = (kind, fault.callback, type(fault.__cause__))
        elif isinstance(fault, SlowCallback):
            kind = (kind, fault.callback, fault.decorator)
        elif isinstance(fault, SubscriptionRefused):
            kind = (kind, fault.topic)  # else a second misspelt pair would never be named
        silent = self._turn(kind, counted=not again)
        if silent is not None:
            log.error("%s%s", fault, _more(silent), exc_info=fault.__cause__)

    def status(self, status: Status) -> None:
        """Log what happened to a line or a subscription; what happens again and again once a minute.

        A refusal is a fault as well, and logged as one.
        """
        host, cause = status.host, None if status.cause is None else status.cause.sentence()
        if status.kind == "failed":
            if self._turn(host) is not None:
                log.warning("cannot reach %s (%s); attempt %d, trying on", host, cause, status.attempts)
        elif status.kind == "lost":
            silent = self._turn((host, status.kind))
            if silent is not None:
                log.warning("lost the line to %s (%s)%s", host, cause, _more(silent))
        elif status.kind == "reconnected":
            if self._turn((host, status.kind)) is not None:
                log.info("back on %s after %.1f s", host, status.outage_s)
        elif status.kind == "opened":
            if self._turn((host, status.kind)) is not None:
                log.info("connected to %s", host)
        elif status.kind == "moved":
            if self._turn((host, status.kind)) is not None:
                log.warning("going on with %s (%s)", host, cause)
        elif status.kind == "stale":
            silent = self._turn((status.topic, status.kind))
            if silent is not None:
                log.warning("%s is stale (%s)%s", status.topic, cause, _more(silent))

    def _turn(self, kind: object, *, counted: bool = True) -> int | None:
        """Tell how many of a kind went unlogged since the last line, or None when it is too early for another."""
        with self._lock:
            now_s = time.monotonic()
            since_s, silent = self._kinds.get(kind, (-_APART_S, 0))
            if now_s - since_s < _APART_S:
                self._kinds[kind] = (since_s, silent + counted)
                return None
            self._kinds[kind] = (now_s, 0)
            return silent


def _more(silent: int) -> str:
    return f" (and {silent} more like it since the last such line)" if silent else ""


def silence(logger: str, threads: str) -> None:
    """Keep what a library logs on threads of that name out of the log; elsewhere it may belong to others."""
    logging.getLogger(logger).addFilter(lambda record: not (record.threadName or "").startswith(threads))
