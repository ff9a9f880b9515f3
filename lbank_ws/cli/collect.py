"""`lbank-ws collect PAIR...|all`: market data into files or a database, with what is missing of it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import secrets
import sys
import threading
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from lbank_ws.cli.arguments import add_channels, add_source, count, duration_s, moment, size_bytes, subscribe_all
from lbank_ws.cli.box import addresses_of
from lbank_ws.cli.exits import Exit, Signals, told
from lbank_ws.cli.metrics import Textfile, serve
from lbank_ws.cli.ping import Ping
from lbank_ws.cli.progress import progress_of, summary
from lbank_ws.cli.sinks import add_shares, add_sinks, lease, shared, sinks_of
from lbank_ws.errors import LBankError, UsageError
from lbank_ws.storage_errors import StoreBusy

if TYPE_CHECKING:
    from lbank_ws.collect.collector import Collected
    from lbank_ws.collect.store import Store
    from lbank_ws.leases.tenancy import Tenancy

log = logging.getLogger("lbank_ws")

_EPILOG = """examples:
  lbank-ws collect btc_usdt eth_usdt --for 59m          from a crontab; see docs/howto/cron.md
  lbank-ws collect all --channels trade,kline:1min      every pair that is listed
  lbank-ws collect btc_usdt --to sqlite:///btc.db       into a database
  lbank-ws collect all --also redis://host --shard 2/5  the second of five machines, and to Redis as well
  lbank-ws collect all --lease redis://host             one of any number of machines, which share the pairs out

SIGTERM keeps everything and ends with 0, Ctrl-C with 130; a second Ctrl-C leaves at once. SIGHUP begins new files.

"""


def add_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command."""
    command = verbs.add_parser(
        "collect",
        help="collect market data whose coverage is known",
        description="Write what the exchange sends into a store, go on where the last run ended, fetch what was missed "
        "where that is possible, and tell what is missing. One run writes at a time.",
        epilog=_EPILOG
        + told(
            *(Exit.DONE, Exit.FAILED, Exit.USAGE, Exit.NO_DATA, Exit.CANNOT_CREATE, Exit.CANNOT_WRITE, Exit.BUSY),
            Exit.INTERRUPTED,
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("pairs", nargs="+", metavar="PAIR", help="for example btc_usdt; all for every listed pair")
    add_channels(command)
    command.add_argument(
        "--to", default="lbank-data", metavar="STORE", help="a folder, or sqlite:///FILE (default: ./lbank-data)"
    )
    add_sinks(command)
    add_shares(command)
    command.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin with what was missed since the last run (default: yes)",
    )
    _add_end(command)
    _add_disk(command)
    _add_watchers(command)
    add_source(command)
    command.add_argument("--rest-url", metavar="URL", help="another address of the REST interface; also LBANK_REST_URL")
    command.add_argument("--ca-file", metavar="FILE", help="certificate authorities to trust in place of the system's")
    command.add_argument(
        "--backoff-cap",
        type=duration_s,
        default=30.0,
        metavar="TIME",
        help="the longest wait between dials (default: 30s)",
    )
    return command


def _add_end(command: argparse.ArgumentParser) -> None:
    end = command.add_mutually_exclusive_group()
    end.add_argument("--for", dest="for_s", type=duration_s, metavar="TIME", help="end after 30s, 59m, 1h")
    end.add_argument("--until", type=moment, metavar="WHEN", help="end at 18:00, or 2026-11-22T18:00, in UTC")
    command.add_argument("--count", type=count, metavar="N", help="end after N events")
    command.add_argument("--idle-exit", type=duration_s, metavar="TIME", help="end when nothing came for so long")
    command.add_argument(
        "--jitter",
        type=duration_s,
        metavar="TIME",
        help="wait a random time first, at most this; --for begins behind it",
    )
    command.add_argument(
        "--lock-wait",
        type=duration_s,
        default=0.0,
        metavar="TIME",
        help="wait for the end of another run (default: not)",
    )


def _add_disk(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--min-free",
        type=size_bytes,
        default="64M",
        metavar="SIZE",
        help="end when the disk has less room; 0 for no such end (default: 64M)",
    )
    command.add_argument(
        "--flush", type=duration_s, default=1.0, metavar="TIME", help="what a kill may cost (default: 1s)"
    )
    command.add_argument(
        "--rotate", type=duration_s, default=3600.0, metavar="TIME", help="close a file after so long (default: 1h)"
    )


def _add_watchers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ping-url", metavar="URL", help="call URL/start, and at the end URL or URL/fail, as for healthchecks.io"
    )
    command.add_argument("--metrics-textfile", metavar="FILE", help="write metrics for node_exporter every 15 s")
    command.add_argument(
        "--metrics-port", type=count, metavar="PORT", help="answer Prometheus on 127.0.0.1 (extra metrics)"
    )
    command.add_argument("--log-format", choices=("text", "json"), default="text", help="how the log looks")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    ping = Ping(args.ping_url)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals(terminated=Exit.DONE, takes_hangup=True, leaves_at_second=True))
        addresses = stack.enter_context(addresses_of(args))
        if not _waited(args.jitter, signals):
            return signals.exit or Exit.DONE
        try:
            code, text = _collect(args, addresses, signals, ping, stack)
        except StoreBusy:  # another run does the work, and that one is watched over
            if signals.exit is not None:
                return signals.exit
            raise
        except LBankError as error:
            ping.send("fail", str(error))
            raise
        except BaseException as error:  # whatever ends it, the watcher is told
            ping.send("fail", type(error).__name__)
            raise
        ping.send("" if code in (Exit.DONE, Exit.INTERRUPTED) else "fail", text)
        return code


def _collect(
    args: argparse.Namespace, addresses: dict[str, Any], signals: Signals, ping: Ping, stack: ExitStack
) -> tuple[Exit, str]:
    from lbank_ws.client import LBankClient
    from lbank_ws.collect.collector import Collector

    _allow_many_files()
    rest_url = args.rest_url or addresses.get("rest_url")
    client = LBankClient(
        dialect=args.dialect,
        ca_file=args.ca_file,
        backoff_cap_s=args.backoff_cap,
        backoff_first_s=min(1.0, args.backoff_cap),
        policies={"ticker": "keep", "depth": "keep"},
        **{**addresses, "rest_url": rest_url},
    )
    pairs = _pairs(args, rest_url)
    leased = lease(args, pairs)
    if leased is None:
        subscribe_all(client, pairs, args.channels, args.levels)
    collector = Collector(
        client,
        _store(args),
        flush_s=args.flush,
        count=args.count,
        idle_exit_s=args.idle_exit,
        lock_wait_s=args.lock_wait,
        lease=leased,
    )
    textfile = Textfile(args.metrics_textfile, collector, client)
    progress = progress_of(collector, client, stack, is_quiet=args.quiet > 0)
    hangups, is_open = 0, False

    def opened() -> None:
        nonlocal is_open
        is_open = True
        if args.metrics_port is not None:
            serve(args.metrics_port, collector, client)
        textfile.write(now=True)
        ping.send("start")
        progress.begin()

    def turn() -> bool:
        nonlocal hangups
        if not is_open:  # the run that is waited for writes the metrics, too
            return signals.came()
        if signals.hangups != hangups:
            hangups = signals.hangups
            collector.rotate()
        textfile.write()
        progress.turn()
        return signals.came()

    for_s = args.for_s
    if args.until is not None:
        for_s = max(0.0, (args.until - datetime.now(timezone.utc)).total_seconds())
    done = collector.run(for_s, until=turn, on_open=opened)
    textfile.write(now=True)
    progress.end()
    code = _code(done, signals, leased)
    text = summary(done)
    log.info("%s", text.replace("\n", "; "))
    if sys.stderr.isatty() and not args.quiet:
        print(text, file=sys.stderr)
    if code is Exit.NO_DATA:
        print("lbank-ws: nothing came: no subscription was live", file=sys.stderr)
    return code, text


def _allow_many_files() -> None:
    """Let this process open as many files as it may: a line takes three, and the book of each pair has one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS says "infinite" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _code(done: Collected, signals: Signals, leased: Tenancy | None) -> Exit:
    if signals.exit is not None:
        return signals.exit
    topics = done.manifest["topics"]
    if not topics and leased is not None and leased.workers and leased.failure is None:
        return Exit.DONE  # the others had every pair
    return Exit.DONE if any(row["live_at"] for row in topics) else Exit.NO_DATA


def _waited(jitter_s: float | None, signals: Signals) -> bool:
    """Wait a random time, so that a thousand crontabs do not dial in the same second; False when a signal came."""
    over_s = time.monotonic() + (0.0 if jitter_s is None else jitter_s * secrets.randbelow(10**6) / 10**6)
    while not signals.came() and (left_s := over_s - time.monotonic()) > 0:
        threading.Event().wait(min(0.05, left_s))
    return not signals.came()


def _pairs(args: argparse.Namespace, rest_url: str | None) -> list[str]:
    """Give the pairs to collect; `all` asks the exchange.

    Raises:
        RestFailed: The exchange does not say which it lists.
    """
    named: list[str] = args.pairs
    if "all" not in named:
        return shared(named, args.shard)
    from lbank_ws import settings
    from lbank_ws.trading.rest import DEFAULT_URLS, Rest

    rest = Rest(settings.rest_url(rest_url) or DEFAULT_URLS[0], ca_file=args.ca_file)
    try:
        return shared(sorted(rest.pairs()), args.shard)
    finally:
        rest.close()


def _store(args: argparse.Namespace) -> Store:
    from lbank_ws.collect.files import FileStore
    from lbank_ws.collect.sqlite import SqliteStore, sqlite_path

    path = sqlite_path(args.to)
    if path is not None and args.also:
        raise UsageError("--also needs a folder in --to: what an engine has no room for stays there")
    if path is not None:
        return SqliteStore(path, min_free_bytes=args.min_free, resumes=args.resume)
    store = FileStore(args.to, rotate_s=args.rotate, min_free_bytes=args.min_free, resumes=args.resume)
    for sink in sinks_of(args):
        store.tap(sink)
    return store
