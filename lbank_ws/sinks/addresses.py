"""Where a sink is: how its URL is read, and what of it may be shown.

Decided here: which schemes there are, which parts of a URL are ours and which the driver's, that no password is shown.
There is no socket, no thread and no clock here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted

SCHEMES = {
    "redis": "redis",
    "rediss": "redis",
    "postgresql": "postgres",
    "postgres": "postgres",
    "kafka": "kafka",
}  # each with the extra that brings its driver

_LEAST_SECRET = 3  # a password that is shorter is not looked for in texts: it would be found in every word


@dataclass(frozen=True)
class Address:
    """A URL of a sink.

    Attributes:
        kind: `redis`, `postgres` or `kafka`; the extra is called so, too.
        url: For the driver: with user and password, without our own options.
        place: Without password and query.
        shown: The same for people: without IP addresses, too.
        options: Our own, by name.
    """

    kind: str
    url: str = field(repr=False)
    place: str = field(repr=False)
    shown: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.shown

    @property
    def file_name(self) -> str:
        """What a file about it is called: the same for the same server and database, whatever the password."""
        return f"{self.kind}-{hashlib.blake2b(self.place.encode(), digest_size=6).hexdigest()}"

    def number(self, name: str, usual: int) -> int:
        """Give one of our own options, a whole number above 0.

        Raises:
            UsageError: It is none.
        """
        text = self.options.get(name)
        if text is None:
            return usual
        if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 10**10):
            raise UsageError(f"{name}={quoted(text)} of {self.shown} is no whole number above 0")
        return int(text)

    def scrubbed(self, text: str) -> str:
        """Give a text of the driver without the password and without the URL."""
        parts = urlsplit(self.url)
        secrets = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if "pass" in name)]
        clean = text.replace(self.url, self.shown)
        for secret in secrets:
            for form in {secret, unquote(secret), quote(secret)}:
                if len(form) >= _LEAST_SECRET:
                    clean = clean.replace(form, "***")
        return quoted(clean.strip().partition("\n")[0])


def address_of(url: str, own: Iterable[str] = ()) -> Address:
    """Read the URL of a sink.

    Args:
        url: Such as `redis://host:6379/0`.
        own: The names of options that are ours; the rest of the query is the driver's.

    Raises:
        UsageError: It is no such URL; the text shows nothing behind the scheme.
    """
    scheme = str(url).partition("://")[0].lower()
    if scheme not in SCHEMES or "://" not in str(url):
        known = ", ".join(f"{name}://" for name in ("redis", "postgresql", "kafka"))
        raise UsageError(f"a sink is a URL that begins with one of {known}; not with {quoted(scheme[:20])!r}")
    try:
        parts = urlsplit(url)
        user, host = parts.username, parts.netloc.rpartition("@")[2]
        password = parts.password
    except ValueError:
        raise UsageError(
            f"the {scheme}:// URL of a sink cannot be read; write {scheme}://user@host:port/name"
        ) from None
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not host and scheme not in ("postgresql", "postgres"):
        raise UsageError(f"the {scheme}:// URL of a sink names no host; write {scheme}://host:port")
    names = set(own)
    who = f"{user or ''}{':***' if password else ''}@" if user or password else ""
    place = f"{scheme}://{who}{host}{parts.path}"
    drivers = urlencode([item for item in query if item[0] not in names])
    return Address(
        SCHEMES[scheme],
        f"{scheme}://{parts.netloc}{parts.path}{'?' if drivers else ''}{drivers}",
        place,
        quoted(place),
        {name: value for name, value in query if name in names},
    )
