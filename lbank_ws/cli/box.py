"""The practice exchange as a part of another command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lbank_ws.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from lbank_ws.sandbox import Sandbox


@contextmanager
def running_box(
    *, seed: int, port: int = 0, pairs: list[str] | None = None, speed: float = 1.0, faults: str | None = None
) -> Iterator[Sandbox]:
    """Run a practice exchange; the extra `sandbox` must be installed, the port free and the script of faults right."""
    from lbank_ws.sandbox import Sandbox

    try:
        box = Sandbox(seed=seed, port=port, pairs=pairs, speed=speed, faults=() if faults is None else faults)
    except OSError as error:
        raise UsageError(f"the script {faults} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        box.start()
    except ImportError:
        raise MissingExtra("aiohttp", "sandbox") from None
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from error
    try:
        yield box
    finally:
        box.stop()


@contextmanager
def addresses_of(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Give the addresses that the arguments of `add_source` name, as options of a client."""
    if not args.sandbox:
        yield {"url": args.url}
        return
    with running_box(seed=args.seed) as box:
        yield {"url": box.url, "rest_url": box.rest_url}
