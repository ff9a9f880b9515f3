"""Push prebuilt messages to the clients that are measured: a WebSocket server of bare sockets, run by orders on stdin.

    echo '{"protocol": "lbank", "workload": "tick", "want": 1}' | python benchmarks/load.py

Each line on stdin is an order, each line on stdout an answer; the first one says where it listens. Decided here: when
what is sent, and on which connection. What is sent stands in frames.py, who is measured in feed.py.

- `{"protocol", "workload", "want", "levels"}`: forget all connections, and answer once `want` topics are subscribed.
- `{"flood": count}`: send so many as fast as they are taken.
- `{"pace": count, "rate": 2000}`: send so many with even gaps, and note when each left.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

from frames import Pool, kinds_of
from wire import Wire

BATCH = 32  # frames in one send of a flood; over TLS each is still a record of its own
SUBSCRIBE_S = 20.0
_BYBIT_CHANNELS = {"tickers": "tick", "publicTrade": "trade", "orderbook": "depth"}


class Crowd:
    """Who is connected, and for which kinds; used by the reading threads and by the one that takes orders."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below
        self._wires: list[Wire] = []
        self._of: dict[str, Wire] = {}
        self._topics: set[str] = set()

    def clear(self) -> None:
        """Forget, and hang up on, everybody."""
        with self._changed:
            for wire in self._wires:
                wire.close()
            self._wires, self._of, self._topics = [], {}, set()

    def wait(self, topics: int) -> bool:
        """Wait until so many topics are subscribed; False when that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._topics) >= topics, SUBSCRIBE_S)

    def wire(self, kind: str) -> Wire:
        """Give the connection that asked for a kind last."""
        with self._changed:
            return self._of[kind]

    def welcome(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve one connection until it ends."""
        try:
            wire = Wire(connection, tls)
            path = wire.handshake()
            with self._changed:
                self._wires.append(wire)
            if "streams=" in path:
                self._subscribed(wire, [stream.split("@")[1] for stream in path.split("streams=")[1].split("/")])
            while (payload := wire.frame()) is not None:
                self._heard(wire, payload)
        except (OSError, ValueError):
            connection.close()

    def _heard(self, wire: Wire, payload: bytes) -> None:
        try:
            told = json.loads(payload)
        except ValueError:
            return  # a ping, or a close
        if not isinstance(told, dict):
            return
        if told.get("action") == "subscribe":
            self._subscribed(wire, [told["subscribe"]], f"{told['pair']}/{told.get('depth')}")
        elif told.get("action") == "ping":  # of a line that had its share of a mix before the other
            wire.send([_text({"action": "pong", "pong": told["ping"]})])
        elif told.get("op") == "subscribe":
            self._subscribed(wire, [_BYBIT_CHANNELS[topic.split(".")[0]] for topic in told["args"]])
            wire.send([_text({"success": True, "ret_msg": "", "op": "subscribe", "req_id": told.get("req_id")})])

    def _subscribed(self, wire: Wire, names: list[str], parameters: str = "") -> None:
        with self._changed:
            for name in names:
                kind = next((kind for kind in ("tick", "trade", "depth") if kind in name.lower()), name)
                self._of[kind] = wire
                self._topics.add(kind + parameters)
            self._changed.notify_all()


def _text(said: dict[str, object]) -> bytes:
    """Make a short frame."""
    payload = json.dumps(said).encode()
    return bytes([0x81, len(payload)]) + payload


class Load:
    """What is sent to the connections of one run."""

    def __init__(self, crowd: Crowd, pool: Pool, workload: str) -> None:
        self._crowd, self._pool, self._kinds = crowd, pool, kinds_of(workload)
        self._pieces = {kind: pool.pieces(kind) for kind in set(self._kinds)}
        self._sent = dict.fromkeys(self._pieces, 0)

    def flood(self, count: int) -> dict[str, object]:
        """Send so many messages, each connection by a thread of its own."""
        wires: dict[Wire, list[str]] = {}
        for kind in self._kinds:
            wires.setdefault(self._crowd.wire(kind), []).append(kind)
        turns = count // len(self._kinds)
        threads = [threading.Thread(target=self._pour, args=(wire, kinds, turns)) for wire, kinds in wires.items()]
        cpu_s, began_s = time.process_time(), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._report(turns * len(self._kinds), began_s, cpu_s)

    def pace(self, count: int, rate: float) -> dict[str, object]:
        """Send so many messages with even gaps; gives when each left, by kind, in ns of the monotonic clock."""
        left: dict[str, array[int]] = {kind: array("q") for kind in self._pieces}
        wires = {kind: self._crowd.wire(kind) for kind in self._pieces}
        cpu_s, began_s = time.process_time(), time.monotonic()
        for number in range(count):
            kind = self._kinds[number % len(self._kinds)]
            pieces = self._pieces[kind]
            frame = self._pool.moment(time.time()).join(pieces[self._sent[kind] % len(pieces)])
            self._sent[kind] += 1
            due_s = began_s + number / rate
            while (wait_s := due_s - time.monotonic()) > 0:
                if wait_s > 0.0002:
                    time.sleep(wait_s - 0.0001)
            left[kind].append(time.monotonic_ns())
            wires[kind].send([frame])
        return {**self._report(count, began_s, cpu_s), "left_ns": {kind: list(each) for kind, each in left.items()}}

    def _pour(self, wire: Wire, kinds: list[str], turns: int) -> None:
        batch: list[bytes] = []
        for _ in range(turns):
            for kind in kinds:
                pieces = self._pieces[kind]
                if not batch:
                    moment = self._pool.moment(time.time())
                batch.append(moment.join(pieces[self._sent[kind] % len(pieces)]))
                self._sent[kind] += 1
            if len(batch) >= BATCH:
                wire.send(batch)
                batch = []
        if batch:
            wire.send(batch)

    def _report(self, count: int, began_s: float, cpu_s: float) -> dict[str, object]:
        took_s = time.monotonic() - began_s
        last = {kind: self._pool.price(kind, sent - 1) for kind, sent in self._sent.items() if sent}
        return {"sent": count, "rate": round(count / took_s), "cpu_s": time.process_time() - cpu_s, "last": last}


def listen(crowd: Crowd, tls: ssl.SSLContext | None) -> int:
    """Take connections on a thread; give the port."""
    server = socket.create_server(("127.0.0.1", 0), backlog=600)

    def take() -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=crowd.welcome, args=(connection, tls), daemon=True).start()

    threading.Thread(target=take, daemon=True).start()
    return int(server.getsockname()[1])


def serve(ca_file: Path | None) -> None:
    """Take orders until stdin ends."""
    crowd, tls = Crowd(), None
    pools: dict[tuple[str, int], Pool] = {}
    if ca_file is not None:
        import trustme

        authority = trustme.CA()
        authority.cert_pem.write_to_path(ca_file)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    tell({"plain": listen(crowd, None), "tls": listen(crowd, tls) if tls else None})
    load: Load | None = None
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        try:
            if "protocol" in order:
                crowd.clear()
                key = (order["protocol"], order.get("levels", 100))
                pool = pools.setdefault(key, Pool(key[0], levels=key[1]))
                load = Load(crowd, pool, order["workload"])
                tell({"ready": True})
                tell({"subscribed": crowd.wait(order["want"])})
            elif load is not None:
                tell(load.flood(order["flood"]) if "flood" in order else load.pace(order["pace"], order["rate"]))
        except (OSError, KeyError) as error:  # the client hung up, or asked for something else
            tell({"error": f"{type(error).__name__}: {error}"})
    os._exit(0)  # threads wait in accept and recv


def tell(answer: dict[str, object]) -> None:
    """Write an answer."""
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Run the generator."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--ca-file", type=Path, help="serve TLS too, and put its authority's certificate there")
    command.add_argument("--core", type=int, help="the processor to stay on")
    args = command.parse_args()
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    serve(args.ca_file)


if __name__ == "__main__":
    main()
