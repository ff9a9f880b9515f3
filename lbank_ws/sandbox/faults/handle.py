"""What a test holds in its hand of a fault that it began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True)
class FaultHandle:
    """A fault that has begun; as a context manager it ends with the block. Any thread may use it.

    Attributes:
        number: Counts up from 1 over the life of the box.
        name: For example `mute`.
        parameters: Those that are not at their default.
    """

    number: int
    name: str
    parameters: dict[str, object]
    _end: Callable[[int], object] = field(repr=False, compare=False)
    _is_active: Callable[[int], bool] = field(repr=False, compare=False)

    def __enter__(self) -> FaultHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def is_active(self) -> bool:
        """Tell whether it still lasts."""
        return self._is_active(self.number)

    def end(self) -> None:
        """End it; nothing happens when it is over."""
        self._end(self.number)
