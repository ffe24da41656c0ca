"""Replace files that another process reads, each atomically by rename, and only when they differ."""

from __future__ import annotations

from pathlib import Path


class AtomicFiles:
    """The files of one folder, as this process wrote them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, str] = {}

    @property
    def count(self) -> int:
        """How many different files were written."""
        return len(self._written)

    def replace(self, name: str, text: str) -> bool:
        """Make a file say `text`; return whether it changed."""
        if self._written.get(name) == text:
            return False
        draft = self._folder / f".{name}"
        draft.write_text(text)
        draft.replace(self._folder / name)
        self._written[name] = text
        return True
