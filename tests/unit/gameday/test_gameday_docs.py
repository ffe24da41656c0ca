"""What the pages tell a lead to type is what the command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from harness.cli.gameday import command

ROOT = Path(__file__).parents[3]
TYPED = re.compile(r"^    harness gameday (.*)$", re.MULTILINE)
PAGES = {page: (ROOT / page).read_text() for page in ("README.md", "docs/gameday.md")}
SAID = sorted({said for text in PAGES.values() for said in TYPED.findall(text) if not said.startswith(" ")})


@pytest.mark.parametrize("said", SAID)
def test_a_command_is_one_that_there_is_and_takes_its_options(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verb, *words = shlex.split(said, comments=True)
    found = command.get_command(click.Context(command), verb)
    assert found, f"harness gameday has no {verb}"
    with found.make_context(verb, words) as made:
        assert not made.args


def test_every_command_is_on_the_page() -> None:
    assert [verb for verb in command.commands if f"harness gameday {verb}" not in PAGES["docs/gameday.md"]] == []
