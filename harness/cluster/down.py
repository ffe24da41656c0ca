"""Take the local cluster down again, and on request everything else the harness made on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.cluster import apt, command, daemon, docker, footprint, kind, local
from harness.cluster.cache import Progress, cache_dir, locked
from harness.errors import PreconditionFailed

OURS = f"label={docker.LABEL}"
NODES = f"label={kind.CLUSTER}"
IN_USE = ("running", "paused", "restarting")
DEADLINE_SECONDS = 120.0


def down(progress: Progress) -> list[str]:
    """Remove the local cluster, the keeper and their network; keep what was built. Return what was removed.

    A private Docker daemon on which others run containers goes on.
    """
    with locked("up", progress), locked("stack", progress):
        host = _host(progress)
        others = sorted(name for name, state in _others().items() if state in IN_USE)
        removed = _cluster(host, progress)
        if others:
            progress(f"the private Docker daemon goes on: {', '.join(others)} on it")
        else:
            removed += _daemon(progress)
        apt.allow_services(progress)
    _say(removed, progress)
    return removed


def clean(progress: Progress) -> list[str]:
    """Remove everything the harness made on this machine: cluster, images, daemon and cache.

    Raises PreconditionFailed where others have containers on the private Docker daemon: its data would go with it.
    """
    there = [folder for folder in (cache_dir(), daemon.runtime()) if folder.exists()]
    with locked("up", progress), locked("stack", progress):
        host = _host(progress)
        if others := sorted(_others()):
            raise PreconditionFailed(
                "others have containers on the private Docker daemon",
                where=daemon.private_host(),
                why=f"they would go with its data: {', '.join(others)}",
                hint=f"if nobody needs them: docker --host {daemon.private_host()} rm --force --volumes "
                f"{' '.join(others)}; `harness down` removes the cluster alone",
            )
        removed = _cluster(host, progress)
        if host and host != daemon.private_host():
            removed += _images(host)
        if docker.ping(daemon.private_host()):
            # A network's bridge and rules would outlive the daemon, and nobody else knows whose they are.
            docker.docker(daemon.private_host(), "network", "prune", "--force")
        removed += _daemon(progress)
        apt.allow_services(progress)
        packages = apt.installed()
        for folder in (cache_dir(), daemon.runtime()):
            if folder.exists():
                _remove_tree(folder)
    removed += map(str, there)
    _say(removed, progress)
    if packages:
        progress(f"installed packages stay; where nobody else uses them: {apt.REMOVE} {' '.join(packages)}")
    return removed


def _daemon(progress: Progress) -> list[str]:
    """Stop the private daemon, and give back what it had changed."""
    stopped = daemon.stop()
    if stopped and not footprint.is_noted(footprint.DAEMON):
        footprint.presume()
        progress(
            "an older version started this daemon and noted nothing: where nobody has packets forwarded, "
            "`iptables -P FORWARD ACCEPT` and `sysctl -w net.ipv4.ip_forward=0` give back what it changed"
        )
    footprint.give_back(footprint.DAEMON, progress)
    return ["the private Docker daemon"] if stopped else []


def _say(removed: list[str], progress: Progress) -> None:
    for name in removed:
        progress(f"removed {name}")


def _host(progress: Progress) -> str | None:
    host, cluster = daemon.find(), local.current()
    if host is None and daemon.exists():
        # Its containers outlive it, and only a daemon can remove them.
        host = daemon.ensure(progress)
    if cluster and host is None:
        raise daemon.lost(cluster.docker_host)
    return host


def _cluster(host: str | None, progress: Progress) -> list[str]:
    """Remove the cluster, and give back what its nodes have set of the kernel."""
    if host:
        kind.refuse_others(host)
    states = kind.node_states(host) if host else {}
    if runs := any(state in IN_USE for state in states.values()):
        # Docker starts nodes again with the machine.
        footprint.carry_over(footprint.CLUSTER)
    unnoted = runs and not footprint.is_noted(footprint.CLUSTER)
    removed = [*_containers(host), *_volumes(host)] if host else []
    for file in (kind.kubeconfig_path(), local.record_path()):
        if file.exists():
            file.unlink()
            removed.append(str(file))
    # Whatever the keeper's ledger names is gone with the nodes.
    shutil.rmtree(cache_dir() / "keeper", ignore_errors=True)
    footprint.give_back(footprint.CLUSTER, progress)
    if unnoted and (values := " ".join(f"{name}={own}" for name, own in footprint.unlike_kernels().items())):
        progress(
            "an older version made this cluster and noted nothing: where nobody else wants it otherwise, "
            f"`sysctl -w {values}` gives back what its nodes changed"
        )
    return removed


def _containers(host: str) -> list[str]:
    # The keeper first: it would start the nodes again that its ledger names.
    ours = _helpers(host)
    if ours:
        docker.docker(host, "rm", "--force", "--volumes", *ours, deadline=DEADLINE_SECONDS)
    return [*ours, *kind.delete(host)]


def _helpers(host: str) -> list[str]:
    # A node has its image's label, which says nothing of who made a cluster of it.
    return sorted(docker.states(host, OURS).keys() - docker.states(host, NODES).keys())


def _others() -> dict[str, str]:
    """Return the containers on the private daemon that are not ours, and their states."""
    host = daemon.private_host()
    if not docker.ping(host):
        return {}
    ours = {*_helpers(host), *kind.node_states(host)}
    return {name: state for name, state in docker.states(host).items() if name not in ours}


def _volumes(host: str) -> list[str]:
    names = docker.docker(host, "volume", "ls", "--quiet", "--filter", OURS).split()
    if names:
        docker.docker(host, "volume", "rm", "--force", *names)
    return [f"volume {name}" for name in names]


def _images(host: str) -> list[str]:
    before = _listed(host)
    if before:
        docker.result(host, "image", "rm", "--force", *sorted(before), deadline=DEADLINE_SECONDS)
    gone = len(before - _listed(host))
    return [f"{gone} images"] if gone else []


def _listed(host: str) -> set[str]:
    """List the images with our label, by their ids; since Docker 29 those without a name are told on demand alone."""
    ask = ("image", "ls", "--filter", OURS, "--format", "{{.ID}}", "--filter")
    return {
        line for nameless in ("false", "true") for line in docker.docker(host, *ask, f"dangling={nameless}").split()
    }


def _remove_tree(folder: Path) -> None:
    # A daemon mounts its data root onto itself and leaves that behind.
    mounts = Path("/proc/self/mountinfo")
    mounted = [line.split()[4] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    for point in sorted(mounted, reverse=True):
        if Path(point).is_relative_to(folder):
            command.ask(["umount", "--lazy", point], check=False)
    # Go keeps its module cache read-only.
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)
