"""What answers of the REST interface look like: the envelope, and JSON whose numbers are exact.

Decided here: keys of the envelope and their order, how `result` is spelt. What stands under `data` is decided in
`rest_public.py` and `rest_signed.py`. Known from captures and LBank's documentation: `result` is a boolean at some
addresses and text at others; some answers have a `msg`, some have none, those to refresh_key and destroy_key have
nothing but `result`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum

from lbank_ws.sandbox.refusals import Refusal

NOT_FOUND = (
    "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n"
    "<center><h1>404 Not Found</h1></center>\r\n</body>\r\n</html>\r\n"
)
NOT_ALLOWED = NOT_FOUND.replace("404 Not Found", "405 Not Allowed")


class Envelope(Enum):
    """What stands around the `data` of an answer."""

    WORDY = "with msg"
    PLAIN = "without msg"
    BARE = "result alone"


class Number(str):
    """A number as it is to be printed."""

    __slots__ = ()


def written(value: object) -> str:
    """Write JSON without spaces; a `Number` stays as it is printed."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def success(envelope: Envelope, *, is_boolean: bool, content: object, at_ms: int) -> str:
    """Write the answer to a request that was granted."""
    result: object = True if is_boolean else "true"
    if envelope is Envelope.BARE:
        return written({"result": result})
    words = {"msg": "Success"} if envelope is Envelope.WORDY else {}
    return written({"result": result, **words, "data": content, "error_code": 0, "ts": at_ms})


def refusal(reason: Refusal, *, is_boolean: bool, at_ms: int) -> str:
    """Write the answer to a request that was refused; the keys are those of a capture of 2025."""
    result: object = False if is_boolean else "false"
    return written({"msg": reason.words, "result": result, "error_code": reason.code, "ts": at_ms})
