"""The commands that a section of the README tells to type, so that what it says is what is tested."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMENT = re.compile(r"\s+# ?(.*)$")


def commands(section: str) -> list[tuple[str, str]]:
    """List the commands in a section's blocks, in order, each with what the comment behind it says."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    lines = [line for block in blocks for line in textwrap.dedent(block).splitlines()]
    found = [(line, COMMENT.search(line)) for line in lines]
    return [(line[: said.start()] if said else line, said[1] if said else "") for line, said in found]
