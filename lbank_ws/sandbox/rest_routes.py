"""The REST interface on the box's port; what is answered is decided in `rest.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lbank_ws.sandbox.rest import Rest

if TYPE_CHECKING:
    from aiohttp import web

REST_PREFIXES = ("/v2/", "/cfd/")  # spot, and the perpetuals, which the box does not have


def rest_routes(rest: Callable[[], Rest], now_ms: Callable[[], int], clock_ms: Callable[[], int]) -> list[web.RouteDef]:
    """Give the routes of everything below `REST_PREFIXES`.

    Args:
        rest: Gives what answers.
        now_ms: Gives the market's clock, in UTC epoch ms.
        clock_ms: Gives the machine's.
    """
    from aiohttp import web  # late, as in `loop_thread.py`

    async def answer(request: web.Request) -> web.Response:
        form = await _form(request)
        status, text = rest().answer(
            request.method,
            request.path,
            dict(request.query),
            form,
            {name.lower(): value for name, value in request.headers.items()},
            now_ms(),
            clock_ms=clock_ms(),
            asker=request.remote or "127.0.0.1",
        )
        kind = "application/json" if status == 200 else "text/html"
        return web.Response(status=status, text=text, content_type=kind, charset="utf-8")

    return [web.route("*", prefix + "{rest:.*}", answer) for prefix in REST_PREFIXES]


async def _form(request: web.Request) -> Mapping[str, str]:
    """Give the parameters of a body: of a form, or of JSON, which one of LBank's own connectors sends."""
    if request.content_type == "application/json":
        try:
            sent = json.loads(await request.text() or "{}")
        except (ValueError, RecursionError):
            return {}
        return {key: str(value) for key, value in sent.items()} if isinstance(sent, dict) else {}
    return {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
