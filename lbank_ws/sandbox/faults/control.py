"""Faults over HTTP, for clients that are no Python program: `POST`, `GET` and `DELETE` on `/_box/faults`.

    curl -d '{"name": "mute", "pair": "btc_usdt", "for_s": 10}' http://127.0.0.1:8765/_box/faults
    curl http://127.0.0.1:8765/_box/faults
    curl -X DELETE http://127.0.0.1:8765/_box/faults        ends all; /_box/faults/3 ends one

Decided here: what is answered. A browser shows by `Origin` which page asks; a page of another site is refused, because
nothing on this machine should be steered by the pages that somebody reads.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lbank_ws.sandbox.faults.active import Active
from lbank_ws.sandbox.faults.calls import PREFIX
from lbank_ws.sandbox.faults.fault import FAULTS
from lbank_ws.sandbox.faults.mischief import Mischief
from lbank_ws.sandbox.faults.parameters import parameters_of
from lbank_ws.sandbox.faults.script import seconds

if TYPE_CHECKING:
    from aiohttp import web

PATH = PREFIX + "faults"

_OURS = ("127.0.0.1", "localhost", "::1")


def told(active: Active, mischief: Mischief) -> dict[str, object]:
    """Give what is told of an active fault."""
    return {
        "number": active.number,
        "name": active.fault.name,
        "parameters": parameters_of(active.fault),
        "left_s": mischief.left_s(active),
    }


def control_routes(mischief: Mischief) -> list[web.RouteDef]:
    """Give the routes."""
    from aiohttp import web  # late, as in server.py

    def answer(said: object, status: int = 200) -> web.Response:
        return web.json_response(said, status=status)

    def objection(request: web.Request) -> web.Response | None:
        origin = request.headers.get("Origin")
        if origin is None or urlsplit(origin).hostname in _OURS:
            return None
        return answer({"error": f"pages of {origin} may not steer this practice exchange"}, 403)

    async def begin(request: web.Request) -> web.Response:
        if (refused := objection(request)) is not None:
            return refused
        try:
            said: Any = json.loads(await request.text())
            if not isinstance(said, dict) or not isinstance(said.get("name"), str):
                raise ValueError('a fault is an object with a name: {"name": "mute", "pair": "btc_usdt", "for_s": 10}')
            name, given = said.pop("name"), said.pop("for_s", None)
            for_s = None if given is None else seconds("for_s", given)
            if name in FAULTS and FAULTS[name].is_shut and for_s is None:
                raise ValueError(f"{name} would keep out who wants to end it: give for_s")
            active = mischief.begin(name, said, for_s)
        except (ValueError, RecursionError) as problem:
            return answer({"error": str(problem)}, 400)
        return answer(told(active, mischief), 201)

    async def show(request: web.Request) -> web.Response:
        if (refused := objection(request)) is not None:
            return refused
        return answer([told(active, mischief) for active in mischief.active()])

    async def end(request: web.Request) -> web.Response:
        if (refused := objection(request)) is not None:
            return refused
        number = request.match_info.get("number")
        if number is None:
            mischief.heal()
        elif not mischief.end(int(number)):
            return answer({"error": f"fault {number} is over"}, 404)
        return answer([told(active, mischief) for active in mischief.active()])

    return [
        web.post(PATH, begin),
        web.get(PATH, show),
        web.delete(PATH, end),
        web.delete(PATH + r"/{number:\d{1,9}}", end),
    ]
