"""The code of a night has a name: two nights with the same one judged the same thing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.nightly import code
from harness.nightly.code import Code


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of experiments inside of a git checkout of its own."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "kill.yaml").write_text("title: one\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, timeout=60)
    return folder


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=60)
    assert code.commit(checkout) == code.commit(checkout / "kill.yaml") == head.stdout[:12]


def test_what_is_not_committed_has_a_mark_that_changes_with_it(checkout: Path) -> None:
    clean = code.commit(checkout)
    (checkout / "kill.yaml").write_text("title: two\n")
    changed = code.commit(checkout)
    (checkout / "kill.yaml").write_text("title: three\n")
    assert len({clean, changed, code.commit(checkout)}) == 3
    assert changed.startswith(f"{clean}+")
    (checkout / "kill.yaml").write_text("title: one\n")
    assert code.commit(checkout) == clean


def test_outside_of_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code.commit(tmp_path) == ""
    monkeypatch.setenv("PATH", "")
    assert code.commit(tmp_path) == ""


def test_it_is_written_without_what_is_not_known() -> None:
    assert str(Code("0.1.0", "abc", "297fef0ed46812345")) == "abc, stack 297fef0ed468, harness 0.1.0"
    assert str(Code("0.1.0")) == "harness 0.1.0"
    assert str(Code()) == "unknown"
