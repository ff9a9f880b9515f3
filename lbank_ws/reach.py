"""Whom a connection trusts, and through which proxy it goes: the same for the feed and for REST.

Nothing is taken from the environment, and nothing can switch the verification of TLS off.
"""

from __future__ import annotations

import importlib
import ssl
from typing import Any
from urllib.parse import urlsplit

from lbank_ws.errors import MissingExtra, UsageError

_PROXIES = ("http", "socks4", "socks5", "socks5h")


def verified_context(ca_file: str | None) -> ssl.SSLContext:
    """Give a context that verifies, by the system's authorities or by those of a file; TLS 1.2 or newer.

    `ssl.create_default_context` would write keys to the file that SSLKEYLOGFILE names.

    Raises:
        UsageError: The file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise UsageError(f"ca_file {ca_file} cannot be used: {error.strerror or error}") from error
    return context


def proxy_at(url: str, *, over: Any = None) -> Any:
    """Give a proxy of python-socks to connect by.

    It knows no `socks5h`, but leaves name look-ups to every SOCKS5 proxy.

    Args:
        url: Its address.
        over: What reaches the proxy, as python-socks chains proxies; `connect` gives its stream then. None for a proxy
            that dials by itself, blocks, and gives a socket.

    Raises:
        UsageError: The address cannot be used.
        MissingExtra: python-socks is not installed.
    """
    if urlsplit(url).scheme not in _PROXIES:
        raise UsageError(f"proxy begins with one of {', '.join(_PROXIES)}, like socks5://127.0.0.1:1080")
    plain = url.replace("socks5h:", "socks5:", 1)
    try:
        proxies = importlib.import_module("python_socks.sync")
        if over is None:
            return proxies.Proxy.from_url(plain)
        return importlib.import_module("python_socks.sync.v2").Proxy.from_url(plain, forward=over)
    except ImportError:
        raise MissingExtra("python-socks", "proxy") from None
    except (ValueError, TypeError):  # the texts may hold the password
        raise UsageError("proxy is an address with a host and a port, like socks5://127.0.0.1:1080") from None
