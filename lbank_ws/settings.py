"""Addresses that the environment may override, and the rules for an address.

Read here: `LBANK_WS_URL` and `LBANK_REST_URL`; where from is decided in `environment.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from lbank_ws.environment import environment
from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted
from lbank_ws.wire import DIALECTS, Dialect

WS_URL = "LBANK_WS_URL"
REST_URL = "LBANK_REST_URL"

_ENCRYPTED = ("https", "wss")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")


def ws_url(dialect: Dialect, url: str | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Give the address to dial.

    Args:
        dialect: Its own address is used when nothing else is named, its own path when the address has none.
        url: What the caller named; it wins over `LBANK_WS_URL`.
        variables: The environment; read when None.

    Raises:
        UsageError: The address is not ws:// or wss:// with a host.
    """
    if url is not None:
        return checked_url(url, dialect.path, ("ws", "wss"), "url")
    named = (environment() if variables is None else variables).get(WS_URL)
    if not named:
        return dialect.urls[0]
    # The variable points every script at one exchange, whichever dialect the script speaks.
    parts = urlsplit(named)
    if parts.path != dialect.path and parts.path in {known.path for known in DIALECTS.values()}:
        named = urlunsplit(parts._replace(path=dialect.path))
    return checked_url(named, dialect.path, ("ws", "wss"), WS_URL)


def ws_urls(
    dialect: Dialect,
    url: str | None = None,
    hosts: Sequence[str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Give the addresses to dial, in order of preference.

    Args:
        dialect: Its own addresses are used when nothing else is named.
        url: The only one, as for `ws_url`.
        hosts: Several: `api.lbkex.com`, or whole addresses.
        variables: The environment; read when None.

    Raises:
        UsageError: One of them cannot be used, or both are named.
    """
    if hosts is None:
        only = ws_url(dialect, url, variables)
        return dialect.urls if only == dialect.urls[0] and url is None else (only,)
    if url is not None:
        raise UsageError("name either url or hosts")
    if isinstance(hosts, str) or not hosts:
        raise UsageError("hosts is a list of host names or addresses, at least one")
    schemes = ("ws", "wss")
    return tuple(
        checked_url(host if "://" in str(host) else f"{schemes[-1]}://{host}", dialect.path, schemes, "hosts")
        for host in hosts
    )


def rest_url(url: str | None = None, variables: Mapping[str, str] | None = None) -> str | None:
    """Give the address of the REST interface without a trailing slash; None for the exchange's own.

    Raises:
        UsageError: The address is not http:// or https:// with a host.
    """
    name = "rest_url" if url is not None else REST_URL
    named = url if url is not None else (environment() if variables is None else variables).get(REST_URL)
    return checked_url(named, "", ("http", "https"), name).rstrip("/") if named else None


def checked_url(url: str, path: str, schemes: tuple[str, ...], name: str) -> str:
    """Give an address that is safe to put into a request, with `path` when it has none.

    The address is not normalised: the exchange's path is upper case with a slash at the end.
    """
    if not isinstance(url, str) or _UNPRINTABLE.search(url):
        raise UsageError(f"{name} is {quoted(str(url))!r}: an address is plain ASCII without blanks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{name} is {quoted(url)!r}: {error}") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise UsageError(f"{name} is {quoted(url)!r}: write {schemes[-1]}://host, with a port and a path if need be")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{name} holds a user name or a password; keep credentials out of addresses")
    return urlunsplit(parts._replace(path=path)) if parts.path in ("", "/") and path else url


def checked_for_credentials(url: str, name: str) -> str:
    """Give an address, unchanged, over which keys and signatures may travel.

    Nothing in the environment changes the rule: encrypted, or to this machine itself.

    Raises:
        UsageError: It is neither.
    """
    parts = urlsplit(url)
    if parts.scheme in _ENCRYPTED or is_loopback(parts.hostname or ""):
        return url
    secure = {"http": "https", "ws": "wss"}.get(parts.scheme, parts.scheme)
    raise UsageError(
        f"{name} is {quoted(url)!r}: keys and signatures leave this machine over {secure}:// alone; "
        "unencrypted is for an exchange on 127.0.0.1, such as `lbank-ws sandbox`"
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, by its name or address; no name is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
