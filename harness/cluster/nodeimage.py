"""Get the node image: pulled where a registry answers, else built from Debian packages and Go programs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.cluster import command, debian, docker, gobuild
from harness.cluster.cache import Progress, cache_dir, digest, locked, offline, project_root
from harness.errors import PreconditionFailed

# The node image that belongs to the kind release built here.
PUBLISHED = "kindest/node:v1.34.0"
PROGRAMS = ("kubernetes", "etcd", "coredns", "pause")


def ensure(host: str, progress: Progress) -> tuple[str, bool]:
    """Return the tag of a node image the daemon has, and whether it was built here."""
    tag = built_tag()
    if docker.has_image(host, tag):
        return tag, True
    if docker.has_image(host, PUBLISHED):
        return PUBLISHED, False
    if not offline() and _pulled(host, progress):
        return PUBLISHED, False
    with locked("node-image", progress):
        if not docker.has_image(host, tag):
            _build(host, tag, progress)
    return tag, True


def built_tag() -> str:
    """Return the tag of the image these sources build."""
    images = project_root() / "images"
    programs = [str(gobuild.cached(name).name) for name in PROGRAMS]
    return f"harness.local/node:{gobuild.KUBERNETES}-{digest([images / 'node', images / 'debian'], *programs)}"


def _pulled(host: str, progress: Progress) -> bool:
    progress(f"asking for {PUBLISHED}: at most {docker.REGISTRY_SECONDS:.0f} s")
    if not docker.registry_answers(host, PUBLISHED):
        progress("no container registry answers: building the node image here")
        return False
    with suppress(PreconditionFailed):
        docker.long(host, ["pull", "-q", PUBLISHED], f"pulling {PUBLISHED}", progress, estimate=60)
        return True
    return False


def _build(host: str, tag: str, progress: Progress) -> None:
    if sys.platform != "linux":
        raise PreconditionFailed(
            "the node image cannot be built here",
            where=sys.platform,
            why="building it takes Linux, and no container registry answers",
            hint=f"make a registry reachable, or load {PUBLISHED} into Docker",
        )
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
        build(host, context, empty, arguments, "building the node image", progress, estimate=20)
        _preload(host, empty, tag, archive, progress)
        docker.result(host, "image", "rm", empty)
        _drop_older(host, tag)


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
    build(host, components, network, ["--build-arg", f"BASE={base}"], what, progress, estimate=10)
    tags = [network]
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        docker.docker(host, "tag", network, names[name])
        tags.append(names[name])
    for name in ("etcd", "coredns", "pause"):
        context = folder / name
        context.mkdir()
        _link(binaries[name], context / name)
        # kubeadm calls etcd by its name and gives CoreDNS and pause no command at all.
        start = "" if name == "etcd" else f'ENTRYPOINT ["/usr/local/bin/{name}"]\n'
        text = f"FROM scratch\nCOPY {name} /usr/local/bin/{name}\nENV PATH=/usr/local/bin\n{start}"
        (context / "Dockerfile").write_text(text)
        build(host, context, names[name], [], f"building the image of {name}", progress, estimate=2)
        tags.append(names[name])
    archive = folder / "system.tar"
    docker.long(host, ["save", "-o", str(archive), *tags], "saving the control plane's images", progress, estimate=5)
    # On a daemon that others use too, nothing of ours keeps a published image's name.
    docker.result(host, "image", "rm", *tags)
    return archive, names["pause"]


def _drop_older(host: str, tag: str) -> None:
    # Each is more than a gigabyte; one that a cluster still uses refuses to go.
    repository = tag.partition(":")[0]
    listed = docker.docker(host, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
    older = [name for name in listed if name != tag]
    if older:
        docker.result(host, "image", "rm", *older)


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


def build(
    host: str, context: Path, tag: str, arguments: list[str], what: str, progress: Progress, *, estimate: float
) -> None:
    """Build one image on the daemon, with the host's network for its package managers."""
    labels = ["--label", docker.LABEL]
    argv = ["build", "--network=host", "--force-rm", *labels, *arguments, "--tag", tag, str(context)]
    try:
        docker.long(host, argv, what, progress, estimate=estimate)
    except PreconditionFailed as error:
        full = "no space left" in error.why.lower()
        hint = "free some disk space (`docker system df` shows what images use)" if full else ""
        raise PreconditionFailed(error.what, where=error.where, why=error.why, hint=hint) from None


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
