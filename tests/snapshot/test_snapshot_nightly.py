"""Each view of nine synthetic nights, against files a person has looked at; UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.nightly import sheet, views
from harness.nightly.history import History
from harness.nightly.sheet import Sheet
from tests.snapshot.conftest import HOSTILE
from tests.snapshot.test_snapshot_report import compare
from tests.unit.nightly import stories

VIEWS = {"index.html": "html", "summary.md": "md", "junit.xml": "xml"}
KNOWN = [(f"cart/{name}", HOSTILE) for name in ("kill", "freeze", "drain", "stop", "cordon", "evict", "never")]


@pytest.fixture
def seen() -> Sheet:
    """A regression, two flips of which one is too much, a known wrong, an unproven one, and one that was not run."""
    records = stories.history(
        kill="P P P P P P P P DD",
        freeze="P P DP P P P P P IP",
        drain="P P P P P P P P IP",
        stop="DD DD DD . DD DD DD DD DD",
        cordon="P P P II P P P P -I",
        evict="P P P P P P P P .",
    )
    named = [dataclasses.replace(one, reason=f"{one.reason} {HOSTILE}" if one.reason else "") for one in records]
    slow = [
        dataclasses.replace(
            one, recovery=2.0 + (7 * number % 10) / 10, code=stories.NEW if number > 30 else stories.OLD
        )
        for number, one in enumerate(named)
    ]
    found = sheet.build(History(tuple(slow), unread=1), KNOWN)
    assert found
    return found


def test_the_views_of_a_night_are_those_that_were_looked_at(
    seen: Sheet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    report = Path("runs/run-8-1-drain/index.html")
    report.parent.mkdir(parents=True)
    report.write_text("the report")
    Path("nightly").mkdir()
    compare(views.write(seen, Path("nightly"), Path("runs")) + "\n", "night.txt")
    for name, end in VIEWS.items():
        compare(Path("nightly", name).read_text(), f"night.{end}")


def test_what_others_wrote_is_inert_in_every_view(seen: Sheet, tmp_path: Path) -> None:
    said = views.write(seen, tmp_path, tmp_path)
    for text in (said, *((tmp_path / name).read_text() for name in VIEWS)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    for name in ("index.html", "summary.md"):
        assert "<script" not in (tmp_path / name).read_text()
