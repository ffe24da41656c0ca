"""Where the stack's files are, what its images are made of, and the key that all of it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster.build import gobuild
from harness.cluster.cache import Progress, digest, project_root
from harness.stack import istio, overlays, wheels

IMAGES = {"claude-ecosystem/service": "service", "claude-ecosystem/prometheus": "prometheus"}
"""Image names of the manifests, and the folders under images/ that they are built from."""
ISTIO = {"auto": "proxy", "pilot": "istiod"}
"""Istio's own, as pods of the manifests and its settings name them; a cluster's own Istio has its own."""
PROGRAMS = {"istiod": "pilot-discovery", "proxy": "pilot-agent"}


def key(overlay: str, foreign: str = "") -> str:
    """Return a short hash of everything that decides what is deployed, a foreign Istio's revision among it."""
    return digest([overlays.manifests(), *_parts()], overlay, foreign)


def _parts() -> list[Path]:
    images = project_root() / "images"
    folders = [images / folder for folder in ("debian", *IMAGES.values(), *ISTIO.values())]
    return [*folders, gobuild.sources("istio-manifests"), _services()]


def _services() -> Path:
    return project_root() / "stack" / "services" / "claude_services"


@contextmanager
def context(folder: str, progress: Progress) -> Iterator[Path]:
    """Yield the build context of one image: its recipe, and beside it whatever that copies."""
    with TemporaryDirectory(prefix="stack-image-") as scratch:
        made = Path(scratch) / folder
        shutil.copytree(project_root() / "images" / folder, made)
        requirements = made / "requirements.txt"
        if requirements.exists():
            shutil.copytree(wheels.packages(requirements, progress), made / "packages")
        if folder in PROGRAMS:
            shutil.copy(gobuild.binary(PROGRAMS[folder], progress), made / PROGRAMS[folder])
        if folder == "proxy":
            shutil.copy(istio.bootstrap(progress), made)
        if folder == "service":
            shutil.copytree(_services(), made / "claude_services", ignore=shutil.ignore_patterns("__pycache__"))
        yield made
