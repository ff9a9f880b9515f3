"""The calls of the exchange's REST interface that need no key: its clock, its pairs, past trades and bars.

Decided here: how a call is made, what counts as an answer, and that calls keep to the exchange's limit. Not decided
here: who calls, and what happens after a failure. A call never hangs and never fills the memory: it has one deadline
from the first address tried to the last byte read, and an answer has a size. Reads of the past may be sent twice, when
the connection breaks; the others are not. Source: docs/reference/wire.md, "REST".

`requests` is imported when a `Rest` makes its first call, because it takes longer than all the rest of this package.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from lbank_ws.channels import checked_interval, checked_pair, is_pair
from lbank_ws.errors import DecodeError, RestFailed, UsageError
from lbank_ws.events import Kline, Receipt, Side, Trade
from lbank_ws.quoting import quoted
from lbank_ws.settings import checked_url
from lbank_ws.trading.pacing import CALLS, TOO_FREQUENT, WINDOW_S, Pacing
from lbank_ws.trading.transport import Route, session_by
from lbank_ws.wire import values
from lbank_ws.wire.values import BadValueError, parsed

if TYPE_CHECKING:
    import requests

DEFAULT_URLS = ("https://api.lbkex.com", "https://api.lbank.info", "https://www.lbkex.net")
MAX_BYTES = 4 * 1024 * 1024  # an answer about all 1,400 pairs has a tenth of it

_TIMESTAMP = "/v2/timestamp.do"
_PAIRS = "/v2/currencyPairs.do"
_TRADES = "/v2/supplement/trades.do"
_KLINES = "/v2/kline.do"
MOST_TRADES = 500
MOST_BARS = 2000
# Bars of a year are not to be had over REST. Source: docs/reference/wire.md, "REST".
BAR_TYPES = {
    "1min": "minute1",
    "5min": "minute5",
    "15min": "minute15",
    "30min": "minute30",
    "1hr": "hour1",
    "4hr": "hour4",
    "day": "day1",
    "week": "week1",
    "month": "month1",
}
_REPEATS = 2  # so often a read of the past is sent again when the connection breaks
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_COLUMNS = 6
_FIRST_MS = 100_000_000_000  # epoch seconds reach this in the year 5138
_OK = 200
_CHUNK = 64 * 1024
_Row = TypeVar("_Row")
_CODE = re.compile(r"[0-9]{1,9}")


class Rest:
    """Calls the exchange over HTTP and keeps the connection for the next call. Used by one thread at a time.

    TLS is verified, 1.2 or newer, by the system's authorities or by those of `ca_file`. `requests` would ask certifi,
    its own list; here a call trusts whom the feed trusts. No proxy, no netrc and no `REQUESTS_CA_BUNDLE` is taken from
    the environment; only OpenSSL itself looks at `SSL_CERT_FILE` to find the system's. Redirects are not followed.

    Args:
        url: Where the interface is, such as `DEFAULT_URLS[0]`.
        ca_file: A file of certificate authorities to trust in place of the system's.
        proxy: The URL of a proxy; needs the extra `proxy`.
        timeout_s: How long a call may take in all; a name look-up alone cannot be cut short.

    Raises:
        UsageError: The address, the file or the proxy cannot be used.
    """

    def __init__(
        self, url: str, *, ca_file: str | None = None, proxy: str | None = None, timeout_s: float = 5.0
    ) -> None:
        self.url = checked_url(url, "", ("http", "https"), "url").rstrip("/")
        self._route = Route(ca_file, proxy, timeout_s)
        self._session: requests.Session | None = None
        self._pacing = Pacing()

    def time_ms(self) -> int:
        """Give what the exchange's clock says, in epoch milliseconds.

        A first call takes a few round trips to connect, a second one takes one; so the second tells the time better.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer, _ = self._get(_TIMESTAMP)
        if not isinstance(answer, int) or answer < _FIRST_MS:
            raise RestFailed(_TIMESTAMP, "the answer is no time in epoch milliseconds")
        return answer

    def pairs(self) -> frozenset[str]:
        """Give the pairs that the exchange lists; a name that is not spelt like a pair is left out.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer, _ = self._get(_PAIRS)
        if not isinstance(answer, list):
            raise RestFailed(_PAIRS, "the answer is no list of pairs")
        return frozenset(pair for pair in answer if isinstance(pair, str) and is_pair(pair))

    def trades(self, pair: str, *, size: int = MOST_TRADES, after: datetime | None = None) -> list[Trade]:
        """Give trades of a pair in time order, with `source="backfill"`.

        Assumption: with `after` they are the first `size` that were made later than that. Who needs to know checks
        where the answer begins.

        Args:
            pair: For example `btc_usdt`.
            size: How many at most, 1 to 500.
            after: Trades made later than this; the newest when None.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair, the size or the moment cannot be used.
        """
        asked = {"symbol": checked_pair(pair), "size": _checked_size(size, MOST_TRADES)}
        if after is not None:
            asked["time"] = str((_aware(after) - _EPOCH) // timedelta(milliseconds=1))
        answer, sent_at = self._get(_TRADES, asked, repeats=_REPEATS)
        receipt = Receipt(time.time_ns(), None)
        trades = _read(_TRADES, answer, lambda row: _trade(pair, row, sent_at, receipt))
        trades.sort(key=lambda trade: trade.traded_at or _EPOCH)
        return trades

    def klines(
        self, pair: str, interval: str, *, start_at: datetime, end_at: datetime | None = None, size: int = MOST_BARS
    ) -> list[Kline]:
        """Give bars of a pair in order, with `source="backfill"`; REST tells neither turnover nor number of trades.

        Args:
            pair: For example `btc_usdt`.
            interval: One of `INTERVALS`, bars of a year excepted.
            start_at: Bars that start here or later.
            end_at: Bars that start here or earlier; None for all that there are.
            size: How many at most, 1 to 2000.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair, the interval, the size or a moment cannot be used.
        """
        kind = BAR_TYPES.get(checked_interval(interval))
        if kind is None:
            raise UsageError(f"REST has no bars of {interval}; write one of: {', '.join(BAR_TYPES)}")
        until_at = None if end_at is None else _aware(end_at)
        asked = {
            "symbol": checked_pair(pair),
            "size": _checked_size(size, MOST_BARS),
            "type": kind,
            "time": str((_aware(start_at) - _EPOCH) // timedelta(seconds=1)),
        }
        answer, sent_at = self._get(_KLINES, asked, repeats=_REPEATS)
        receipt = Receipt(time.time_ns(), None)
        bars = _read(_KLINES, answer, lambda row: _kline(pair, interval, row, sent_at, receipt))
        bars = [bar for bar in bars if start_at <= bar.opened_at and (until_at is None or bar.opened_at <= until_at)]
        bars.sort(key=lambda bar: bar.opened_at)
        return bars

    def wait_s(self) -> float:
        """Tell for how long the exchange wants no further call; a call that cannot wait so long fails at once."""
        return self._pacing.wait_s(time.monotonic())

    def close(self) -> None:
        """Close the connection; a further call would open another one."""
        if self._session is not None:
            self._session.close()

    def _get(
        self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = 0
    ) -> tuple[object, datetime | None]:
        """Give the `data` of an answer, and when the exchange says it was sent.

        Args:
            path: What is called.
            asked: Its parameters.
            repeats: How often it is sent again when the connection breaks before there is an answer.
        """
        import requests

        if self._session is None:
            self._session = session_by(self._route)
        self._take_turn(path)
        self._route.start(path)
        address = self.url + path + (f"?{urlencode(asked)}" if asked else "")
        with _failures(path, self._route):
            request = self._session.prepare_request(requests.Request("GET", address))
            adapter = self._session.get_adapter(self.url)
            adapter.max_retries = self._route.retries(repeats)  # type: ignore[attr-defined]  # it is an HTTPAdapter
            # The session itself would read the body of a redirect, whatever its size, and keep cookies.
            response = adapter.send(request, timeout=self._route.timeout_s)
            with contextlib.closing(response):
                status = f"HTTP {response.status_code} {quoted(response.reason or '')}".rstrip()
                if response.is_redirect:
                    place = quoted(response.headers["location"])
                    raise RestFailed(path, f"{status} points to {place}, and redirects are not followed")
                body = _body(path, response)
        try:
            return _content(path, body, None if response.status_code == _OK else status)
        except RestFailed as failure:
            if failure.code == TOO_FREQUENT:
                self._pacing.refused(time.monotonic())
            raise

    def _take_turn(self, path: str) -> None:
        """Wait until the exchange's limit leaves room for this call, or fail when that is later than its deadline."""
        wait_s = self.wait_s()
        if wait_s > self._route.timeout_s:
            limit = f"{CALLS} calls in {WINDOW_S:g} s are allowed"
            raise RestFailed(path, f"not sent, because {limit}; the next may leave in {wait_s:.1f} s")
        if wait_s > 0:
            threading.Event().wait(wait_s)
        self._pacing.called(time.monotonic())


def _body(path: str, response: requests.Response) -> bytes:
    """Read an answer to its end."""
    body = b""
    while piece := response.raw.read(_CHUNK, decode_content=False):
        body += piece
        if len(body) > MAX_BYTES:
            raise RestFailed(path, f"the answer has more than {MAX_BYTES} bytes")
    return body


def _content(path: str, body: bytes, bad_status: str | None) -> tuple[object, datetime | None]:
    """Give the `data` of an envelope that tells of success, and its time where it has one.

    Nearly everything is answered with status 200, refusals too; some of them call themselves HTML.

    Args:
        path: What was called.
        body: What came; its content type does not count.
        bad_status: The HTTP status where it is none of success.
    """
    text = body.decode(errors="backslashreplace")
    try:
        envelope: Mapping[str, object] = parsed(text)
    except DecodeError as error:
        raise RestFailed(path, bad_status or f"the answer is no JSON object: {error.frame}") from None
    code = envelope.get("error_code")
    if isinstance(code, str) and _CODE.fullmatch(code):  # as in the answers that ccxt's tests hold
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool):
        raise RestFailed(path, bad_status or f"the answer has no error_code: {text}")
    if code != 0:
        raise RestFailed(path, f"{envelope.get('msg') or 'without a reason'}", code)
    if bad_status or envelope.get("result") not in (True, "true"):
        raise RestFailed(path, bad_status or f"the answer is no success: {text}")
    try:
        return envelope.get("data"), values.epoch(envelope["ts"], "ts")
    except (KeyError, BadValueError):
        return envelope.get("data"), None


def _checked_size(size: int, most: int) -> str:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise UsageError(f"size is a whole number from 1 to {most}, not {size!r}")
    return str(size)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(f"{moment!r} has no time zone; write datetime(..., tzinfo=timezone.utc)")
    return moment


def _read(path: str, answer: object, read: Callable[[object], _Row]) -> list[_Row]:
    """Read every row of an answer."""
    try:
        return [read(row) for row in values.rows(answer, "the answer")]
    except BadValueError as bad:
        raise RestFailed(path, f"the answer cannot be read: {bad}") from None


def _trade(pair: str, row: object, sent_at: datetime | None, receipt: Receipt) -> Trade:
    """Read a past trade. The taker is the other side of a maker who buys."""
    trade = values.mapping(row, "a trade")
    is_buyer_maker = values.member(trade, "isBuyerMaker")
    if not isinstance(is_buyer_maker, bool):
        raise BadValueError("isBuyerMaker is neither true nor false")
    taker: Side = "sell" if is_buyer_maker else "buy"
    return Trade(
        pair=pair,
        price=values.positive(values.member(trade, "price"), "price"),
        amount=values.positive(values.member(trade, "qty"), "qty"),
        value=values.decimal_or_none(trade, "quoteQty"),
        side=taker,
        traded_at=values.epoch(values.member(trade, "time"), "time"),
        exchange_at=sent_at,
        receipt=receipt,
        source="backfill",
    )


def _kline(pair: str, interval: str, row: object, sent_at: datetime | None, receipt: Receipt) -> Kline:
    """Read a past bar."""
    cells = values.rows(row, "a bar")
    if len(cells) < _COLUMNS:
        raise BadValueError(f"a bar has {len(cells)} columns, not {_COLUMNS}")
    _, opened, high, low, close, volume, *_ = cells
    return Kline(
        pair=pair,
        interval=interval,
        opened_at=values.epoch(cells[0], "the time of a bar"),
        open=values.positive(opened, "open"),
        high=values.positive(high, "high"),
        low=values.positive(low, "low"),
        close=values.positive(close, "close"),
        volume=values.positive(volume, "volume"),
        exchange_at=sent_at,
        receipt=receipt,
        source="backfill",
    )


@contextlib.contextmanager
def _failures(path: str, route: Route) -> Iterator[None]:
    """Turn what the libraries raise into `RestFailed`."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (OSError, HTTPError) as error:  # the errors of requests are OSErrors
        raise RestFailed(path, _words(error, route.timeout_s)) from error


def _words(error: BaseException, timeout_s: float) -> str:
    """Say what went wrong: the libraries wrap it several times, in texts with addresses of the memory."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and inner not in chain:
        chain.append(inner)
    for found in chain:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted: {found.verify_message}"
        if isinstance(found, TimeoutError):
            return f"no whole answer within {timeout_s:g} s"
        if isinstance(found, ssl.SSLError) and found.reason:
            return f"TLS failed: {found.reason}"
    return f"the connection broke: {type(chain[-1]).__name__}"
