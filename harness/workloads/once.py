"""Read each object once: what a plan is made of is one moment, and a hundred pods of one workload ask for it once."""

from __future__ import annotations

from typing import Any, Protocol

from harness.errors import ApiError


class Reader(Protocol):
    """Whatever reads one object by its path."""

    async def get(self, path: str, /) -> dict[str, Any]:
        """Read it; raises ApiError where that is refused."""
        ...


class Once:
    """A reader that remembers every answer, refusals too."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._answers: dict[str, dict[str, Any] | ApiError] = {}

    async def get(self, path: str, /) -> dict[str, Any]:
        """Read an object, or give what was read before; raises ApiError as that did."""
        if path not in self._answers:
            try:
                self._answers[path] = await self._reader.get(path)
            except ApiError as error:
                self._answers[path] = error
        answer = self._answers[path]
        if isinstance(answer, ApiError):
            raise answer
        return answer
