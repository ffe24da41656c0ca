"""Where the stack's files are, what its images are made of, and the key that all of it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster.build import debian, gobuild
from harness.cluster.cache import Progress, digest, project_root
from harness.stack import istio, overlays, parts, wheels

IMAGES = {"claude-ecosystem/service": "service", "claude-ecosystem/prometheus": "prometheus"}
"""Image names of the manifests, and the folders under images/ that they are built from."""
ISTIO = {"auto": "proxy", "pilot": "istiod"}
"""Istio's own, as pods of the manifests and its settings name them; a cluster's own Istio has its own."""
OF_ISTIO = frozenset({*ISTIO, istio.INIT})
PROGRAMS = {
    "istiod": "pilot-discovery",
    "proxy": "pilot-agent",
    "istio-init": "pilot-agent",
    "argo-rollouts": "argo-rollouts",
    "metrics-server": "metrics-server",
    "prometheus-adapter": "prometheus-adapter",
    "vpa-recommender": "vpa-recommender",
}
"""Programs from Go modules, by the folder of the image that they go into."""


def images(wanted: Iterable[str], *, foreign: bool = False) -> dict[str, str]:
    """Return the images of these parts of the stack, and Istio's own unless the cluster has another."""
    every = IMAGES | ISTIO
    for part in wanted:
        every |= parts.read(part).images
    return {name: folder for name, folder in every.items() if not (foreign and name in OF_ISTIO)}


def key(overlay: str, wanted: Sequence[str] = (parts.CORE,), foreign: str = "") -> str:
    """Return a short hash of everything that decides what is deployed, a foreign Istio's revision among it."""
    folders = images(wanted, foreign=bool(foreign)).values()
    programs = [PROGRAMS[folder] for folder in folders if folder in PROGRAMS] + ([] if foreign else [istio.MANIFESTS])
    places = [
        *(overlays.manifests(), _services()),
        *(project_root() / "images" / folder for folder in folders),
        *(parts.folder() / name for name in wanted),
        # What puts it all together.
        Path(__file__).parent,
    ]
    return digest(places, overlay, foreign, debian.key(), *(gobuild.cached(name).name for name in programs))


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
