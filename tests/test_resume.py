"""The small file of `resume=`."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lbank_ws.channels import INTERVALS, Topic, topic
from lbank_ws.errors import UsageError
from lbank_ws.feed.merging import Identity
from lbank_ws.feed.resume import Mark, ResumeFile

AT = datetime(2026, 9, 6, 5, 29, 39, 31_000, tzinfo=timezone.utc)
BTC = topic("trade", "btc_usdt")
TRADES = (
    Identity(AT, Decimal("67617.82"), Decimal("19.0"), "buy"),
    Identity(AT, Decimal("67617.82"), Decimal("19.0"), "buy"),
    Identity(AT + timedelta(milliseconds=1), Decimal("4E-5"), Decimal("1"), "sell"),
)
MARKS = {
    BTC: Mark(AT, AT, TRADES),
    topic("kline", "eth_usdt", interval="1hr"): Mark(AT, AT),
    topic("depth", "btc_usdt", levels=50): Mark(AT),
    topic("ticker", "btc_usdt"): Mark(AT),
}

MOMENTS = st.integers(0, 10**12).map(lambda ms: AT + timedelta(milliseconds=ms))
NUMBERS = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=8)
IDENTITIES = st.builds(Identity, MOMENTS, NUMBERS, NUMBERS, st.sampled_from(["buy", "sell"]))
TOPICS: st.SearchStrategy[Topic] = st.one_of(
    st.builds(topic, st.sampled_from(["trade", "ticker"]), st.sampled_from(["btc_usdt", "1inch_btc"])),
    st.builds(topic, st.just("depth"), st.just("btc_usdt"), levels=st.integers(1, 200)),
    st.builds(topic, st.just("kline"), st.just("btc_usdt"), interval=st.sampled_from(INTERVALS)),
)
ANY_MARKS = st.dictionaries(
    TOPICS,
    st.builds(Mark, MOMENTS, st.none() | MOMENTS, st.lists(IDENTITIES, max_size=5).map(tuple)),
    max_size=6,
)


@given(marks=ANY_MARKS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_what_was_written_is_read_again(marks: dict[Topic, Mark], tmp_path: Path):
    """One digit lost, and a trade comes twice."""
    ResumeFile(tmp_path / "marks").write(marks)

    assert ResumeFile(tmp_path / "marks").read() == marks


def test_the_first_run_has_nothing_behind_it(tmp_path: Path):
    """And leaves nothing before there is something to write."""
    file = ResumeFile(tmp_path / "marks")

    assert file.read() == {}
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path):
    """What somebody collects is nobody else's business."""
    ResumeFile(tmp_path / "marks").write(MARKS)

    assert (tmp_path / "marks").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The disk is full, or the program is killed: the older marks are still good."""
    file = ResumeFile(tmp_path / "marks")
    file.write(MARKS)

    def fails(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr("json.dumps", lambda *_args, **_options: "\udcff")
    else:
        monkeypatch.setattr(os, step, fails)
    with pytest.raises((OSError, UnicodeError)):
        file.write({})
    monkeypatch.undo()

    assert file.read() == MARKS
    assert [path.name for path in tmp_path.iterdir()] == ["marks"]


def test_the_file_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The new one is on the disk before it takes the place of the old one."""
    file = ResumeFile(tmp_path / "marks")
    file.write(MARKS)
    done: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(fd: int) -> None:
        done.append("fsync")
        real_fsync(fd)

    def replace(old: str, new: str) -> None:
        assert file.read() == MARKS
        assert ResumeFile(old).read() == {}
        done.append("replace")
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    file.write({})

    assert done == ["fsync", "replace", "fsync"]


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path):
    """A process number comes again."""
    (tmp_path / f"marks.{os.getpid()}.tmp").write_text("half")
    file = ResumeFile(tmp_path / "marks")
    file.write(MARKS)

    assert file.read() == MARKS
    assert [path.name for path in tmp_path.iterdir()] == ["marks"]


def test_a_torn_file_is_no_reason_to_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Another program may have copied half of it; cut anywhere, it is a first run and says so."""
    path = tmp_path / "marks"
    ResumeFile(path).write(MARKS)
    whole = path.read_bytes()

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lbank_ws"):
            assert ResumeFile(path).read() == {}

        assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"marks": 5},
        {"marks": [5]},
        {"marks": [{}]},
        {"marks": None},
    ],
)
def test_damage_of_any_kind_is_a_first_run(change: dict[str, Any], tmp_path: Path):
    """Nothing in it can end a collector with a traceback."""
    path = tmp_path / "marks"
    ResumeFile(path).write(MARKS)
    said = {**json.loads(path.read_text()), **change}
    if change == {"version": None}:
        del said["version"]
    path.write_text(json.dumps(said, separators=(",", ":")))

    assert ResumeFile(path).read() == {}


@pytest.mark.parametrize("field", ["channel", "pair", "levels", "interval", "received_at", "happened_at", "trades"])
@pytest.mark.parametrize("value", [5, "x", [], [[]], [["x", "1", "1", "buy"]], {}, "2026-09-06T05:29:39", True])
def test_a_field_that_is_damaged_is_a_first_run(field: str, value: Any, tmp_path: Path):
    """Nothing in it can end a collector with a traceback; what stays readable is believed."""
    path = tmp_path / "marks"
    ResumeFile(path).write({BTC: MARKS[BTC]})
    said = json.loads(path.read_text())
    said["marks"][0][field] = value
    path.write_text(json.dumps(said, separators=(",", ":")))

    marks = ResumeFile(path).read()

    assert marks == {} or (field, value) == ("trades", [])


@pytest.mark.parametrize(("taker", "price"), [("neither", "1"), ("buy", "NaN"), ("buy", "Infinity"), ("buy", "one")])
def test_a_trade_that_is_none_is_damage(taker: str, price: str, tmp_path: Path):
    """A NaN is equal to nothing, so that its trade would come twice."""
    path = tmp_path / "marks"
    ResumeFile(path).write({BTC: MARKS[BTC]})
    said = json.loads(path.read_text())
    said["marks"][0]["trades"][0][1::2] = [price, taker]
    path.write_text(json.dumps(said, separators=(",", ":")))

    assert ResumeFile(path).read() == {}


@pytest.mark.parametrize(
    "content", [b"hello", b'{"a":1}', b"\x1f\x8b\x08", b"\xff\xfe", b'{"file": "lbank_ws resume"}']
)
def test_a_file_of_somebody_else_is_refused_and_stays(content: bytes, tmp_path: Path):
    """A typing mistake must not cost anybody his data."""
    path = tmp_path / "thesis.txt"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"thesis\.txt is no file of resume=, .* name another one"):
        ResumeFile(path)

    assert path.read_bytes() == content


def test_another_version_is_refused_and_named(tmp_path: Path):
    """Going on as on a first run would throw away what a newer lbank_ws knows."""
    path = tmp_path / "marks"
    path.write_text('{"file":"lbank_ws resume","version":2,"marks":[]}')

    with pytest.raises(UsageError, match="its format is 2, this one reads 1"):
        ResumeFile(path)


def test_what_is_no_file_is_refused(tmp_path: Path):
    """A FIFO would hold the start for ever."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="not a regular file"):
        ResumeFile(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        ResumeFile(tmp_path)
    with pytest.raises(UsageError, match=r"there is no folder .*; make it first"):
        ResumeFile(tmp_path / "nowhere" / "marks")


def test_a_huge_file_is_not_read(tmp_path: Path):
    """A disk image has the same name as a typing mistake."""
    path = tmp_path / "marks"
    with path.open("wb") as file:
        file.truncate(10**12)

    with pytest.raises(UsageError, match="more than"):
        ResumeFile(path)
