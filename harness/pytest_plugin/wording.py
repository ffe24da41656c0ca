"""Say what the reader of documents refuses in the words of a Python test, which has no document."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import UsageError

WORDS: tuple[tuple[str, str], ...] = (
    (r"raise blast-radius\.(pods|nodes) to (\d+)", r"@pytest.mark.chaos(\1=\2)"),
    (r"blast-radius: \{namespaces: \[my-namespace\], pods: 1\}", '@pytest.mark.chaos(namespaces=["..."], pods=1)'),
    (r"'blast-radius'", "the chaos marker"),
    (r"the blast radius", "the chaos marker"),
    (r"load: \{workload: ([\w-]+), rate: ([\w/]+)\}", r'chaos.load("\1", "\2")'),
    (r"phases: \{recovery: (\w+)\}", r'chaos.phases(recovery="\1")'),
    (r"add objectives, or a steady-state-hypothesis with a probe", 'chaos.promise("recovery", within="30s")'),
    (r"add 'why: \.\.\.' beside it", 'chaos.promise(..., why="...")'),
)


def in_python(error: UsageError, where: Path) -> UsageError:
    """Return a refusal without the lines of a document that nobody wrote, and with Python's words for its parts."""
    what, why, hint = (_translated(text, where) for text in (error.what, error.why, error.hint))
    return UsageError(what, where=str(where), why=why, hint=hint)


def _translated(text: str, where: Path) -> str:
    text = re.sub(rf"{re.escape(str(where))}:\d+", str(where), text)
    for pattern, words in WORDS:
        text = re.sub(pattern, words, text)
    return text
