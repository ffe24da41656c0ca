"""Get the node image: pulled where a registry answers, else built from Debian packages and Go programs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.cluster import command, docker
from harness.cluster.build import debian, gobuild
from harness.cluster.cache import Progress, cache_dir, digest, locked, offline, project_root
from harness.errors import PreconditionFailed

# The node image that belongs to the kind release built here.
PUBLISHED = "kindest/node:v1.34.0"
# The components are one image under four names; each of the others is one of its own.
CALLED_BY_NAME = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ALONE = ("etcd", "coredns", "pause")
PROGRAMS = ("kubernetes", *ALONE)


def ensure(host: str, progress: Progress) -> str:
    """Return the tag of a node image the daemon has: built here, or published."""
    if found := present(host):
        return found
    tag = built_tag()
    why = "HARNESS_OFFLINE is set" if offline() else _pull(host, progress)
    if not why:
        return PUBLISHED
    progress(f"building the node image here, it cannot be pulled: {why}")
    with locked("node-image", progress):
        if not docker.has_image(host, tag):
            _build(host, tag, progress)
    return tag


def present(host: str) -> str:
    """Return the tag of a node image that the daemon has; nothing where it has none."""
    return next((tag for tag in (built_tag(), PUBLISHED) if docker.has_image(host, tag)), "")


def built_tag() -> str:
    """Return the tag of the image these sources build."""
    images = project_root() / "images"
    programs = [str(gobuild.cached(name).name) for name in PROGRAMS]
    return f"harness.local/node:{gobuild.KUBERNETES}-{digest([images / 'node', images / 'debian'], *programs)}"


def _pull(host: str, progress: Progress) -> str:
    """Pull the published node image and return why it cannot be had; a small one first says if a registry is there."""
    why = debian.pull_published(host, progress)
    if why:
        return why
    try:
        docker.long(host, ["pull", "--quiet", PUBLISHED], f"pulling {PUBLISHED}", progress, estimate=60)
    except PreconditionFailed as error:
        return error.why.splitlines()[-1]
    return ""


def _build(host: str, tag: str, progress: Progress) -> None:
    binaries = {name: gobuild.binary(name, progress) for name in PROGRAMS}
    base = debian.ensure(host, progress)
    with tempfile.TemporaryDirectory(prefix="node-", dir=_scratch()) as folder:
        archive, pause = _system_images(host, base, binaries, Path(folder), tag, progress)
        context = Path(folder) / "node"
        shutil.copytree(_sources(), context, symlinks=True)
        shutil.rmtree(context / "components")
        _fill_in(context / "files" / "etc" / "containerd" / "config.toml", "@PAUSE@", pause)
        _fill_in(context / "files" / "kind" / "manifests" / "default-cni.yaml", "@NETWORK@", _version(tag))
        _link(binaries["kubernetes"], context / "kubernetes")
        arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"VERSION={gobuild.KUBERNETES}"]
        empty = f"{tag}-empty"
        what = "building the node image"
        docker.build(host, [*arguments, "--tag", empty, str(context)], what, progress, estimate=20)
        _preload(host, empty, tag, archive, progress)
        docker.result(host, "image", "rm", empty)
        # Each is more than a gigabyte.
        docker.drop_older(host, tag)


def _system_images(
    host: str, base: str, binaries: dict[str, Path], folder: Path, tag: str, progress: Progress
) -> tuple[Path, str]:
    """Build what kubeadm will ask for, under the names it will ask for, and save it all as one archive."""
    kubeadm = gobuild.tool("kubeadm", "kubernetes", progress)
    asked = command.ask([str(kubeadm), "config", "images", "list", "--kubernetes-version", gobuild.KUBERNETES])
    names = {name.split("/")[-1].partition(":")[0]: name for name in asked.stdout.split()}
    components = folder / "components"
    shutil.copytree(_sources() / "components", components)
    _link(binaries["kubernetes"], components / "kubernetes")
    network = f"harness.local/node-network:{_version(tag)}"
    what = "building the image of the Kubernetes components"
    arguments = ["--build-arg", f"BASE={base}", "--tag", network, str(components)]
    archive = folder / "system.tar"
    tags = [names[name] for name in (*CALLED_BY_NAME, *ALONE)]
    with _borrowed(host, tags):
        docker.build(host, arguments, what, progress, estimate=10)
        for name in CALLED_BY_NAME:
            docker.docker(host, "tag", network, names[name])
        for name in ALONE:
            _build_alone(host, folder / name, binaries[name], names[name], progress)
        saved = ["save", "-o", str(archive), network, *tags]
        docker.long(host, saved, "saving the control plane's images", progress, estimate=5)
    docker.result(host, "image", "rm", network)
    return archive, names["pause"]


def _build_alone(host: str, context: Path, program: Path, tag: str, progress: Progress) -> None:
    name = context.name
    context.mkdir()
    _link(program, context / name)
    # kubeadm calls etcd by its name and gives CoreDNS and pause no command at all.
    start = "" if name == "etcd" else f'ENTRYPOINT ["/usr/local/bin/{name}"]\n'
    text = f"FROM scratch\nCOPY {name} /usr/local/bin/{name}\nENV PATH=/usr/local/bin\n{start}"
    (context / "Dockerfile").write_text(text)
    docker.build(host, ["--tag", tag, str(context)], f"building the image of {name}", progress, estimate=2)


@contextmanager
def _borrowed(host: str, tags: Sequence[str]) -> Iterator[None]:
    """Use published images' names for a while; on a daemon that others use too, each goes back to whose it was."""
    owners = {tag: docker.image_id(host, tag) for tag in tags}
    try:
        yield
    finally:
        for tag, owner in owners.items():
            docker.result(host, *(("tag", owner, tag) if owner else ("image", "rm", tag)))


def _preload(host: str, empty: str, tag: str, archive: Path, progress: Progress) -> None:
    name = f"harness-preload-{os.getpid()}"
    docker.docker(
        host, "run", "--detach", "--privileged", "--network=none", f"--label={docker.LABEL}", f"--name={name}",
        "--entrypoint=sleep", empty, "infinity",
    )  # fmt: skip
    try:
        docker.docker(host, "exec", "--detach", name, "containerd")
        wait = "for i in $(seq 100); do ctr version > /dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1"
        docker.docker(host, "exec", name, "sh", "-c", wait)
        docker.docker(host, "cp", str(archive), f"{name}:/system.tar", deadline=120)
        docker.long(
            host,
            ["exec", name, "ctr", "--namespace=k8s.io", "images", "import", "/system.tar"],
            "loading the control plane's images into the node image",
            progress,
            estimate=10,
        )
        docker.docker(host, "exec", name, "sh", "-c", "pkill containerd; rm /system.tar; sleep 0.5")
        changes = ['ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "CMD []", f"LABEL {docker.LABEL}"]
        words = [word for change in changes for word in ("--change", change)]
        docker.long(host, ["commit", *words, name, tag], "committing the node image", progress, estimate=10)
    finally:
        docker.result(host, "rm", "--force", "--volumes", name)


def _sources() -> Path:
    return project_root() / "images" / "node"


def _scratch() -> Path:
    path = cache_dir() / "scratch"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _version(tag: str) -> str:
    return tag.partition(":")[2]


def _fill_in(file: Path, word: str, value: str) -> None:
    file.write_text(file.read_text().replace(word, value))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
