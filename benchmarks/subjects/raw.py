"""Bare WebSocket libraries, events made by hand."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from subjects import Feed
from subjects.by_hand import Reader

Loads = Callable[[Any], Any]


def context(feed: Feed) -> ssl.SSLContext | None:
    """Give what verifies the generator."""
    return ssl.create_default_context(cafile=feed.ca_file) if feed.is_tls else None


def with_websocket_client(feed: Feed) -> None:
    """Listen as the tutorials do: WebSocketApp, json.loads, default switches."""
    import websocket

    reader = Reader(feed.tally, json.loads)

    def on_open(app: websocket.WebSocketApp) -> None:
        for asked in feed.subscriptions():
            app.send(asked)

    def on_message(_app: websocket.WebSocketApp, message: str) -> None:
        reader.frame(message)

    app = websocket.WebSocketApp(feed.url, on_open=on_open, on_message=on_message)
    app.run_forever(sslopt={"ca_certs": feed.ca_file} if feed.is_tls else None)


def with_websocket_client_tuned(feed: Feed) -> None:
    """Listen with the best switches: a bare loop, no check of UTF-8, no locks, orjson on bytes."""
    import orjson
    import websocket

    reader = Reader(feed.tally, orjson.loads)
    line = websocket.create_connection(
        feed.url,
        sslopt={"ca_certs": feed.ca_file} if feed.is_tls else None,
        skip_utf8_validation=True,
        enable_multithread=False,
    )
    for asked in feed.subscriptions():
        line.send(asked)
    while True:
        opcode, payload = line.recv_data()
        if opcode == websocket.ABNF.OPCODE_TEXT:
            reader.frame(payload)


def with_websockets_sync(feed: Feed) -> None:
    """Listen with the threads of websockets."""
    from websockets.sync.client import connect

    reader = Reader(feed.tally, json.loads)
    with connect(feed.url, ssl=context(feed)) as line:
        for asked in feed.subscriptions():
            line.send(asked)
        for message in line:
            reader.frame(message)


def with_websockets(feed: Feed) -> None:
    """Listen with the asyncio client of websockets."""
    asyncio.run(_websockets(feed, json.loads))


def with_websockets_orjson(feed: Feed) -> None:
    """Listen with the same, and orjson on bytes."""
    import orjson

    asyncio.run(_websockets(feed, orjson.loads))


async def _websockets(feed: Feed, loads: Loads) -> None:
    from websockets.asyncio.client import connect

    reader = Reader(feed.tally, loads)
    async with connect(feed.url, ssl=context(feed)) as line:
        for asked in feed.subscriptions():
            await line.send(asked)
        while True:
            reader.frame(await line.recv(decode=False) if loads is not json.loads else await line.recv())


def with_aiohttp(feed: Feed) -> None:
    """Listen with aiohttp's client."""
    asyncio.run(_aiohttp(feed, json.loads))


def with_aiohttp_orjson(feed: Feed) -> None:
    """Listen with the same, and orjson."""
    import orjson

    asyncio.run(_aiohttp(feed, orjson.loads))


async def _aiohttp(feed: Feed, loads: Loads) -> None:
    import aiohttp

    reader = Reader(feed.tally, loads)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(feed.url, ssl=context(feed) or True) as line,
    ):
        for asked in feed.subscriptions():
            await line.send_str(asked)
        async for message in line:
            if message.type is aiohttp.WSMsgType.TEXT:
                reader.frame(message.data)


def with_picows(feed: Feed) -> None:
    """Listen with picows and orjson, on the event loop that Python brings."""
    import orjson

    asyncio.run(_picows(feed, Reader(feed.tally, orjson.loads)))


def with_picows_same_events(feed: Feed) -> None:
    """Listen with the same, and make the very events of this package."""
    import orjson

    from subjects.same_events import EventReader  # it brings this package into the process

    asyncio.run(_picows(feed, EventReader(feed.tally, orjson.loads)))


def with_picows_uvloop(feed: Feed) -> None:
    """Listen with picows and orjson on uvloop."""
    import orjson
    import uvloop

    run: Callable[[Coroutine[Any, Any, None]], None] = uvloop.run
    run(_picows(feed, Reader(feed.tally, orjson.loads)))


async def _picows(feed: Feed, reader: Reader) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    text = WSMsgType.TEXT

    class Listener(WSListener):  # type: ignore[misc]  # it has no types
        def on_ws_connected(self, transport: WSTransport) -> None:
            for asked in feed.subscriptions():
                transport.send(text, asked.encode())

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == text:
                reader.frame(frame.get_payload_as_memoryview())

    transport, _ = await ws_connect(Listener, feed.url, ssl_context=context(feed))
    await transport.wait_disconnected()
