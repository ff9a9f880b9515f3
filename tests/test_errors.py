"""What an error says, and what it must never say."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone

import pytest

from lbank_ws import errors, storage_errors
from lbank_ws.causes import Cause, Flaw
from lbank_ws.errors import (
    CallbackError,
    ConnectionLost,
    DecodeError,
    EventsDropped,
    GaveUp,
    LBankError,
    LoginRefused,
    MissingExtra,
    NoEvent,
    Refused,
    RestFailed,
    SlowCallback,
    Stale,
    StaleBook,
    StalePrice,
    SubscriptionRefused,
    UsageError,
)
from lbank_ws.quoting import QUOTED_CHARACTERS, quoted, without_addresses
from lbank_ws.storage_errors import (
    LeaseFailed,
    RecordingBusy,
    RecordingFailed,
    SinkFailed,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
)

SINCE = datetime(2026, 11, 23, 10, 0, 1, 500_000, tzinfo=timezone.utc)
NASTY = "\x1b[31mred\nline\r\0\x7f\x85\u202e\ud800 'single' \"double\" \\n"


def callback_error() -> CallbackError:
    error = CallbackError("on_ticker", 5)
    error.__cause__ = ZeroDivisionError("division by zero")
    return error


ERRORS: list[LBankError] = [
    UsageError("write btc_usdt"),
    MissingExtra("pandas", "frames"),
    DecodeError("latest is null, not a number", NASTY + '{"tick":{"latest":null}}'),
    Refused(None, NASTY),
    Refused(10008, "currency pair nonsupport"),
    SubscriptionRefused("ticker/a_b", None, "Invalid order pairs:[a_b],remoteIp is: [203.0.113.77]"),
    SubscriptionRefused("ticker/usdt_btc", None, "Invalid order pairs:[usdt_btc]", "did you mean btc_usdt?"),
    LoginRefused(10007, NASTY),
    ConnectionLost(Cause.REFUSED, "503 Service Unavailable", retry_after_s=30.0),
    ConnectionLost(Cause.CLOSED, quoted(NASTY)),
    Stale("btc_usdt", Flaw.NOTHING_YET, None),
    StaleBook("btc_usdt", Flaw.LATE, SINCE),
    StalePrice("btc_usdt", Flaw.LINE_DOWN, SINCE),
    GaveUp(60.04, 7, ConnectionLost(Cause.NO_ADDRESS, "api.lbkex.com", retry_after_s=1.5)),
    NoEvent("trade/btc_usdt", 30),
    callback_error(),
    SlowCallback("look", "on_depth", 2.04, 17),
    EventsDropped(12, 10_000),
    RecordingBusy("tape\u202e.jsonl"),
    RecordingFailed("tape.jsonl", "No space left on device"),
    RecordingFailed("tape.jsonl", "Permission denied", has_begun=False),
    RestFailed("/v2/timestamp.do", NASTY),
    RestFailed("/v2/timestamp.do", "from 203.0.113.77", 10205),
    StoreBusy("data\u202e"),
    StoreBusy("data", NASTY),
    StoreFailed("data", "No space left on device"),
    StoreFailed("data", "Permission denied", has_begun=False),
    StoreDamaged("gaps.jsonl", NASTY),
    SinkFailed("redis://:***@host", "Connection refused."),
    SinkFailed("redis://:***@host", "Connection refused.", 7),
    LeaseFailed("redis://:***@host", "Connection refused."),
]
IDS = [f"{type(error).__name__}-{number}" for number, error in enumerate(ERRORS)]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MissingExtra("pandas", "frames"), "this needs the package pandas; pip install 'lbank-ws[frames]'"),
        (
            DecodeError("latest is null, not a number", '{"tick":{}}'),
            "cannot read a frame of the exchange: latest is null, not a number; "
            'the feed goes on without it, please report this frame: {"tick":{}}',
        ),
        (
            Refused(10008, "currency pair nonsupport"),
            "the exchange refused (code 10008): currency pair nonsupport",
        ),
        (
            SubscriptionRefused("ticker/a_b", None, "Invalid order pairs:[a_b]"),
            "the exchange refused ticker/a_b (code None): Invalid order pairs:[a_b]; "
            "check the spelling of the pair and that LBank still lists it",
        ),
        (
            SubscriptionRefused("ticker/usdt_btc", None, "Invalid order pairs:[usdt_btc]", "did you mean btc_usdt?"),
            "the exchange refused ticker/usdt_btc (code None): Invalid order pairs:[usdt_btc]; did you mean btc_usdt?",
        ),
        (
            LoginRefused(10007, "Invalid signature"),
            "the exchange refused the log-in (code 10007): Invalid signature; check the API key and its secret, to "
            "which IP address the key is bound, and this computer's clock",
        ),
        (ConnectionLost(Cause.REFUSED, "503 Service Unavailable"), "refused: 503 Service Unavailable"),
        (Stale("btc_usdt", Flaw.NOTHING_YET, None), "there is no good state of btc_usdt so far: nothing yet"),
        (
            StaleBook("btc_usdt", Flaw.LATE, SINCE),
            "there is no good order book of btc_usdt since 2026-11-23 10:00:01 UTC: late",
        ),
        (
            StalePrice("btc_usdt", Flaw.LINE_DOWN, SINCE),
            "there is no good price of btc_usdt since 2026-11-23 10:00:01 UTC: line down",
        ),
        (
            GaveUp(60.04, 7, ConnectionLost(Cause.NO_ADDRESS, "api.lbkex.com")),
            "gave up after 60.0 s and 7 attempts; the last ended with no address: api.lbkex.com; "
            "check the network, or raise give_up_after_s",
        ),
        (NoEvent("trade/btc_usdt", 30), "no trade/btc_usdt came within 30 s; a quiet pair may need longer"),
        (
            callback_error(),
            "the callback 'on_ticker' raised ZeroDivisionError('division by zero') on a int; the feed goes on",
        ),
        (
            SlowCallback("look", "on_depth", 2.04, 17),
            "on_depth 'look' took 2.0 s, 17 events waiting; do less in it, or hand the work to a thread of yours",
        ),
        (
            EventsDropped(12, 10_000),
            "12 events were dropped: the callbacks are slower than the feed and 10000 events wait; "
            "do less in the callback, or hand the work to a thread of yours",
        ),
        (
            RecordingBusy("tape.jsonl"),
            "tape.jsonl is being written by another recorder; wait for its end, or name another file",
        ),
        (
            RecordingFailed("tape.jsonl", "No space left on device"),
            "the recording tape.jsonl has ended: No space left on device; the feed goes on without it",
        ),
        (
            RecordingFailed("tape.jsonl", "Permission denied", has_begun=False),
            "cannot record to tape.jsonl: Permission denied; the feed goes on without it",
        ),
        (
            RestFailed("/v2/timestamp.do", "HTTP 502 Bad Gateway"),
            "the REST call /v2/timestamp.do failed: HTTP 502 Bad Gateway",
        ),
        (
            RestFailed("/v2/timestamp.do", "Request too frequent", 10004),
            "the exchange refused the REST call /v2/timestamp.do (code 10004): Request too frequent",
        ),
        (
            StoreBusy("data", "process 4711 on host since 10:15"),
            "data is being written by process 4711 on host since 10:15; wait for its end, or name another store",
        ),
        (
            StoreFailed("data", "No space left on device"),
            "the collection into data has ended: No space left on device",
        ),
        (StoreFailed("data", "Permission denied", has_begun=False), "cannot write into data: Permission denied"),
        (StoreDamaged("gaps.jsonl", "line 3 is no entry"), "gaps.jsonl is damaged: line 3 is no entry"),
        (
            SinkFailed("redis://host", "Connection refused.", 7),
            "the sink redis://host takes no events: Connection refused.; 7 events found no room and are lost to it; "
            "it is tried again",
        ),
        (
            LeaseFailed("redis://host", "Connection refused."),
            "the lease redis://host does not answer: Connection refused.; pairs whose locks may have ended are let go, "
            "and it is tried again",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LBankError) else "",
)
def test_sentence_says_what_came_and_what_to_do(error: LBankError, sentence: str):
    """It is all that a beginner reads."""
    assert error.sentence() == sentence
    assert str(error) == f"{sentence} (docs: errors#{type(error).__name__.lower()})"


def test_every_error_has_its_sentence_tested_and_one_parent():
    """One `except LBankError` has to catch them all, the ones of tomorrow too."""
    made = {type(error) for error in ERRORS}

    known = {**vars(errors), **vars(storage_errors)}.values()
    declared = {value for value in known if isinstance(value, type) and issubclass(value, LBankError)}

    assert declared - {LBankError} == made


@pytest.mark.parametrize(
    ("error", "parent"),
    [(UsageError("x"), ValueError), (MissingExtra("a", "b"), ValueError), (NoEvent("x", 1), TimeoutError)],
    ids=["UsageError", "MissingExtra", "NoEvent"],
)
def test_error_is_also_what_python_calls_it(error: LBankError, parent: type[Exception]):
    """A script that knows nothing of this package catches what it would expect."""
    assert isinstance(error, parent)
    assert getattr(error, "errno", None) is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("remoteIp is: [203.0.113.77]", "remoteIp is: [x.x.x.x]"),
        ("remoteIp is: [2001:db8::1]", "remoteIp is: [x.x.x.x]"),
        ("remoteIp is: [whatever they call me]", "remoteIp is: [x.x.x.x]"),
        ("remoteIp is:[10.0.0.1", "remoteIp is:[x.x.x.x"),
        ("203.0.113.77", "x.x.x.x"),
        ("from 203.0.113.77:51234, 10.0.0.1", "from x.x.x.x:51234, x.x.x.x"),
        ("ip_203.0.113.77_", "ip_x.x.x.x_"),
        ('{"ip":"203.0.113.77"}', '{"ip":"x.x.x.x"}'),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "x.x.x.x"),
        ("2001:DB8::8a2e:370:7334", "x.x.x.x"),
        ("[2001:db8::1]:443", "[x.x.x.x]:443"),
        ("ip:2001:db8::1.", "ip:x.x.x.x."),
        ("ip:2001:db8:0:0:0:0:2:1", "ip:x.x.x.x"),
        ("fe80::1%eth0", "x.x.x.x%eth0"),
        ("2001:db8::", "x.x.x.x"),
        ("::ffff:203.0.113.77", "::ffff:x.x.x.x"),
        ("::ffff:cb00:714d", "x.x.x.x"),
    ],
)
def test_address_is_masked(text: str, masked: str):
    """The exchange prints the user's IP address into its errors, and logs get shared."""
    assert without_addresses(text) == masked
    assert without_addresses(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2019-07-01T11:33:55.188",
        "11:33:55",
        "13:29:39.031 and 13:29:40:031",
        "84667.75 * 7.29 = 617227.90",
        "[1161.58,3.7754],[1161.47,0.8194]",
        '{"latest":0.02698749,"high":2.5046901191E8}',
        "websocket-client 1.9.2",
        "0ca8f854-7ba7-4341-9d86-d3327e52804e",
        "wss://api.lbkex.com:443/ws/V2/",
        "a: b: c: d: e",
        "Invalid order pairs:[aiausdt]",
    ],
)
def test_time_and_price_are_not_masked(text: str):
    """They are why the error is read at all."""
    assert without_addresses(text) == text


@pytest.mark.parametrize("before", range(170, 205))
@pytest.mark.parametrize("address", ["203.0.113.77", "2001:db8:85a3:8d3:1319:8a2e:370:7334"])
def test_address_at_the_cut_is_masked_too(address: str, before: int):
    """Half an address is half of what must not be shown."""
    shown = quoted(" " * before + address + " " * 100)

    assert address[:7] not in shown


@pytest.mark.parametrize("before", range(13))
def test_many_addresses_are_all_masked(before: int):
    """Each one masked makes the text shorter and brings later ones into view."""
    shown = quoted(" " * before + "203.0.113.77 " * 300)

    assert "203" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("", ""),
        ("line\nfeed\r\t\0", r"line\x0afeed\x0d\x09\x00"),
        ("\x1b[31m\x7f\x85", r"\x1b[31m\x7f\x85"),
        ("\ud800\u202e", r"\ud800\u202e"),
        ("\u4ea4\u6613", r"\u4ea4\u6613"),
        ("\"double\" and 'single' \\ stay", "\"double\" and 'single' \\ stay"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 180 + "... (201 characters)"),
        ("x" * 10_000_000, "x" * 175 + "... (10000000 characters)"),
        ("\0" * 100, r"\x00" * 45 + "... (100 characters)"),
    ],
    ids=lambda text: repr(text)[:20],
)
def test_text_from_outside_fits_one_line(text: str, shown: str):
    """A frame must not be able to write lines of its own into a log, or colours into a terminal."""
    assert quoted(text) == shown
    assert len(shown) <= QUOTED_CHARACTERS


@pytest.mark.parametrize("text", [NASTY, "x" * 500, "\0" * 500, "remoteIp is: [203.0.113.77]"])
def test_quoting_twice_changes_nothing(text: str):
    """A reason is quoted where it is read and again where it becomes an error."""
    assert quoted(quoted(text)) == quoted(text)


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_sentence_is_one_printable_line_of_ascii(error: LBankError):
    """Control characters, lone surrogates and addresses never reach a log."""
    sentence = str(error)

    assert sentence.isprintable()
    assert sentence.isascii()
    assert "203.0.113.77" not in sentence + repr(error)


@pytest.mark.parametrize(
    "error",
    [
        DecodeError("problem", "x" * 100_000),
        Refused(1, "x" * 100_000),
        SubscriptionRefused("ticker/a_b", 1, "x" * 100_000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_long_frame_is_cut(error: LBankError):
    """A log line must stay a line, and an error must not keep megabytes alive."""
    assert "... (100000 characters)" in str(error)
    assert len(str(error)) < 500
    assert len(pickle.dumps(error)) < 2000


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_error_survives_the_way_to_another_process(error: LBankError):
    """multiprocessing and concurrent.futures hand errors on by pickle; one that breaks there hides what went wrong."""
    twin = pickle.loads(pickle.dumps(error))

    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.args == error.args or isinstance(error, GaveUp)
    assert {name: str(value) for name, value in vars(twin).items()} == {
        name: str(value) for name, value in vars(error).items()
    }


def test_last_failure_of_giving_up_survives_the_way_to_another_process():
    """It is what tells a broken network from a broken exchange."""
    error = GaveUp(60.0, 7, ConnectionLost(Cause.REFUSED, "429", retry_after_s=1.5))

    twin = pickle.loads(pickle.dumps(error))

    assert (twin.last.cause, twin.last.detail, twin.last.retry_after_s) == (Cause.REFUSED, "429", 1.5)
