"""Build the agent's image for the local cluster and put it on every node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster.build import debian, images
from harness.cluster.cache import Progress, project_root
from harness.cluster.local import LocalCluster
from harness.errors import UsageError

NAME = "agent"
PUBLISHED = debian.PUBLISHED
RESIDENT = Path(__file__).parent / "resident"
PACKAGE = "harness/agent/resident"
BUILD_SECONDS = 30.0


def ensure(cluster: LocalCluster, progress: Progress) -> str:
    """Return the tag of this version's image, built and on every node; about a second when it is there."""
    with context() as folder:
        tag = images.build(progress, cluster, NAME, folder, estimate=BUILD_SECONDS)
    images.load(progress, cluster, [tag])
    return tag


def tag() -> str:
    """Return the tag of this version's image, built or not; asks nobody."""
    with context() as folder:
        return images.tag(NAME, folder)


def write(folder: Path) -> None:
    """Write the build context into a folder that is not there yet; raises UsageError where it is, or takes no file."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} exists already", hint="name a folder that is not there yet") from error
    except OSError as error:
        raise UsageError("it cannot be written there", where=str(folder), why=error.strerror or str(error)) from error
    try:
        with context() as made:
            shutil.copytree(made, folder, dirs_exist_ok=True)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        # Of a whole folder there is one reason for each file.
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or str(error)
        raise UsageError("it cannot be written there", where=str(folder), why=str(why)) from error


@contextmanager
def context() -> Iterator[Path]:
    """Yield a build context: the recipe, and the resident program with nothing else of the harness."""
    with TemporaryDirectory(prefix="agent-image-") as scratch:
        made = Path(scratch) / NAME
        shutil.copytree(project_root() / "images" / NAME, made)
        root = made / "agent"
        shutil.copytree(RESIDENT, root / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        for package in ("harness", "harness/agent"):
            (root / package / "__init__.py").touch()
        yield made
