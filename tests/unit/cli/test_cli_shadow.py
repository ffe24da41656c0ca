"""What lies in the working directory and is called like us is not taken for us."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
THEIRS = "raise RuntimeError('not this one')\n"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the harness is installed as pyproject.toml says, and this checkout is on no path."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    site = tmp_path / "site"
    about = site / "kube_chaos_harness-9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kube-chaos-harness\nVersion: 9\n")
    entry = declared["project"]["entry-points"]["pytest11"]["harness"]
    (about / "entry_points.txt").write_text(f"[pytest11]\nharness = {entry}\n")
    for module in declared["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").symlink_to(ROOT / f"{module}.py")
    module, _, function = declared["project"]["scripts"]["harness"].partition(":")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "harness").write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    return {**os.environ, "PYTHONPATH": str(site), "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cov -p no:anyio"}


@pytest.fixture(params=["harness.py", "harness/__init__.py", "harness/cli.py", "probes/__init__.py"])
def here(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder that has something that is called like us."""
    folder = tmp_path / "project"
    file = folder / request.param
    file.parent.mkdir(parents=True)
    file.write_text(THEIRS)
    (folder / "test_fine.py").write_text("def test_fine(request):\n    assert request.config.option.chaos_runs\n")
    return folder


def test_a_session_of_pytest_has_the_plugin(here: Path, installed: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "test_fine.py"]
    done = subprocess.run(argv, cwd=here, env=installed, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_is_ours_where_an_empty_entry_searches_the_folder_first(
    here: Path, installed: dict[str, str]
) -> None:
    environment = {**installed, "PYTHONPATH": os.pathsep + installed["PYTHONPATH"]}
    argv = [sys.executable, str(here.parent / "bin" / "harness"), "--version"]
    done = subprocess.run(argv, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("harness, version")


def test_another_that_was_imported_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "harness.py").write_text("")
    code = f"import sys; import harness; sys.path.append({str(ROOT)!r}); import kube_chaos_harness"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith("ImportError: another 'harness' was imported first, from ")
    assert str(tmp_path / "harness.py") in done.stderr
