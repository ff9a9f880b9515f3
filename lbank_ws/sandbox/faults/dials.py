"""Faults of a dial: a client does not come in, or only as far as the handshake. REST is dialled on the same port."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Literal

from lbank_ws.sandbox.faults.fault import Answer, Fault

_CHANCE = {"least": 0, "most": 1}


@dataclass(frozen=True, kw_only=True)
class RefuseDial(Fault):
    """A new connection is refused; those that are open stay.

    LBank refuses bursts of dials. Source: docs/reference/wire.md, "Limits".

    Args:
        how: `closed`: nobody listens on the port, and connecting fails. `reset`: connecting works, then comes an RST.
        chance: Which share of the dials; with `closed` all.
    """

    is_shut: ClassVar[bool] = True
    how: Literal["closed", "reset"] = "closed"
    chance: float = field(default=1.0, metadata=_CHANCE)

    def dial(self, rng: Random) -> Literal["reset", "silence", "closed"] | None:
        """Refuse it."""
        if self.how == "closed":
            return "closed"
        return "reset" if rng.random() < self.chance else None


@dataclass(frozen=True, kw_only=True)
class AcceptSilence(Fault):
    """A new connection is accepted and then nothing is said on it; it is reset when the fault ends.

    Source: a network: a load balancer whose servers are gone.

    Args:
        chance: Which share of the dials.
    """

    is_shut: ClassVar[bool] = True
    chance: float = field(default=1.0, metadata=_CHANCE)

    def dial(self, rng: Random) -> Literal["reset", "silence", "closed"] | None:
        """Accept it and say nothing."""
        return "silence" if rng.random() < self.chance else None


@dataclass(frozen=True, kw_only=True)
class HandshakeStatus(Fault):
    """A WebSocket handshake is answered with an HTTP error.

    LBank's hosts answered 404 and refused handshakes for days. Source: docs/reference/wire.md, "Hosts".

    Args:
        status: 400 to 599.
        retry_after_s: Sent as `Retry-After`; left out, none is sent.
        body: The page that comes with it; left out, a short one.
        chance: Which share of the handshakes.
    """

    status: int = field(default=503, metadata={"least": 400, "most": 599})
    retry_after_s: int | None = field(default=None, metadata={"least": 0})
    body: str | None = None
    chance: float = field(default=1.0, metadata=_CHANCE)

    def handshake(self, rng: Random) -> Answer | None:
        """Answer with the status."""
        headers = () if self.retry_after_s is None else (("Retry-After", str(self.retry_after_s)),)
        body = f"<html><head><title>{self.status}</title></head></html>" if self.body is None else self.body
        return Answer(self.status, body, headers=headers) if rng.random() < self.chance else None


@dataclass(frozen=True, kw_only=True)
class HandshakeRedirect(Fault):
    """A WebSocket handshake is answered with a redirect to another address.

    A client that follows hands its headers to whoever is there. Source: a network: captive portals, moved hosts.

    Args:
        to: The address, sent as `Location`.
        status: 300 to 399.
        chance: Which share of the handshakes.
    """

    to: str = "ws://127.0.0.1:9/"
    status: int = field(default=302, metadata={"least": 300, "most": 399})
    chance: float = field(default=1.0, metadata=_CHANCE)

    def handshake(self, rng: Random) -> Answer | None:
        """Point elsewhere."""
        return Answer(self.status, headers=(("Location", self.to),)) if rng.random() < self.chance else None
