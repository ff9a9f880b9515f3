"""How a REST call is made, and what counts as an answer.

Decided here: that a call never hangs and never fills the memory: it has one deadline from the first address tried to
the last byte read, and an answer has a size; what an answer means; that calls keep to the exchange's limit. Not decided
here: what is asked, who asks, and what happens after a failure. Source: docs/reference/wire.md, "REST".

`requests` is imported when the first call is made, because it takes longer than all the rest of this package.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from lbank_ws.errors import DecodeError, RestFailed
from lbank_ws.quoting import quoted
from lbank_ws.settings import checked_url
from lbank_ws.trading.pacing import TOO_FREQUENT, WINDOW_S, Pacing
from lbank_ws.trading.refusals import refusal
from lbank_ws.trading.transport import Route, session_by
from lbank_ws.wire import values
from lbank_ws.wire.masking import masked
from lbank_ws.wire.values import BadValueError, parsed

if TYPE_CHECKING:
    import requests

MAX_BYTES = 4 * 1024 * 1024  # an answer about all 1,400 pairs has a tenth of it

_OK = 200
_CHUNK = 64 * 1024
_CODE = re.compile(r"[0-9]{1,9}")
_IDLE_S = 5.0  # a connection that rested for longer may just be closed by the exchange


class Answer(NamedTuple):
    """What the exchange answered.

    Attributes:
        content: What stands under `data`.
        sent_at: When the exchange says it was sent; None where it does not.
        envelope: The whole of it.
    """

    content: object
    sent_at: datetime | None
    envelope: Mapping[str, object]


class Caller:
    """Calls the exchange over HTTP and keeps the connection for the next call. Used by one thread at a time.

    TLS is verified, 1.2 or newer, by the system's authorities or by those of `ca_file`. `requests` would ask certifi,
    its own list; here a call trusts whom the feed trusts. No proxy, no netrc and no `REQUESTS_CA_BUNDLE` is taken from
    the environment; only OpenSSL itself looks at `SSL_CERT_FILE` to find the system's. Redirects are not followed.

    Args:
        url: Where the interface is.
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
        self._used_s = 0.0

    def wait_s(self) -> float:
        """Tell for how long the exchange wants no further call; a call that cannot wait so long fails at once."""
        return self._pacing.wait_s(time.monotonic())

    def close(self) -> None:
        """Close the connection; a further call would open another one."""
        if self._session is not None:
            self._session.close()

    def get(self, path: str, asked: Mapping[str, str] | None = None, *, repeats: int = 0) -> Answer:
        """Give the answer to a public question.

        Args:
            path: What is called.
            asked: Its parameters.
            repeats: How often it is sent again when the connection breaks before there is an answer.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        address = self.url + path + (f"?{urlencode(asked)}" if asked else "")
        self._start(path, self._pacing)
        with _failures(path, self._route):
            status, body = self._exchanged("GET", path, address, repeats=repeats)
        return self._read(path, status, body, self._pacing)

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
        """Give the answer to a request with a form; it leaves at most once.

        Args:
            path: What is called.
            form: Its parameters.
            headers: More headers.
            pacing: Which limit counts it; that of all calls when None.
            secret: What must not be quoted in an error.
            is_fresh: No connection is used that the exchange may be about to close.

        Raises:
            RestFailed: There was no answer, or a refusal; `was_sent` tells whether it may have been heard.
        """
        counted = self._pacing if pacing is None else pacing
        if is_fresh and time.monotonic() - self._used_s > _IDLE_S:
            self.close()
        self._start(path, counted)
        failure: RestFailed | None = None
        try:
            with _failures(path, self._route):
                status, body = self._exchanged("POST", path, self.url + path, form=form, headers=headers)
        except RestFailed as failed:
            failure = RestFailed(path, failed.reason, was_sent=self._route.has_sent)
        if failure is not None:
            raise failure  # outside, because what it came from holds the request, and that its signature
        return self._read(path, status, body, counted, secret)

    def _start(self, path: str, pacing: Pacing) -> None:
        """Wait until the exchange's limit leaves room for this call, or fail when that is later than its deadline."""
        if self._session is None:
            self._session = session_by(self._route)
        wait_s = pacing.wait_s(time.monotonic())
        if wait_s > self._route.timeout_s:
            limit = f"{pacing.calls} calls in {WINDOW_S:g} s are allowed"
            raise RestFailed(path, f"not sent, because {limit}; the next may leave in {wait_s:.1f} s", was_sent=False)
        if wait_s > 0:
            threading.Event().wait(wait_s)
        pacing.called(time.monotonic())
        self._route.start(path)

    def _exchanged(
        self,
        method: str,
        path: str,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeats: int = 0,
    ) -> tuple[str | None, bytes]:
        """Send a request and give its body, with the HTTP status in words where it is none of success."""
        import requests

        assert self._session is not None  # noqa: S101 - `_start` made it
        request = self._session.prepare_request(
            requests.Request(method, address, data=None if form is None else dict(form), headers=dict(headers or {}))
        )
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
        self._used_s = time.monotonic()
        return None if response.status_code == _OK else status, body

    def _read(
        self, path: str, bad_status: str | None, body: bytes, pacing: Pacing, secret: Collection[str] = ()
    ) -> Answer:
        try:
            return _content(path, body, bad_status, secret)
        except RestFailed as failure:
            if failure.code == TOO_FREQUENT:
                pacing.refused(time.monotonic())
            raise


def _body(path: str, response: requests.Response) -> bytes:
    """Read an answer to its end."""
    body = b""
    while piece := response.raw.read(_CHUNK, decode_content=False):
        body += piece
        if len(body) > MAX_BYTES:
            raise RestFailed(path, f"the answer has more than {MAX_BYTES} bytes")
    return body


def _content(path: str, body: bytes, bad_status: str | None, secret: Collection[str]) -> Answer:
    """Read an envelope that tells of success.

    Nearly everything is answered with status 200, refusals too; some of them call themselves HTML. `result` is a
    boolean or text; the answers about subscribe keys have it alone.

    Args:
        path: What was called.
        body: What came; its content type does not count.
        bad_status: The HTTP status where it is none of success.
        secret: What must not be quoted.
    """
    text = body.decode(errors="backslashreplace")
    try:
        envelope: Mapping[str, object] = parsed(text)
    except DecodeError:
        raise RestFailed(path, bad_status or f"the answer is no JSON object: {masked(text, secret)}") from None
    is_success = envelope.get("result") in (True, "true")
    code = envelope.get("error_code", 0 if is_success and len(envelope) == 1 else None)
    if isinstance(code, str) and _CODE.fullmatch(code):  # as in the answers that ccxt's tests hold
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool):
        raise RestFailed(path, bad_status or f"the answer has no error_code: {masked(text, secret)}")
    if code != 0:
        words = envelope.get("msg")
        reason = masked(str(words), secret) if words else "without a reason"
        if bad_status:
            raise RestFailed(path, f"{bad_status}: {reason}", code)
        raise refusal(path, reason, code)
    if bad_status or not is_success:
        raise RestFailed(path, bad_status or f"the answer is no success: {masked(text, secret)}")
    try:
        sent_at = values.epoch(envelope["ts"], "ts")
    except (KeyError, BadValueError):
        sent_at = None
    return Answer(envelope.get("data"), sent_at, envelope)


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
