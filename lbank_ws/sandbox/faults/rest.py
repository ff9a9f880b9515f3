"""Faults of REST calls, and of nothing else: answers that are late, false, or never come."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from lbank_ws.sandbox.faults.fault import Answer, Call, Fault, Plan

_PAGES = {429: "429 Too Many Requests", 500: "500 Internal Server Error", 502: "502 Bad Gateway"}


@dataclass(frozen=True, kw_only=True)
class OnCalls(Fault):
    """The base of faults that concern REST calls.

    Args:
        path: Which calls: those whose path has this text in it; several are separated by commas. Left out, all.
        chance: Which share of the calls.
    """

    path: str | None = None
    chance: float = field(default=1.0, metadata={"least": 0, "most": 1})

    def rest(self, call: Call, rng: Random) -> Plan | None:
        """Give what becomes of a REST call."""
        concerned = self.path is None or any(part.strip() in call.path for part in self.path.split(","))
        return self.plan() if concerned and (self.chance >= 1 or rng.random() < self.chance) else None

    def plan(self) -> Plan:
        """Give what becomes of a call that is concerned."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class RestStatus(OnCalls):
    """A REST call is answered with an HTTP error and a page.

    Source: a network: gateways answer so. LBank's is known to answer 404 in HTML: docs/reference/wire.md, "REST".

    Args:
        status: 400 to 599.
        retry_after_s: Sent as `Retry-After`; left out, none is sent.
        is_carried_out: Whether the exchange did what it was asked all the same, an order say.
    """

    status: int = field(default=502, metadata={"least": 400, "most": 599})
    retry_after_s: int | None = field(default=None, metadata={"least": 0})
    is_carried_out: bool = False

    def plan(self) -> Plan:
        """Answer with the status."""
        headers = () if self.retry_after_s is None else (("Retry-After", str(self.retry_after_s)),)
        title = _PAGES.get(self.status, str(self.status))
        answer = Answer(self.status, f"<html><head><title>{title}</title></head></html>", headers=headers)
        return Plan(is_carried_out=self.is_carried_out, answer=answer)


@dataclass(frozen=True, kw_only=True)
class RestTimeout(OnCalls):
    """A REST call is answered very late, or never.

    Source: a network. Never means: until the fault ends, and then its connection is reset.

    Args:
        after_s: How long the answer takes; left out, for ever.
        is_carried_out: Whether the exchange did at once what it was asked; otherwise after the wait, or never.
    """

    after_s: float | None = field(default=None, metadata={"least": 0})
    is_carried_out: bool = False

    def plan(self) -> Plan:
        """Wait."""
        return Plan(math.inf if self.after_s is None else self.after_s, is_carried_out=self.is_carried_out)


@dataclass(frozen=True, kw_only=True)
class RestHtml(OnCalls):
    """A REST call is answered with status 200 and HTML, or with JSON that calls itself HTML.

    Source: docs/reference/wire.md, "REST".

    Args:
        what: `page`: a page in place of the answer. `label`: the true answer as `text/html`, as LBank's errors come.
    """

    what: Literal["page", "label"] = "page"

    def plan(self) -> Plan:
        """Answer with a page, or under a wrong name."""
        if self.what == "label":
            return Plan(content_type="text/html")
        page = "<!DOCTYPE html><html><body>Please wait while we check your browser</body></html>"
        return Plan(is_carried_out=False, answer=Answer(200, page))


@dataclass(frozen=True, kw_only=True)
class ReplyLost(OnCalls):
    """An order or a cancel is carried out, but the answer never leaves: the connection ends.

    Source: a network. Who sends again now makes a second order.

    Args:
        path: Which calls: those whose path has one of these texts in it.
        how: `close` in good order, `reset` with an RST.
    """

    path: str | None = "create_order,cancel_order"
    how: Literal["close", "reset"] = "close"

    def plan(self) -> Plan:
        """Do it and hang up."""
        return Plan(cut=self.how)
