"""How the log of a command looks: lines for people, or a JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


class JsonLines(logging.Formatter):
    """One JSON object a record: `at` in UTC, `level`, `logger`, `message`, and `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Give a record as a line."""
        said = {
            "at": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def begin_logging(loudness: int, *, as_json: bool = False) -> None:
    """Send the log to standard error.

    Args:
        loudness: 0 for warnings, 1 and 2 for more, below 0 for errors alone.
        as_json: Write JSON lines.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if as_json else text)
    logging.basicConfig(level=_LEVELS[max(0, min(loudness + 1, 3))], handlers=[handler])
