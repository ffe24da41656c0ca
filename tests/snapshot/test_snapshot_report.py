"""Each view of each synthetic run, against files a person has looked at; UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import report
from harness.journal import reader
from harness.report import junit, markdown

GOLDEN = Path(__file__).parent / "golden"
VIEWS = {"result.txt": "txt", "index.html": "html", "summary.md": "md", "junit.xml": "xml"}


def compare(text: str, name: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Runs lie below the working directory, so no path of this machine gets into a view."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("file", VIEWS)
def test_view_is_the_one_that_was_looked_at(story, tmp_path, file):
    name, dir = story
    report.write(dir.relative_to(tmp_path))
    compare((dir / file).read_text(), f"{name}.{VIEWS[file]}")


def test_block_with_colour_says_the_same_words(story):
    name, dir = story
    compare(report.text(reader.read(dir), color=True, width=120) + "\n", f"{name}.color.txt")


def test_several_runs_make_one_suite_and_one_summary(stories, tmp_path):
    dirs = [dir.relative_to(tmp_path) for dir in stories.values()]
    compare(junit.suite(dirs), "suite.xml")
    compare(markdown.suite(dirs), "suite.md")


def test_every_golden_file_belongs_to_a_view(stories):
    names = {f"{name}.{end}" for name in stories for end in (*VIEWS.values(), "color.txt")}
    nights = {f"night.{end}" for end in VIEWS.values()}
    days = {f"gameday.{end}" for end in ("html", "md", "txt", "ics")}
    assert {path.name for path in GOLDEN.iterdir()} == names | nights | days | {"suite.xml", "suite.md"}
