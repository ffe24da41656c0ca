"""Make the Debian base image: debootstrap, emptied of what no image needs, imported into Docker."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from harness.cluster import apt, command, docker
from harness.cluster.cache import Progress, cache_dir, digest, locked, offline, project_root
from harness.cluster.build.gobuild import architecture

SUITE = "bookworm"
TAG = "harness.local/debian:12"
PUBLISHED = f"debian:{SUITE}-slim"
KEY_LABEL = "harness.local/key"
REGISTRY_SECONDS = 60.0


def ensure(host: str, progress: Progress) -> str:
    """Return the tag of the base image, made when the daemon does not have this very one."""
    if _has(host):
        return TAG
    with locked("debian", progress):
        if _has(host):
            return TAG
        if not offline() and not pull_published(host, progress):
            _extend_published(host, progress)
            return TAG
        archive = cache_dir() / "images" / f"debian-{key()}.tar"
        if not archive.exists():
            _bootstrap(archive, progress)
        changes = ["--change", f"LABEL {KEY_LABEL}={key()}", "--change", f"LABEL {docker.LABEL}"]
        changes += ["--change", 'CMD ["/bin/sh"]', "--change", "ENV LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive"]
        docker.long(
            host, ["import", *changes, str(archive), TAG], "importing the Debian base image", progress, estimate=5
        )
    return TAG


def pull_published(host: str, progress: Progress) -> str:
    """Pull the published Debian and return why it cannot be had; being small, it soon says if there is a registry."""
    if docker.has_image(host, PUBLISHED):
        return ""
    progress(f"asking a container registry for {PUBLISHED}: at most {REGISTRY_SECONDS:.0f} s")
    return docker.pull(host, PUBLISHED, deadline=REGISTRY_SECONDS)


def _folder() -> Path:
    return project_root() / "images" / "debian"


def key() -> str:
    """Return the hash of what the base image is made from."""
    return digest([_folder()], SUITE, architecture())


def _has(host: str) -> bool:
    template = '{{index .Config.Labels "' + KEY_LABEL + '"}}'
    return docker.result(host, "image", "inspect", "--format", template, TAG).stdout.strip() == key()


def _extend_published(host: str, progress: Progress) -> None:
    packages = " ".join((_folder() / "packages").read_text().split())
    clean = "find /var/lib/apt/lists -type f -delete"
    lines = [f"FROM {PUBLISHED}", "ENV LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive"]
    lines += [f"RUN apt-get update -q && apt-get install -q -y --no-install-recommends {packages} && {clean}"]
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "Dockerfile").write_text("\n".join(lines) + "\n")
        argv = ["--label", f"{KEY_LABEL}={key()}", "--tag", TAG, context]
        docker.build(host, argv, "making the Debian base image", progress, estimate=30)


def _bootstrap(archive: Path, progress: Progress) -> None:
    if not shutil.which("debootstrap"):
        apt.install(["debootstrap"], "installing debootstrap from the distribution", progress, estimate=10)
    archive.parent.mkdir(parents=True, exist_ok=True)
    packages = ",".join((_folder() / "packages").read_text().split())
    with tempfile.TemporaryDirectory(prefix="debian-", dir=archive.parent) as scratch:
        root = Path(scratch) / "root"
        argv = ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(root)]
        command.run(
            argv,
            "making a Debian base image with debootstrap",
            progress,
            estimate=45,
            hint="a Debian mirror must be within reach once; after that the image is cached",
        )
        command.ask([str(_folder() / "slim"), str(root)], deadline=60)
        draft = archive.with_suffix(".new")
        command.ask(["tar", "--numeric-owner", "-C", str(root), "-cf", str(draft), "."], deadline=120)
        draft.replace(archive)
