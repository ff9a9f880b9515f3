"""A client's way to its account: credentials, signed calls, the subscribe key.

Decided here: that nothing of it is made before somebody needs it, and where credentials may travel: over `wss://` and
`https://`, or to this machine itself. Not decided here: what is asked, which is `account.py`, and the key's life, which
is `access.py`. Everything signed of one client goes through the one `rest`, which keeps to the exchange's limits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.quoting import hide
from lbank_ws.settings import checked_for_credentials
from lbank_ws.signer import Credentials
from lbank_ws.trading.access import KeyKeeper
from lbank_ws.trading.account import AccountRest

FAREWELL_S = 1.0  # a stop waits for it


class Link:
    """One client's link to its account. Any thread may use it; the lock guards its making.

    Args:
        ws_urls: Where streams are dialled.
        rest_url: Where signed calls go; None where that is not known.
        credentials: Who asks; read from the environment at the first need when None.
        exchange_ms: Gives what the exchange's clock says, or None while that is not known.
        ca_file: As for `AccountRest`.
        proxy: As for `AccountRest`.
        timeout_s: How long a call may take.
    """

    def __init__(
        self,
        ws_urls: Sequence[str],
        rest_url: str | None,
        credentials: Credentials | None = None,
        *,
        exchange_ms: Callable[[], float | None] | None = None,
        ca_file: str | None = None,
        proxy: str | None = None,
        timeout_s: float = 3.0,
    ) -> None:
        self._ws_urls = ws_urls
        self._rest_url = rest_url
        self._credentials = credentials
        self._exchange_ms = exchange_ms
        self._ca_file = ca_file
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._rest: AccountRest | None = None
        self._keeper: KeyKeeper | None = None

    @property
    def credentials(self) -> Credentials:
        """Who asks.

        Raises:
            UsageError: None are named, nor are there any in the environment.
        """
        if self._credentials is None:
            self._credentials = Credentials.from_env()
        for secret in self._credentials.known:
            hide(secret)
        return self._credentials

    @property
    def rest(self) -> AccountRest:
        """What makes the signed calls of this client.

        Raises:
            UsageError: There are no credentials, or they may not travel there, or it is not known where to.
        """
        with self._lock:
            if self._rest is None:
                if self._rest_url is None:
                    raise UsageError(
                        "an account is asked over REST, and where another exchange has it is not known: "
                        "name rest_url beside url or hosts"
                    )
                self._rest = self._made(self._rest_url, self._timeout_s)
            return self._rest

    def _made(self, url: str, timeout_s: float) -> AccountRest:
        return AccountRest(
            url,
            self.credentials,
            exchange_ms=self._exchange_ms,
            ca_file=self._ca_file,
            proxy=self._proxy,
            timeout_s=timeout_s,
        )

    @property
    def made(self) -> AccountRest | None:
        """What makes the signed calls, where somebody has needed it so far."""
        return self._rest

    def log_in(self) -> Callable[[int], tuple[str, str, str]]:
        """Give what signs the log-in of a line.

        Raises:
            UsageError: There are no credentials, they cannot sign a log-in, or may not travel over these lines.
        """
        self._check_lines()
        self.credentials.log_in(0)  # better said here than by a line that dials
        return self.credentials.log_in

    def need(
        self,
        is_wanted: Callable[[], bool],
        give: Callable[[str | None], object],
        deny: Callable[[int | None, str, str], object],
        tell: Callable[[RestFailed], object],
    ) -> None:
        """Let there be a subscribe key while somebody wants it; see `KeyKeeper` for the arguments.

        Raises:
            UsageError: There are no credentials, or they may not travel to the exchange.
        """
        self._check_lines()
        rest = self.rest
        with self._lock:
            if self._keeper is None:
                farewell = partial(self._made, rest.url, FAREWELL_S)
                self._keeper = KeyKeeper(rest, is_wanted, give, deny, tell, farewell)

    def errand(self, now_s: float, wall_s: float) -> None:
        """Do what is due for the subscribe key; may wait for a call."""
        if (keeper := self._keeper) is not None:
            keeper.errand(now_s, wall_s)

    def refused(self, key: str, now_s: float) -> None:
        """Take it that the exchange said on a socket that a subscribe key opens nothing."""
        if (keeper := self._keeper) is not None:
            keeper.refused(key, now_s)

    def close(self) -> None:
        """Destroy the subscribe key; may wait for a call, and for no other one."""
        if (keeper := self._keeper) is not None:
            keeper.close()

    def _check_lines(self) -> None:
        for url in self._ws_urls:
            checked_for_credentials(url, "url")
