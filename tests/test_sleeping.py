"""A process that is stopped for a while, as by a laptop's lid: noticed at once, one reconnect, one gap."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

from lbank_ws.sandbox import Sandbox

SCRIPT = """
import sys
from lbank_ws import LBankClient

client = LBankClient(url=sys.argv[1], backoff_first_s=0.2)

@client.on_ticker("btc_usdt")
def hear(ticker):
    print("price", flush=True)

@client.on_status
def tell(status):
    if status.topic is None:
        print(status.kind, flush=True)

@client.on_gap
def hole(gap):
    print("gap", round((gap.ended_at - gap.started_at).total_seconds(), 1) if gap.ended_at else "opens", flush=True)

client.run()
"""
ASLEEP_S, PING_S, PONG_S = 4.0, 0.5, 1.0


@pytest.mark.slow
def test_process_that_was_stopped_is_back_within_two_seconds_of_waking():
    """The exchange has hung up meanwhile, because nobody answered its pings; the hole must be told with its length."""
    with Sandbox(pairs=["btc_usdt"], ping_every_s=PING_S, pong_within_s=PONG_S) as box:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, box.url], stdout=subprocess.PIPE, text=True)
        said: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: [said.put(line.strip()) for line in process.stdout], daemon=True)
        reader.start()
        try:
            while said.get(timeout=10) != "price":
                pass
            process.send_signal(signal.SIGSTOP)
            time.sleep(ASLEEP_S)  # how long it sleeps
            while not said.empty():
                said.get()
            process.send_signal(signal.SIGCONT)
            woke_s, heard = time.monotonic(), []
            while not [line for line in heard if line.startswith("gap ") and line != "gap opens"]:
                heard.append(said.get(timeout=5))

            assert time.monotonic() - woke_s < 2.5  # two, and the machine's other work
            assert [line for line in heard if line != "price" and not line.startswith("gap")] == ["lost", "reconnected"]
            # It was there, unread, until the exchange hung up after a ping and the wait for its answer.
            assert ASLEEP_S - PING_S - PONG_S - 0.7 < float(heard[-1].split()[1]) < ASLEEP_S + 2
        finally:
            process.kill()
            process.wait(5)
            reader.join(5)
            process.stdout.close()
