"""`harness import --into` writes its files whole or says which one it could not write, and leaves no half."""

from __future__ import annotations

import importlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.errors import UsageError
from tests.unit.documents.test_documents_imports_chaoskube import HEAD

command = importlib.import_module("harness.cli.import").command
MONKEY = f"{HEAD.rstrip()} [--namespaces=shop, --labels=app=web, --no-dry-run]\n"


@contextmanager
def full() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def into(folder: Path) -> Result:
    path = folder.parent / "monkey.yaml"
    path.write_text(MONKEY)
    return CliRunner().invoke(command, [str(path), "--into", str(folder)])


def test_what_has_no_room_is_an_error_with_its_file_and_spoils_no_other_try(tmp_path: Path) -> None:
    (tmp_path / "monkey.yaml").write_text(MONKEY)
    with full():
        done = CliRunner().invoke(command, [str(tmp_path / "monkey.yaml"), "--into", str(tmp_path / "new")])
    assert isinstance(done.exception, UsageError), done.output
    assert Path(done.exception.where).parent == tmp_path / "new"
    assert done.exception.why == "File too large"
    assert list((tmp_path / "new").iterdir()) == []
    done = into(tmp_path / "new")
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "new").iterdir()
    assert str(written) == done.output.strip()


@pytest.mark.parametrize("target", ["nowhere", "link", "/proc/none", "/proc/none/below"])
def test_a_folder_that_cannot_be_made_is_no_bug(tmp_path: Path, target: str) -> None:
    """A link that leads nowhere or to itself, and a file system that takes no folder."""
    (tmp_path / "link").symlink_to(target)
    done = into(tmp_path / "link")
    assert isinstance(done.exception, UsageError), done.output
    assert done.exception.where == str(tmp_path / "link")
    assert done.exception.why


def test_a_link_that_leads_nowhere_is_not_replaced(tmp_path: Path) -> None:
    done = into(tmp_path / "new")
    (written,) = (tmp_path / "new").iterdir()
    written.unlink()
    written.symlink_to("nowhere")
    done = into(tmp_path / "new")
    assert isinstance(done.exception, UsageError), done.output
    assert done.exception.where == str(written)
    assert written.is_symlink()
