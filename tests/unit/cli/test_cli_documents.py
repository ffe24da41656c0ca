"""A folder's experiments are all of them, or an error that names the one that could not be looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.cli import documents
from harness.errors import UsageError
from tests.unit.cli.test_cli_rights import DOCUMENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kill.yaml").write_text(DOCUMENT)
    return tmp_path


def test_an_experiment_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "moved.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(UsageError, match=r"moved\.yaml: cannot read the experiment"):
        documents.load([folder])


def test_a_folder_that_cannot_be_looked_into_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("shop"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match="shop: cannot look into the folder"):
        documents.load([folder])


def test_pipes_and_an_editors_lock_are_passed_over(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / ".#kill.yaml").symlink_to("me@host.1:2")
    assert [one.path.name for one in documents.load([folder])] == ["kill.yaml"]
