"""The calls of the exchange's REST interface that need no key: what its clock says, and which pairs it lists.

Decided here: how a call is made and what counts as an answer. Not decided here: who calls, how often, and what happens
after a failure. A call never hangs and never fills the memory: it has one deadline from the first address tried to the
last byte read, and an answer has a size. Source: docs/reference/wire.md, "REST".

`requests` is imported when a `Rest` makes its first call, because it takes longer than all the rest of this package.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lbank_ws.channels import is_pair
from lbank_ws.errors import DecodeError, RestFailed
from lbank_ws.quoting import quoted
from lbank_ws.settings import checked_url
from lbank_ws.trading.transport import Route, session_by
from lbank_ws.wire.values import parsed

if TYPE_CHECKING:
    import requests

DEFAULT_URLS = ("https://api.lbkex.com", "https://api.lbank.info", "https://www.lbkex.net")
MAX_BYTES = 4 * 1024 * 1024  # an answer about all 1,400 pairs has a tenth of it

_TIMESTAMP = "/v2/timestamp.do"
_PAIRS = "/v2/currencyPairs.do"
_FIRST_MS = 100_000_000_000  # epoch seconds reach this in the year 5138
_OK = 200
_CHUNK = 64 * 1024
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

    def time_ms(self) -> int:
        """Give what the exchange's clock says, in epoch milliseconds.

        A first call takes a few round trips to connect, a second one takes one; so the second tells the time better.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self._get(_TIMESTAMP)
        if not isinstance(answer, int) or answer < _FIRST_MS:
            raise RestFailed(_TIMESTAMP, "the answer is no time in epoch milliseconds")
        return answer

    def pairs(self) -> frozenset[str]:
        """Give the pairs that the exchange lists; a name that is not spelt like a pair is left out.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self._get(_PAIRS)
        if not isinstance(answer, list):
            raise RestFailed(_PAIRS, "the answer is no list of pairs")
        return frozenset(pair for pair in answer if isinstance(pair, str) and is_pair(pair))

    def close(self) -> None:
        """Close the connection; a further call would open another one."""
        if self._session is not None:
            self._session.close()

    def _get(self, path: str) -> object:
        """Give the `data` of an answer."""
        import requests

        if self._session is None:
            self._session = session_by(self._route)
        self._route.start(path)
        with _failures(path, self._route):
            request = self._session.prepare_request(requests.Request("GET", self.url + path))
            # The session itself would read the body of a redirect, whatever its size, and keep cookies.
            response = self._session.get_adapter(self.url).send(request, timeout=self._route.timeout_s)
            with contextlib.closing(response):
                status = f"HTTP {response.status_code} {quoted(response.reason or '')}".rstrip()
                if response.is_redirect:
                    place = quoted(response.headers["location"])
                    raise RestFailed(path, f"{status} points to {place}, and redirects are not followed")
                body = _body(path, response)
        return _content(path, body, None if response.status_code == _OK else status)


def _body(path: str, response: requests.Response) -> bytes:
    """Read an answer to its end."""
    body = b""
    while piece := response.raw.read(_CHUNK, decode_content=False):
        body += piece
        if len(body) > MAX_BYTES:
            raise RestFailed(path, f"the answer has more than {MAX_BYTES} bytes")
    return body


def _content(path: str, body: bytes, bad_status: str | None) -> object:
    """Give the `data` of an envelope that tells of success.

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
    return envelope.get("data")


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
