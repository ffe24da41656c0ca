"""Where the stack's files are, what its images are made of, and the key that all of it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster.cache import Progress, digest, project_root
from harness.stack import istio, overlays, wheels

IMAGES = {
    "claude-ecosystem/service": "service",
    "claude-ecosystem/gateway": "gateway",
    "claude-ecosystem/prometheus": "prometheus",
}
"""Image names of the manifests, and the folders under images/ that they are built from."""


def key(overlay: str) -> str:
    """Return a short hash of everything that decides what is deployed."""
    return digest([overlays.manifests(), *_parts()], overlay, istio.VERSION, *istio.WANTED)


def _parts() -> list[Path]:
    images = [project_root() / "images" / folder for folder in IMAGES.values()]
    return [*images, project_root() / "images" / "debian", _services()]


def _services() -> Path:
    return project_root() / "stack" / "services" / "claude_services"


@contextmanager
def context(folder: str, progress: Progress) -> Iterator[Path]:
    """Yield the build context of one image: its recipe, its Python packages, and the services' code if they run it."""
    recipe = project_root() / "images" / folder
    requirements = recipe / "requirements.txt"
    if not requirements.exists():
        yield recipe
        return
    with TemporaryDirectory(prefix="stack-image-") as scratch:
        made = Path(scratch) / folder
        shutil.copytree(recipe, made)
        shutil.copytree(wheels.packages(requirements, progress), made / "packages")
        if folder == "service":
            shutil.copytree(_services(), made / "claude_services", ignore=shutil.ignore_patterns("__pycache__"))
        yield made
