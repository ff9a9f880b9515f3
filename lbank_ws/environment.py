"""The variables of the environment, and those of a `.env` file that the environment does not set.

Decided here: which file is read, and whose it may be when secrets are taken from it. Not decided here: what a variable
means, which is `settings.py` for addresses and `signer.py` for credentials.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted

log = logging.getLogger("lbank_ws")

ENV_FILE = "LBANK_ENV_FILE"


def environment(secret: Collection[str] = ()) -> dict[str, str]:
    """Give the environment's variables, and those of the `.env` file that it does not set.

    Only `./.env` or the file named by `LBANK_ENV_FILE` is read, never one of a parent folder. Values stand for
    themselves: nothing in them is replaced.

    Args:
        secret: Variables that nobody else may know. Where the file has one that counts, it must be the user's own; one
            that others can read is told in the log.

    Raises:
        UsageError: The named file cannot be read or is no regular file; or it holds secrets and others may change it.
    """
    named = os.environ.get(ENV_FILE)
    path = named or ".env"
    try:
        status = os.stat(path)
    except OSError as error:
        if named:
            raise UsageError(f"{ENV_FILE} names {named}, which cannot be read: {error.strerror}") from error
        return dict(os.environ)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is not a regular file; write NAME=value lines into an ordinary file")
    from dotenv import dotenv_values  # not needed where there is no such file

    try:
        from_file = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}") from error
    found = {name: text for name, text in from_file.items() if text is not None and name not in os.environ}
    if any(name in found for name in secret):
        check_keeper(path, status)
    return found | dict(os.environ)


def check_keeper(path: str, status: os.stat_result) -> None:
    """Check whose file it is that holds secrets; one that others can read is told in the log.

    Raises:
        UsageError: It belongs to somebody else, or others may write it, so they could name a key of theirs.
    """
    if not hasattr(os, "getuid"):  # Windows has no such bits
        return
    shown = quoted(path)
    if status.st_uid not in (os.getuid(), 0):
        raise UsageError(f"{shown} holds secrets and belongs to another user; make a file of your own")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{shown} holds secrets and others may change it; run: chmod 600 {shown}")
    if status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("%s holds secrets and others can read it; run: chmod 600 %s", shown, shown)
