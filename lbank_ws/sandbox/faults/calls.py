"""HTTP under faults: handshakes that are refused, REST calls that are late, false, or lost.

Decided here: in which order waiting, doing and answering come. What becomes of a call is decided in the kinds.
Everything here runs on the loop of the box.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import TYPE_CHECKING

from lbank_ws.sandbox.faults.active import Active
from lbank_ws.sandbox.faults.fault import Answer, Call, Plan
from lbank_ws.sandbox.faults.frames import parsed, printed
from lbank_ws.sandbox.faults.hangups import hang_up
from lbank_ws.sandbox.faults.mischief import Mischief

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

PREFIX = "/_box/"
"""What begins with it belongs to the box and not to the exchange; no fault touches it."""

_LOOK_EVERY_S = 0.02
_SYMBOL = re.compile(r'\bsymbol"?\s*[=:]\s*"?([A-Za-z0-9_]+)')


def disturbing(mischief: Mischief) -> Middleware:
    """Give what stands around every HTTP handler."""
    from aiohttp import web  # late, as in server.py

    @web.middleware
    async def disturb(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not mischief.is_on or request.path.startswith(PREFIX):
            return await handler(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            answers = (each.fault.handshake(each.rng) for each in mischief.active())
            answer = next((answer for answer in answers if answer is not None), None)
            return await handler(request) if answer is None else _response(answer)
        return await _call(mischief, request, handler)

    return disturb


async def _call(mischief: Mischief, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a REST call, or not."""
    # Reading the body here does not take it away from the handler: aiohttp keeps it.
    sent = (await request.read()).decode(errors="replace")
    found = _SYMBOL.search(f"{request.query_string}&{sent}")
    call = Call(request.path, found[1].lower() if found else "", int(time.time() * 1000) + mischief.skew_ms)
    plans = ((active, active.fault.rest(call, active.rng)) for active in mischief.active())
    active, plan = next(((active, plan) for active, plan in plans if plan is not None), (None, Plan()))
    response = await handler(request) if plan.is_carried_out else None
    if active is not None:
        await _wait(mischief, active, plan.wait_s, request)
    if plan.cut is not None or plan.wait_s == math.inf:
        hang_up(request.transport, how=plan.cut or "reset")
        return response or _response(Answer(504))
    if plan.answer is not None:
        return _response(plan.answer)
    if response is None:
        response = await handler(request)
    _edit(mischief, call, response)
    if plan.content_type is not None:
        response.content_type = plan.content_type
    return response


async def _wait(mischief: Mischief, active: Active, wait_s: float, request: web.Request) -> None:
    """Wait, but not longer than the fault lasts and the client stays."""
    began_s = mischief.clocks()[0]
    while mischief.clocks()[0] < began_s + wait_s and active in mischief.active():
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def _edit(mischief: Mischief, call: Call, response: web.StreamResponse) -> None:
    """Change the exchange's own answer."""
    body = getattr(response, "body", None)
    try:
        said = parsed(bytes(body or b"").decode())
    except ValueError:
        return
    if isinstance(said, dict):
        before = printed(said)
        for each in mischief.active():
            each.fault.rest_said(call, said)
        if printed(said) != before:
            response.body = printed(said).encode()  # type: ignore[attr-defined]  # it has one, as seen above


def _response(answer: Answer) -> web.Response:
    from aiohttp import web  # late, as in server.py

    return web.Response(
        status=answer.status, text=answer.body, content_type=answer.content_type, headers=dict(answer.headers)
    )
