"""The experiments that the documentation shows are experiments."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from harness.documents import document

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", ["README.md", "docs/experiments.md"])
def test_the_experiment_of_a_page_loads(page: str) -> None:
    blocks = re.findall(r"(?:^    .*\n)+", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    (shown,) = [textwrap.dedent(block) for block in blocks if block.startswith("    title: ")]
    found = document.loads(shown, Path("cart.yaml"), None, promised=True)
    assert (found.title, len(found.method)) == ("One cart is deleted", 1)
