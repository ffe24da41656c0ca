"""Where the stack's files are, what its images are made of, and the key that all of it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster.build import gobuild
from harness.cluster.cache import Progress, digest, project_root
from harness.stack import istio, overlays, parts, wheels

IMAGES = {
    "claude-ecosystem/service": "service",
    "claude-ecosystem/gateway": "gateway",
    "claude-ecosystem/prometheus": "prometheus",
}
"""Image names of the manifests, and the folders under images/ that they are built from."""


def images(wanted: Iterable[str]) -> dict[str, str]:
    """Return the images of these parts of the stack, as `IMAGES` has those of the core."""
    return {**IMAGES, **{name: folder for part in wanted for name, folder in parts.read(part).images.items()}}


def key(overlay: str, wanted: Sequence[str] = (parts.CORE,)) -> str:
    """Return a short hash of everything that decides what is deployed."""
    places = [overlays.manifests(), *_pieces(wanted), *(parts.folder() / name for name in wanted)]
    return digest(places, overlay, istio.VERSION, *istio.WANTED)


def _pieces(wanted: Iterable[str]) -> list[Path]:
    folders = images(wanted).values()
    recipes = [project_root() / "images" / folder for folder in folders]
    programs = [place for folder in folders if (place := gobuild.sources(folder)).exists()]
    return [*recipes, *programs, project_root() / "images" / "debian", _services()]


def _services() -> Path:
    return project_root() / "stack" / "services" / "claude_services"


@contextmanager
def context(folder: str, progress: Progress) -> Iterator[Path]:
    """Yield the build context of one image: its recipe, and the program, packages or code that belong to it."""
    recipe = project_root() / "images" / folder
    requirements = recipe / "requirements.txt"
    program = gobuild.sources(folder).exists()
    if not requirements.exists() and not program:
        yield recipe
        return
    with TemporaryDirectory(prefix="stack-image-") as scratch:
        made = Path(scratch) / folder
        shutil.copytree(recipe, made)
        if program:
            shutil.copy2(gobuild.binary(folder, progress), made / folder)
        if requirements.exists():
            shutil.copytree(wheels.packages(requirements, progress), made / "packages")
        if folder == "service":
            shutil.copytree(_services(), made / "claude_services", ignore=shutil.ignore_patterns("__pycache__"))
        yield made
