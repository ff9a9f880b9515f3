"""The journal: an order is on the disk before it leaves, one client alone writes it, and a kill tears nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lbank_ws.errors import UsageError
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.ticket import order_request
from lbank_ws.trading_errors import JournalBusy, JournalFailed

OWNER = "live 0123"


def limit(client_id: str, pair: str = "btc_usdt"):
    return order_request(pair, "buy", "limit", price="100.50", amount="0.1", client_id=client_id)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "orders.jsonl"


@pytest.fixture
def open_journal(path):
    """Give a maker of journals that are closed when the test ends."""
    made = []

    def make(owner: str = OWNER, at=None) -> Journal:
        made.append(Journal(at or path, owner))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


def test_what_was_written_is_known_to_the_next_run(open_journal, path):
    """All five ends of an order, and the two that are none."""
    journal = open_journal()
    for name in ("pending", "placed", "refused", "unsent", "unknown", "missing"):
        journal.intend(limit(name))
    journal.settle("placed", Verdict(Fate.PLACED, "order-1"))
    journal.settle("refused", Verdict(Fate.REFUSED, code=10014, reason="Currency is not enough"))
    journal.settle("unsent", Verdict(Fate.UNSENT, reason="no network"))
    journal.settle("unknown", Verdict(Fate.UNKNOWN, reason="no answer"), 1_700_000_000_000)
    journal.settle("missing", Verdict(Fate.UNKNOWN, reason="no answer"), 1_700_000_000_000)
    journal.settle("missing", Verdict(Fate.NOT_PLACED, reason="never seen"))
    before = journal.entries()
    journal.close()

    again = open_journal()

    assert again.entries() == before
    assert [entry.order.client_id for entry in again.open_entries()] == ["pending", "unknown"]
    unknown, placed, refused = (again.get(name) for name in ("unknown", "placed", "refused"))
    assert unknown.unknown_since_ms == 1_700_000_000_000
    assert placed.order_id == "order-1"
    assert (refused.code, refused.reason) == (10014, "Currency is not enough")
    assert again.pairs() == ["btc_usdt"]


def test_an_order_is_on_the_disk_when_intend_returns(open_journal, path, monkeypatch):
    """It leaves right behind it, and a power cut may come in between."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(path.read_bytes().count(b"\n")) or real(fd))
    journal = open_journal()

    journal.intend(limit("mine"))

    assert synced[-1] == 2
    assert json.loads(path.read_text().splitlines()[1])["client_id"] == "mine"


def test_the_journal_cut_at_any_byte_is_read_up_to_there(open_journal, path, tmp_path):
    """A kill tears the last line; what it was to say had not happened yet."""
    journal = open_journal()
    for name in ("one", "two"):
        journal.intend(limit(name))
        journal.settle(name, Verdict(Fate.PLACED, f"order-{name}"))
    journal.close()
    content = path.read_bytes()
    ends = [number + 1 for number, byte in enumerate(content) if byte == ord("\n")]

    for size in range(len(content)):
        torn = tmp_path / f"torn-{size}"
        torn.write_bytes(content[:size])
        read = Journal(torn, OWNER)
        whole = sum(end <= size for end in ends)
        assert len(read.entries()) == max(0, whole // 2), size
        read.intend(limit("after"))
        read.close()
        back = Journal(torn, OWNER)
        assert back.get("after") is not None
        back.close()


def test_a_journal_that_is_in_use_is_refused_and_one_of_a_dead_process_is_not(open_journal, path):
    """Two clients would not know of each other's orders; a lock left by a kill would block for ever."""
    program = f"""
import os, sys
from lbank_ws.trading.journal import Journal
journal = Journal({str(path)!r}, {OWNER!r})
print("open", flush=True)
sys.stdin.read()
os._exit(9)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(JournalBusy, match="another client"):
            open_journal()
    finally:
        child.kill()
        child.communicate(timeout=20)

    assert open_journal().entries() == []
    with pytest.raises(JournalBusy):  # in the same process as well
        open_journal()


@pytest.mark.parametrize(
    "content", [b"my notes\n", b"my notes", b"{}\n", b'{"journal":"other","version":1,"owner":"x"}\n']
)
def test_a_file_of_somebody_elses_stays_as_it_is(open_journal, path, content):
    """A typing error in a name must not cost a file."""
    path.write_bytes(content)

    with pytest.raises(UsageError, match="no journal of orders"):
        open_journal()

    assert path.read_bytes() == content


def test_orders_of_another_account_are_refused(open_journal):
    """Looked up with another key they would seem not to exist."""
    open_journal().close()

    with pytest.raises(UsageError, match="another account or key"):
        open_journal("live 9999")


def test_damage_in_the_middle_is_told_and_not_passed_over(open_journal, path):
    """What stood there may be an order that exists."""
    journal = open_journal()
    journal.intend(limit("one"))
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'"intent"', b'"int\x00nt"') + b"{}\n")

    with pytest.raises(UsageError, match=r"line 2 of .* is damaged"):
        open_journal()


def test_a_disk_that_refuses_lets_no_order_leave_and_tears_nothing(open_journal, path, monkeypatch):
    """Half a line in the middle would make the whole journal unreadable."""
    journal = open_journal()
    journal.intend(limit("one"))
    before = path.read_bytes()
    real = os.write

    def full(fd, content):
        if len(content) > 20:
            return real(fd, bytes(content)[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, content: full(fd, content) if real(fd, b"") == 0 else 0)
        patch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(JournalFailed, match="No space left"):
            journal.intend(limit("two"))

    assert path.read_bytes() == before
    assert journal.get("two") is None
    journal.intend(limit("two"))


def test_an_id_is_written_down_once(open_journal):
    """It is what tells one order from another."""
    journal = open_journal()
    journal.intend(limit("one"))

    with pytest.raises(UsageError, match="there is an order with the id one"):
        journal.intend(limit("one"))


def test_an_order_that_was_seen_stays_placed(open_journal):
    """The stream told of it, and then the call that sent it failed."""
    journal = open_journal()
    journal.intend(limit("one"))
    journal.settle("one", Verdict(Fate.PLACED, "order-1"))

    entry = journal.settle("one", Verdict(Fate.UNKNOWN, reason="no answer"))

    assert (entry.fate, entry.order_id) == (Fate.PLACED, "order-1")


def test_a_link_or_a_folder_is_no_journal(open_journal, path, tmp_path):
    """Somebody else may have put it there."""
    (tmp_path / "target").write_text("")
    path.symlink_to(tmp_path / "target")

    with pytest.raises(JournalFailed):
        open_journal()
    with pytest.raises((JournalFailed, UsageError)):
        open_journal(at=tmp_path)
    with pytest.raises(JournalFailed, match="No such file"):
        open_journal(at=tmp_path / "nowhere" / "x")
