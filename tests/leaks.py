"""What must not be seen anywhere while the tests run, and where it is looked for.

Known are: what the accounts of the tests sign with; every signature that our signer made in this process; every
subscribe key that the practice exchange gave; the addresses of its callers, which tests let the exchange say.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from functools import wraps
from typing import Any

from lbank_ws.sandbox.subscribe_keys import SubscribeKeys
from lbank_ws.signer import Credentials

# What the accounts of the tests sign with. `SECRETS` of a whole program are searched for in `test_secrets.py`.
SECRETS = ("secret-of-", "practice-secret", "canary-secret", "wrong-secret", "anotherSecret")
ADDRESSES = ("203.0.113.", "2001:db8:")  # kept for documentation; nothing of ours has one, so the exchange said it
# What signatures and subscribe keys look like, so that a text is searched once, however many were made.
_MADE = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|[A-Za-z0-9+/]{100,}={0,2}")


class Leaks:
    """What has been made so far that is secret. Threads may make some while another looks."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def note(self, secret: str) -> None:
        """Take a secret in."""
        assert _MADE.fullmatch(secret), "a search by what it looks like would not find it"
        self._made.add(secret)

    def __len__(self) -> int:
        return len(self._made)

    def in_text(self, text: str) -> str | None:
        """Give the first secret that stands in a text, or None."""
        made = (found for found in _MADE.findall(text) if found in self._made)
        return next((each for each in (*SECRETS, *ADDRESSES) if each in text), None) or next(made, None)

    def in_reprs(self) -> Iterator[str]:
        """Give what everything alive of ours, the exchange left out, shows of itself where a secret is in it."""
        for thing in gc.get_objects():
            home = str(getattr(type(thing), "__module__", ""))
            if not home.startswith("lbank_ws") or home.startswith("lbank_ws.sandbox"):
                continue
            try:
                shown = f"{thing!r} {thing!s}"
            except Exception:  # half made, or torn down: it shows nothing
                continue
            if self.in_text(shown):
                yield shown

    def watch(self) -> None:
        """Take in every signature and subscribe key that is made in this process from now on."""
        _spy(self, Credentials, "sign", lambda signature: signature)
        _spy(self, Credentials, "log_in", lambda said: said[2])
        _spy(self, SubscribeKeys, "give", lambda key: key)


def _spy(leaks: Leaks, owner: type, name: str, secret_of: Any) -> None:
    real = getattr(owner, name)

    @wraps(real)
    def spied(*args: Any, **named: Any) -> Any:
        made = real(*args, **named)
        leaks.note(secret_of(made))
        return made

    setattr(owner, name, spied)


LEAKS = Leaks()
