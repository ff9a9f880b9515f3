"""A recording: what it keeps and what it masks, and that neither a kill nor a bad disk makes it unreadable."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws import LBankClient, RecordingBusy, RecordingFailed, UsageError
from lbank_ws.causes import Cause
from lbank_ws.cli.exits import Exit
from lbank_ws.errors import ConnectionLost, LBankError
from lbank_ws.events import Status
from lbank_ws.feed.appending import AppendedFile
from lbank_ws.feed.clock import SystemClock
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.recorder import Recorder
from lbank_ws.quoting import without_addresses
from lbank_ws.sandbox import Sandbox
from lbank_ws.sandbox.recording import Frame, Mark, Missing, Start, entries
from lbank_ws.wire.masking import masked, may_hold_address, secrets_in
from tests.plain_exchange import PlainExchange
from tests.samples import Sample, samples
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdef" * 4
API_KEY = "fb4e39e5-6a06-4291-9f80-d10176a0badd"
PACKINGS = ["tape.jsonl", "tape.jsonl.gz", "tape.jsonl.zst"]
AT = SystemClock().now().ns // 1000 * 1000


def is_of_the_market(sample: Sample) -> bool:
    """Tell whether a sample holds no key and no address."""
    return "subscribeKey" not in sample.frame and "remoteIp" not in sample.frame


class Tape:
    """A recorder without a client.

    Attributes:
        faults: What it handed on.
    """

    def __init__(self, path: Path, **options: object) -> None:
        self.faults: list[LBankError] = []
        self.path = path
        self.recorder = Recorder(
            path, **{"dialect": "v2", "host": "api.lbkex.com", "deliver": self.hear, "clock": SystemClock(), **options}
        )

    def hear(self, reaction: Reaction) -> None:
        self.faults += reaction.faults

    def write(self, *frames: str | bytes) -> list[object]:
        """Record frames, text as sent and bytes as received, and give what can be read."""
        self.recorder.start()
        for number, frame in enumerate(frames):
            if isinstance(frame, bytes):
                self.recorder.received(1, AT + number, frame)
            else:
                self.recorder.sent(1, AT + number, frame)
        self.end()
        return list(entries(self.path))

    def end(self) -> None:
        self.recorder.stop()
        assert self.recorder.join(5)


# What is masked.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            '{"op":"auth","args":["<api key>","1700000000000","<key>"]}',
            '{"op":"auth","args":["***","***","***"]}',
        ),
        ('{"args": ["k","t", "s"], "op": "auth"}', '{"args": ["***","***", "***"], "op": "auth"}'),
        (
            '{"action":"subscribe","subscribe":"orderUpdate","subscribeKey":"<key>","pair":"all"}',
            '{"action":"subscribe","subscribe":"orderUpdate","subscribeKey":"***","pair":"all"}',
        ),
        ('{"subscribeKey" : "short"}', '{"subscribeKey" : "***"}'),
        ('{"api_key":"a","sign":"b","secretKey":"c"}', '{"api_key":"***","sign":"***","secretKey":"***"}'),
        ('{"sign":12345,"secret":["a","b"],"x":1}', '{"sign":"***","secret":"***","x":1}'),
        ('{"sign":"a\\"b","x":1}', '{"sign":"***","x":1}'),
        ('{"data":"<key>"}', '{"data":"***"}'),
        ('{"data":"<KEY>"}', '{"data":"***"}'),
        ("api_key=<api key>&sign=abc&symbol=btc_usdt", "api_key=***&sign=***&symbol=btc_usdt"),
        ('{"message":"bad {\\"api_key\\":\\"abc\\"}"}', '{"message":"bad {\\"api_key\\":\\"***\\"}"}'),
        (
            '{"message":"bad {\\"op\\":\\"auth\\",\\"args\\":[\\"abc\\"]}"}',
            '{"message":"bad {\\"op\\":\\"auth\\",\\"args\\":[\\"***\\"]}"}',
        ),
        ('{"api\\u005fkey":"abc"}', '{"api_key":"***"}'),
        ('{"m":"<half key>\\u0066"}', '{"m":"***"}'),
        ("{'api_key': 'abc'}", "{'api_key': '***'}"),
        ('broken {"sign":"abc', 'broken {"sign":"***"'),
        ('{"message":"remoteIp is: [203.0.113.77]"}', '{"message":"remoteIp is: [x.x.x.x]"}'),
        ('{"message":"203.0.113\\u002e77"}', '{"message":"x.x.x.x"}'),
        ('{"message":"2001:db8::1"}', '{"message":"x.x.x.x"}'),
    ],
)
def test_credentials_and_addresses_are_masked(text, shown):
    """A recording is shared to show a problem; a key in it is a key given away."""
    stands_for = {"<key>": KEY, "<KEY>": KEY.upper(), "<half key>": KEY[:-1], "<api key>": API_KEY}
    for name, secret in stands_for.items():
        text = text.replace(name, secret)

    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        *(sample.frame for sample in (*samples("v2"), *samples("simple")) if is_of_the_market(sample)),
        '{"action":"ping","ping":"0ca8f854-7ba7-4341-9d86-d3327e52804e"}',
        '{"action":"subscribe","subscribe":"depth","depth":"20","pair":"sign_usdt"}',
        '{"ch":"market.keyusdt.ticker","ts":1700000000000,"tick":{"close":1}}',
        '{"id":"3f5c0a1b2c3d4e5f60718293a4b5c6d7","args":[1,2]}',
        '{"price":' + "12" * 40 + "}",
        '{"path":"a\\/b\\u4ea4"}',
        "",
    ],
)
def test_frames_of_the_market_stay_as_they_are(text):
    """A replay must show what came, byte for byte."""
    assert masked(text) == text


_NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=0).map(str)
_WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
_PUSHES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["tick", "depth", "trade", "kbar"]),
        "pair": st.from_regex(r"[a-z0-9]{1,10}_[a-z0-9]{1,6}", fullmatch=True),
        "asks": st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=20),
        "latest": st.floats(allow_nan=False, allow_infinity=False),
        "TS": st.datetimes().map(lambda at: at.isoformat()),
    }
)


@given(_PUSHES, st.booleans())
def test_no_push_looks_like_a_secret(push, is_spaced):
    """Any price, any pair: masking must not take a number for a key."""
    text = json.dumps(push, separators=None if is_spaced else (",", ":"))

    assert masked(text) == text


@given(st.text('0123456789.:abcf,[]" ', max_size=60))
def test_quick_look_misses_no_address(text):
    """The slow pattern runs only where the quick one says so."""
    assert may_hold_address(text) or without_addresses(text) == text


_SECRETS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-", min_size=8, max_size=80).filter(
    lambda secret: not secret.isdigit()
)
_CARRIERS = [
    lambda secret: {"subscribeKey": secret},
    lambda secret: {"op": "auth", "args": [secret, "1700000000000", "x"]},
    lambda secret: {"params": {"api_key": secret, "sign": "x"}},
    lambda secret: {"message": "refused " + json.dumps({"secretKey": secret})},
    lambda secret: {"message": json.dumps({"inner": json.dumps({"sign": secret})})},
]


@given(_SECRETS, st.sampled_from(_CARRIERS), _WORDS, st.booleans())
def test_secret_never_survives_under_its_name(secret, carrier, word, is_ascii):
    """Whatever surrounds it, and however the other side escapes it."""
    text = json.dumps({"word": word, **carrier(secret)}, ensure_ascii=is_ascii)

    assert secret not in masked(text).replace(json.dumps(word), "").replace(word, "")


@given(_SECRETS)
def test_what_was_sent_as_a_secret_is_masked_wherever_it_comes_back(secret):
    """The exchange may quote the key in its own words: `unknown key ...`."""
    known = secrets_in(json.dumps({"op": "auth", "args": [secret, "1700000000000", "x"]}))

    assert secret not in masked(f'{{"msg":"unknown key {secret}"}}', known)
    assert "1700000000000" not in known


# What is kept.


def test_frames_are_kept_in_order_and_exactly(tmp_path):
    """Text as text, also with odd characters; what is not UTF-8 as its bytes."""
    tape = Tape(tmp_path / "tape.jsonl")
    odd = '{"a":"交易 \\u0000 \x7f","b":1.0E-8}'

    start, sent, odd_frame, bad, end = tape.write('{"action":"ping","ping":"1"}', odd.encode(), b'{"type":"\xff\xfe"}')

    assert isinstance(start, Start)
    assert (start.dialect, start.host) == ("v2", "api.lbkex.com")
    assert sent == Frame(AT, 1, False, b'{"action":"ping","ping":"1"}')
    assert odd_frame == Frame(AT + 1, 1, True, odd.encode())
    assert bad == Frame(AT + 2, 1, True, b'{"type":"\xff\xfe"}')
    assert end.kind == "ended"


def test_bytes_that_are_not_utf8_are_masked_too(tmp_path):
    """One bad byte must not let a key through."""
    tape = Tape(tmp_path / "tape.jsonl")

    tape.write(b'{"subscribeKey":"%s","x":"\xff"}' % KEY.encode())

    line = json.loads(tape.path.read_text().splitlines()[1])
    assert base64.b64decode(line["base64"]) == b'{"subscribeKey":"***","x":"\xff"}'


def test_no_secret_reaches_the_file(tmp_path):
    """Not as sent, not as echoed, not in the reason of a loss."""
    tape = Tape(tmp_path / "tape.jsonl", host="10.1.2.3:8765")
    detail = f"HTTP 403 subscribeKey={KEY} from 10.1.2.3"
    tape.recorder.start()
    tape.recorder.sent(1, AT, f'{{"op":"auth","args":["{API_KEY}","1","{KEY}"]}}')
    tape.recorder.received(1, AT, f'{{"msg":"no such key {API_KEY}"}}'.encode())
    status = Status(
        kind="lost", at=datetime.now(timezone.utc), cause=ConnectionLost(Cause.REFUSED, detail, retry_after_s=2.0)
    )
    tape.recorder.marked(1, status)
    tape.end()

    text = tape.path.read_text()

    assert API_KEY not in text
    assert KEY not in text
    assert "10.1.2.3" not in text
    mark = next(entry for entry in entries(tape.path) if isinstance(entry, Mark))
    assert (mark.kind, mark.cause, mark.retry_after_s) == ("lost", "refused", 2.0)


def test_drops_stand_in_the_recording(make_exchange, make_client, tmp_path):
    """What is missing in the data must be explained by the data."""
    exchange = make_exchange()
    client = make_client(exchange.url, record=tmp_path / "tape.jsonl")
    kinds = []
    client.on_status(lambda status: kinds.append(status.kind) if status.topic is None else None)
    client.on_ticker("btc_usdt", "eth_usdt")(lambda ticker: None)
    client.start()
    wait_until(lambda: exchange.topics() == {"ticker/btc_usdt", "ticker/eth_usdt"})

    exchange.hang_up()

    wait_until(lambda: kinds[-1:] == ["reconnected"])
    wait_until(lambda: exchange.topics() == {"ticker/btc_usdt", "ticker/eth_usdt"})
    client.stop()
    marks = [entry for entry in entries(tmp_path / "tape.jsonl") if isinstance(entry, Mark)]
    sent = [entry.text for entry in entries(tmp_path / "tape.jsonl") if isinstance(entry, Frame) and not entry.is_in]
    assert [mark.kind for mark in marks] == ["opened", "lost", "reconnected", "ended"]
    assert (marks[1].cause, "1000" in marks[1].detail) == ("closed", True)
    assert len(sent) == 4
    assert client.recorder.frames > 4
    assert not _threads()


# Going on with what is there.


@pytest.mark.parametrize("name", PACKINGS)
def test_recording_is_continued(tmp_path, name):
    """A collector is started from cron every hour, with the same file."""
    for _ in range(3):
        found = Tape(tmp_path / name).write('{"a":1}', b'{"b":2}')

    assert [type(entry) for entry in found] == [Start, Frame, Frame, Mark] * 3


@pytest.mark.parametrize("name", PACKINGS)
def test_file_cut_anywhere_is_continued_behind_its_last_flush(tmp_path, name):
    """A kill or a full disk leaves any number of bytes; what was flushed before must stay, and nothing must tear."""
    path = tmp_path / name
    batches = [b'{"lbank_ws_recording":1,"dialect":"v2","host":"","started_ns":1,"version":""}\n']
    batches += [b"".join(_frame_line(10 * batch + n) for n in range(3)) for batch in range(6)]
    whole = AppendedFile(str(path), lambda first: None)
    sizes = []
    for batch in batches:
        whole.write(batch)
        sizes.append(path.stat().st_size)
    whole.close()
    content = path.read_bytes()
    first = sizes[0]

    for cut in range(first, len(content) + 1, 1 if name != PACKINGS[0] else 7):
        path.write_bytes(content[:cut])
        file = AppendedFile(str(path), lambda found: None)
        file.write(batches[0] + _frame_line(99))
        file.close()
        read = [entry.ns for entry in entries(path) if isinstance(entry, Frame)]
        flushed = sum(size <= cut for size in sizes[1:])
        expected = [10 * batch + n for batch in range(6) for n in range(3)]
        assert read[: 3 * flushed] == expected[: 3 * flushed], cut
        assert read[-1] == 99
        assert read[:-1] == expected[: len(read) - 1]


def test_bytes_that_only_look_like_a_flush_end_no_member(tmp_path):
    """Where a torn member is closed is searched for by four bytes, which may stand in the data by chance."""
    path = tmp_path / "tape.gz"
    Tape(path).write(*(b"%r" % os.urandom(40) for _ in range(50)))
    content = path.read_bytes()
    continued = 0

    for cut in range(len(content) // 4, len(content) - 100, 5):
        path.write_bytes(content[:cut] + b"\x00\x00\xff\xff")
        try:
            found = Tape(path).write(b"{}")
        except UsageError:  # no data could look like this
            continue
        continued += 1
        assert [type(entry) for entry in found][-3:] == [Start, Frame, Mark]

    assert continued


@pytest.mark.parametrize("name", PACKINGS[1:])
def test_torn_line_in_a_whole_packing_is_ended(tmp_path, name):
    """Somebody has packed a torn plain recording; the next start must not stand in the same line."""
    Tape(tmp_path / "tape.jsonl").write(b"{}")
    torn = (tmp_path / "tape.jsonl").read_bytes()[:-5]
    packed = gzip.compress(torn) if name.endswith(".gz") else pytest.importorskip("zstandard").compress(torn)
    (tmp_path / name).write_bytes(packed)

    found = Tape(tmp_path / name).write(b"{}")

    assert [type(entry) for entry in found] == [Start, Frame, Start, Frame, Mark]


@pytest.mark.parametrize("name", PACKINGS)
def test_torn_recording_can_be_read_as_it_is(tmp_path, name):
    """After a crash one wants to look at once."""
    path = tmp_path / name
    tape = Tape(path)
    tape.write(*(b'{"n":%d}' % number for number in range(50)))
    content = path.read_bytes()

    path.write_bytes(content[: len(content) * 2 // 3])

    assert isinstance(next(iter(entries(path))), Start)


def test_packed_recordings_are_what_their_names_say(tmp_path):
    """zcat and zstdcat must read them, continued or not."""
    zstandard = pytest.importorskip("zstandard")
    for _ in range(2):
        plain = len(Tape(tmp_path / "tape.jsonl").write(b"{}"))
        Tape(tmp_path / "tape.gz").write(b"{}")
        Tape(tmp_path / "tape.zst").write(b"{}")

    with gzip.open(tmp_path / "tape.gz") as file:
        assert len(file.readlines()) == plain
    with zstandard.open(tmp_path / "tape.zst") as file:
        assert len(file.read().splitlines()) == plain


@pytest.mark.parametrize("name", PACKINGS)
def test_second_writer_of_a_file_is_refused(tmp_path, name):
    """Two cron jobs that overlap would mix their lines."""
    first, second = Tape(tmp_path / name), Tape(tmp_path / name)
    first.recorder.start()

    with pytest.raises(RecordingBusy, match="another recorder"):
        second.recorder.start()

    first.end()
    second.recorder.start()
    second.end()


def _foreign_gz() -> bytes:
    return gzip.compress(b"my diary\n" * 100, mtime=0)  # else the test would have another name each second


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tape.jsonl", b"my diary\nof 2026\n", "no recording"),
        ("tape.jsonl", b"my diary", "no recording"),
        ("tape.jsonl", b"[1]\n", "no recording"),
        ("tape.jsonl", b'{"lbank_ws_recording":2,"dialect":"v2"}\n', "format 2"),
        ("tape.jsonl", b'{"lbank_ws_recording":1,"dialect":"simple"}\n', "dialect 'simple'"),
        ("tape.gz", b"no gzip at all", "no recording"),
        ("tape.gz", _foreign_gz(), "no recording"),
        ("tape.gz", _foreign_gz()[:40], "no recording"),
        ("tape.zst", b"no zstd at all", "no recording"),
    ],
)
def test_file_of_somebody_else_stays_as_it_is(tmp_path, name, content, words):
    """A slip in `--out` must not cost a diary."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UsageError, match=words):
        Tape(path).recorder.start()

    assert path.read_bytes() == content


def test_damaged_middle_is_named_and_left_alone(tmp_path):
    """Going on behind garbage would make the file unreadable for good."""
    path = tmp_path / "tape.gz"
    Tape(path).write(*(os.urandom(3000).hex()[:60].encode() for _ in range(200)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    path.write_bytes(content)

    with pytest.raises(UsageError, match="cannot be continued"):
        Tape(path).recorder.start()

    assert path.read_bytes() == content


def test_links_and_devices_are_not_written(tmp_path):
    """In a shared folder somebody else may have put the name there."""
    target = tmp_path / "target"
    target.write_bytes(b"")
    (tmp_path / "tape.jsonl").symlink_to(target)
    tape = Tape(tmp_path / "tape.jsonl")

    tape.recorder.start()

    assert isinstance(tape.faults[0], RecordingFailed)
    assert target.read_bytes() == b""
    with pytest.raises(UsageError, match="regular file"):
        Tape(Path("/dev/null")).recorder.start()


def test_recording_is_for_its_owner_alone(tmp_path):
    """Orders may stand in it."""
    Tape(tmp_path / "tape.jsonl").write()

    assert (tmp_path / "tape.jsonl").stat().st_mode & 0o777 == 0o600


def test_missing_package_is_told_when_the_client_is_made(tmp_path, monkeypatch):
    """Not at three in the morning."""
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(UsageError, match=r"lbank-ws\[record\]"):
        LBankClient(record=tmp_path / "tape.zst")

    assert not list(tmp_path.iterdir())


# Bad disks.


def test_slow_disk_costs_frames_and_says_how_many(tmp_path, monkeypatch):
    """Memory stays bounded, and the hole stands where it is."""
    tape = Tape(tmp_path / "tape.jsonl", waiting_bytes=1000)
    is_fast = _blocked_writes(monkeypatch, after=1)
    tape.recorder.start()
    tape.recorder.received(1, AT, b"{}")
    wait_until(lambda: not tape.recorder._heard, what="the first batch taken")

    for number in range(20):
        tape.recorder.received(1, AT + number, b"x" * 100)
    is_fast.set()
    tape.end()

    kept = list(entries(tape.path))
    (missing,) = [entry for entry in kept if isinstance(entry, Missing)]
    frames = [entry for entry in kept if isinstance(entry, Frame)]
    assert missing.count + len(frames) == 21
    assert 0 < missing.count == tape.recorder.lost
    assert kept.index(missing) == kept.index(frames[-1]) + 1


def test_slow_disk_holds_up_neither_pongs_nor_callbacks(tmp_path, monkeypatch, make_client):
    """The exchange hangs up on who does not answer, whatever the disk does."""
    with PlainExchange() as exchange:
        is_fast = _blocked_writes(monkeypatch, after=1)
        client = make_client(exchange.url, record=tmp_path / "tape.jsonl")
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()
        wait_until(lambda: prices)

        exchange.say({"action": "ping", "ping": "0ca8f854"})

        took_s = wait_until(lambda: {"action": "pong", "pong": "0ca8f854"} in exchange.heard)
        is_fast.set()
        assert took_s < 1


def test_hung_disk_does_not_hold_up_stop(tmp_path, monkeypatch, make_client):
    """A network file system may hang for hours; `stop` says so, in time."""
    with PlainExchange() as exchange:
        is_fast = _blocked_writes(monkeypatch, after=1)
        client = make_client(exchange.url, record=tmp_path / "tape.jsonl")
        prices = []
        client.on_ticker("btc_usdt")(prices.append)
        client.start()
        wait_until(lambda: prices)
        began_s = time.monotonic()

        has_ended = client.stop(timeout_s=1)

        is_fast.set()
        assert not has_ended
        assert time.monotonic() - began_s < 2
        assert client.stop()


def test_folder_that_is_missing_is_a_fault_and_the_feed_goes_on(tmp_path, make_client):
    """Prices are worth more than their recording."""
    with PlainExchange() as exchange:
        client = make_client(exchange.url, record=tmp_path / "nowhere" / "tape.jsonl")
        faults, prices = [], []
        client.on_error(faults.append)
        client.on_ticker("btc_usdt")(prices.append)

        client.run(for_s=10, until=lambda: prices and faults)

        (fault,) = faults
        assert isinstance(fault, RecordingFailed)
        assert (fault.has_begun, fault.reason) == (False, "No such file or directory")
        assert prices


_FULL_DISK = """
import os, resource, sys
from lbank_ws import LBankClient
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
client = LBankClient(url=sys.argv[1], record=sys.argv[2], policies={"ticker": "keep", "depth": "keep"})
faults, after = [], []
client.on_error(faults.append)

@client.on_ticker("btc_usdt")
def fill(ticker):
    client.recorder.sent(1, 1, os.urandom(4000).hex(" "))  # cannot be packed
    if faults:
        after.append(ticker)

client.run(for_s=20, until=lambda: len(after) > 3)
print([str(fault) for fault in faults], len(after), client.recorder.failure is faults[0])
"""


@pytest.mark.parametrize("name", PACKINGS)
def test_full_disk_ends_the_recording_and_not_the_feed(tmp_path, name):
    """One clear fault; what was written before stays whole, and can be read and continued."""
    path = tmp_path / name
    with Sandbox(pairs=["btc_usdt"], speed=5) as box:
        run = subprocess.run(
            [sys.executable, "-c", _FULL_DISK, box.url, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=40
        )

    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"\['the recording .* has ended: File too large; [^']*'\] \d+ True\n", run.stdout)
    assert path.stat().st_size <= 20_000
    kept = list(entries(path))
    assert isinstance(kept[0], Start)
    assert path.suffix != ".jsonl" or path.read_bytes().endswith(b"\n")
    assert Tape(path).write()[: len(kept)] == kept


_KILLED = """
import sys
from lbank_ws import LBankClient
client = LBankClient(url=sys.argv[1], record=sys.argv[2], policies={"ticker": "keep", "depth": "keep"})
client.on_depth("btc_usdt")(lambda depth: print(depth.received_ns, flush=True))
client.on_ticker("btc_usdt")(lambda ticker: print(ticker.received_ns, flush=True))
client.run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKINGS)
def test_kill_costs_at_most_a_second(tmp_path, name):
    """Machines lose power and jobs get killed; twice, because the second run continues what the first left."""
    path = tmp_path / name
    with Sandbox(pairs=["btc_usdt"], speed=5) as box:
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", _KILLED, box.url, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            came = [int(process.stdout.readline())]
            while came[-1] < came[0] + 1_500_000_000:
                came.append(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            came += [int(line) for line in process.communicate()[0].split()]

            kept = [entry.ns for entry in entries(path) if isinstance(entry, Frame) and entry.is_in]

            assert came[0] in kept
            assert came[-1] - kept[-1] <= 1_000_000_000
            # Two lines are read by two threads, so that neither list is in order.
            assert {ns for ns in came if ns <= kept[-1]} == {ns for ns in kept if ns >= came[0]}
        assert sum(isinstance(entry, Start) for entry in entries(path)) == 2


# The command.


def _lbank_ws(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lbank_ws", *arguments], capture_output=True, text=True, timeout=30)


@pytest.mark.slow
def test_command_records_what_it_is_asked_for(tmp_path):
    """The way to a recording without a line of code."""
    path = tmp_path / "tape.jsonl"
    channels = "ticker,depth,trade,kline:5min"

    run = _lbank_ws(
        *("record", "btc_usdt", "--out", str(path), "--sandbox", "--for", "2s"),
        *("--channels", channels, "--levels", "5"),
    )

    sent = [json.loads(entry.text) for entry in entries(path) if isinstance(entry, Frame) and not entry.is_in]
    assert (run.returncode, run.stdout) == (Exit.DONE, "")
    assert f"frames in {path}" in run.stderr
    assert [frame["subscribe"] for frame in sent if frame["action"] == "subscribe"] == [
        "tick",
        "depth",
        "trade",
        "kbar",
    ]
    assert (sent[1]["depth"], sent[3]["kbar"]) == ("5", "5min")


@pytest.mark.slow
def test_command_says_by_its_code_why_it_failed(tmp_path):
    """A cron job looks at nothing else."""
    path = tmp_path / "tape.jsonl"
    (tmp_path / "diary.txt").write_text("my diary\n")
    other = Tape(path)
    other.recorder.start()

    busy = _lbank_ws("record", "btc_usdt", "--out", str(path), "--sandbox", "--for", "5s")
    other.end()
    missing = _lbank_ws("record", "btc_usdt", "--out", str(tmp_path / "no" / "tape"), "--sandbox", "--for", "5s")
    foreign = _lbank_ws("record", "btc_usdt", "--out", str(tmp_path / "diary.txt"), "--sandbox", "--for", "5s")

    assert [run.returncode for run in (busy, missing, foreign)] == [Exit.BUSY, Exit.CANNOT_CREATE, Exit.USAGE]
    assert [len(run.stderr.splitlines()) for run in (busy, missing, foreign)] == [3, 3, 3], (busy, missing, foreign)


def _blocked_writes(monkeypatch: pytest.MonkeyPatch, *, after: int) -> threading.Event:
    """Let every write but the first ones wait; give the event that frees them."""
    is_fast = threading.Event()
    write = AppendedFile.write
    writes = iter(range(1_000_000))

    def slow(file: AppendedFile, lines: bytes) -> None:
        if next(writes) >= after:
            is_fast.wait(20)
        write(file, lines)

    monkeypatch.setattr(AppendedFile, "write", slow)
    return is_fast


def _frame_line(ns: int) -> bytes:
    return json.dumps({"ns": ns, "line": 1, "dir": "in", "text": os.urandom(20).hex()}).encode() + b"\n"


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lbank-ws-recorder"]
