"""How a signed call is made.

Decided here: for which moment a call is signed, that reads are repeated when the line breaks and that nothing else ever
is, and that everything that belongs to one call ends in its time. Not decided here: what is asked, which is
`account.py`. Source: docs/reference/wire.md, "Signature".
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from lbank_ws.errors import RestFailed
from lbank_ws.settings import checked_for_credentials
from lbank_ws.signer import Credentials, new_nonce, signed_request
from lbank_ws.trading.calling import Answer
from lbank_ws.trading.pacing import ORDER_CALLS, Pacing
from lbank_ws.trading.refusals import CLOCK
from lbank_ws.trading.rest import Rest

log = logging.getLogger("lbank_ws")

REPEATS = 2  # so often a read is sent again

_MEASURE_EVERY_S = 600.0
_DOUBTED_S = 60.0
_NOTABLE_MS = 1_000  # the exchange refuses what is so far in the future


class SignedRest(Rest):
    """Makes calls in the name of an account. May be used by several threads.

    One call is made at a time, and the others wait for it: a lock guards the connection and the limits.

    Args:
        url: Where the interface is; `https://`, or `http://` to this machine itself.
        credentials: Who asks.
        exchange_ms: Gives what the exchange's clock says, in epoch milliseconds, or None while that is not known; then,
            and without it, the exchange is asked.
        ca_file: A file of certificate authorities to trust in place of the system's.
        proxy: The URL of a proxy; needs the extra `proxy`.
        timeout_s: How long a call may take in all.

    Raises:
        UsageError: The address, the file or the proxy cannot be used, or credentials must not travel there.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        exchange_ms: Callable[[], float | None] | None = None,
        ca_file: str | None = None,
        proxy: str | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        super().__init__(checked_for_credentials(url, "rest_url"), ca_file=ca_file, proxy=proxy, timeout_s=timeout_s)
        self._credentials = credentials
        self._exchange_ms = exchange_ms
        self._measured: tuple[float, float] | None = None  # the exchange's clock less the monotonic one, and when
        self._doubted_until_s = 0.0  # until when the exchange itself is asked what its clock says
        self._ordering = Pacing(ORDER_CALLS)
        self._lock = threading.RLock()

    def get(self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = 0) -> Answer:
        """Give the answer to a public question; see `Caller.get`."""
        with self._lock:
            return super().get(path, asked, repeats=repeats)

    def post(
        self,
        path: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        pacing: Pacing | None = None,
        secret: Collection[str] = (),
        is_fresh: bool = False,
    ) -> Answer:
        """Give the answer to a request with a form; see `Caller.post`."""
        with self._lock:
            return super().post(path, form, headers, pacing=pacing, secret=secret, is_fresh=is_fresh)

    def close(self) -> None:
        """Close the connection; a further call would open another one."""
        with self._lock:
            super().close()

    def exchange_ms(self) -> int:
        """Tell what the exchange's clock says, in epoch milliseconds; it is asked where that is not known.

        Raises:
            RestFailed: There was no answer.
        """
        with self._lock:
            now_s = time.monotonic()
            if self._exchange_ms is not None and now_s >= self._doubted_until_s:
                known = self._exchange_ms()
                if known is not None:
                    return int(known)
            if self._measured is None or now_s - self._measured[1] > _MEASURE_EVERY_S:
                asked_s = time.monotonic()
                told_ms = self.time_ms()
                now_s = time.monotonic()
                self._measured = (told_ms / 1000 - (asked_s + now_s) / 2, now_s)
                off_ms = round(time.time() * 1000 - told_ms)
                if abs(off_ms) > _NOTABLE_MS:
                    log.warning(
                        "this computer's clock is %.1f s %s the exchange's; calls are signed with the exchange's",
                        abs(off_ms) / 1000,
                        "ahead of" if off_ms > 0 else "behind",
                    )
            return int((self._measured[0] + now_s) * 1000)

    def ask(self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = REPEATS) -> Answer:
        """Make a call that changes nothing, again when the line breaks, or when it was signed by a wrong clock."""
        with self._deadline() as until_s:
            while True:
                try:
                    return self._signed(path, asked or {}, self._pacing)
                except RestFailed as failure:
                    is_broken = failure.code is None or failure.code == CLOCK
                    if not is_broken or repeats <= 0 or time.monotonic() >= until_s:
                        raise
                    repeats -= 1

    def write(self, path: str, asked: Mapping[str, str]) -> Answer:
        """Make a call that changes something, once."""
        with self._deadline():
            return self._signed(path, asked, self._ordering, is_fresh=True)

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[float]:
        """Let everything that belongs to one call, its tries and the question for the time, end in its time."""
        with self._lock:
            self._until_s = time.monotonic() + self._route.timeout_s
            try:
                yield self._until_s
            finally:
                self._until_s = None

    def _signed(self, path: str, asked: Mapping[str, str], pacing: Pacing, *, is_fresh: bool = False) -> Answer:
        with self._lock:
            try:
                now_ms = self.exchange_ms()
            except RestFailed as failure:
                raise RestFailed(path, f"the exchange's clock is not known: {failure.reason}", was_sent=False) from None
            request = signed_request(asked, self._credentials, now_ms, new_nonce())
            secret = {*self._credentials.known, request.body["sign"]}
            if "subscribeKey" in asked:
                secret.add(asked["subscribeKey"])
            try:
                return self.post(path, request.body, request.headers, pacing=pacing, secret=secret, is_fresh=is_fresh)
            except RestFailed as failure:
                if failure.code == CLOCK:
                    self._measured = None
                    self._doubted_until_s = time.monotonic() + _DOUBTED_S
                raise
