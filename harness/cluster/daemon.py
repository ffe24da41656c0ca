"""Find a Docker daemon that answers, or install and start one of our own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from harness.cluster import apt, command, docker, footprint, local
from harness.cluster.build import shim
from harness.cluster.cache import Progress, cache_dir, locked
from harness.errors import PreconditionFailed

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SOCKET_LIMIT = 90
ENGINE = "Engine"  # Docker's name for its daemon; Podman's is another one
PACKAGES = ("docker.io", "iptables")
# From this one on the daemon leaves its OOM score alone and refuses the setting.
NO_OOM_SCORE = 24
HINTS = {
    "no space left": "free some disk space, then run `harness up` again",
    "address already in use": "another process holds that address: stop it, then run `harness up` again",
    "iptables": "the kernel or the container this runs in withholds iptables: use a machine with Docker",
    "permission denied": "run as root, or start Docker yourself",
}


def folder() -> Path:
    """Return the folder of the private daemon."""
    return cache_dir() / "docker"


def runtime() -> Path:
    """Return the folder of the private daemon's socket; a socket's path has a length limit."""
    usual = folder() / "run"
    if len(os.fsencode(usual)) <= SOCKET_LIMIT - 40:
        return usual
    return Path("/run") / f"kube-chaos-harness-{hashlib.sha256(str(usual).encode()).hexdigest()[:8]}"


def private_host() -> str:
    """Return the address of the private daemon."""
    return f"unix://{runtime() / 'docker.sock'}"


def exists() -> bool:
    """Say whether there was ever a private daemon: containers of ours may outlive its process."""
    return (folder() / "data").is_dir()


def find() -> str | None:
    """Return the address of a daemon that answers now; where there is a cluster, no other than its own will do."""
    cluster = local.current()
    usual = [os.environ.get("DOCKER_HOST"), "unix:///var/run/docker.sock", private_host()]
    candidates = [cluster.docker_host] if cluster else usual
    return next((host for host in candidates if host and docker.ping(host)), None)


def ensure(progress: Progress) -> str:
    """Return the address of a working daemon, installing and starting a private one when there is none."""
    host = find()
    check(host)
    if host:
        if missing(host):
            _install(progress)
        return host
    with locked("docker", progress):
        host = find()
        if host:
            return host
        if missing(host):
            _install(progress)
        return _start(progress)


def check(host: str | None) -> None:
    """Refuse where `ensure` cannot make do with the daemon at `host`, or without one; change nothing."""
    cluster = local.current()
    if host is None and cluster and cluster.docker_host != private_host():
        raise lost(cluster.docker_host)
    if host is None and os.geteuid() != 0:
        raise PreconditionFailed(
            "no Docker daemon answers",
            where=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
            why="it is not running, or this user may not talk to it; only root can start one here",
            hint="start Docker (`systemctl start docker`) and join its group, or name another socket with DOCKER_HOST",
        )
    if host is None:
        _refuse_second()
    if missing(host):
        apt.check(PACKAGES)


def _refuse_second() -> None:
    """Refuse to start a daemon beside another one, whose chains in the packet filter each that starts makes anew."""
    for pid, words in footprint.processes("dockerd").items():
        # Our own may be about to answer.
        if str(_config_file()) not in words:
            # One of ours names its file, which is in the folder that HARNESS_CACHE names.
            files = [Path(word) for word in words if Path(word).match(f"{cache_dir().name}/docker/*")]
            cache = f"HARNESS_CACHE={shlex.quote(str(files[0].parents[2]))}" if files else ""
            # Its socket alone would have it started again.
            stop = f"`{cache} harness down`" if cache else "`systemctl stop docker.socket docker`, as a rule"
            raise PreconditionFailed(
                "a Docker daemon runs on this machine that does not answer here",
                where=f"process {pid}, " + (f"the harness's own with {cache}" if cache else words[0]),
                why="a second one would take the rules of the first one's containers out of the packet filter",
                hint=f"the cluster is on a daemon of the harness's own: stop this one, {stop}, until `harness down` is "
                "through; the next cluster may be on this one"
                if local.current()
                else f"name its socket with DOCKER_HOST, or stop it: {stop}",
            )


def lost(host: str) -> PreconditionFailed:
    """Make the error for a cluster whose daemon does not answer: another daemon knows nothing of it."""
    return PreconditionFailed(
        "the local cluster's Docker daemon does not answer",
        where=host,
        why="only it has the cluster's containers",
        hint=f"start Docker and try again; if it is gone for good, remove {cache_dir()}",
    )


def refuse_distant(host: str) -> None:
    """Refuse a daemon that keeps its containers in another machine; raises PreconditionFailed."""
    if not host.startswith("unix://") or _is_elsewhere(host):
        raise PreconditionFailed(
            "this Docker daemon keeps its containers in another machine",
            where=host,
            why="the keeper's socket cannot be reached from here yet",
            hint="name the socket of a daemon on this machine with DOCKER_HOST, or another cluster with --context",
        )


def _is_elsewhere(host: str) -> bool:
    """Say whether a daemon whose socket is here runs in a machine of its own, as Colima's and Rancher Desktop's do."""
    kernel = docker.info(host, "KernelVersion")
    # Docker Desktop's has this kernel on Windows; Docker writes three numbers whatever the kernel calls itself.
    ours = re.sub(r"^(\d+\.\d+)(?!\.\d|\d)", r"\1.0", os.uname().release)
    return bool(kernel and kernel != ours) or docker.info(host, "OperatingSystem") == "Docker Desktop"


def refuse_client(host: str) -> None:
    """Refuse a client that the daemon at `host` does not understand, and whatever else is called docker.

    Raises PreconditionFailed.
    """
    done = docker.result(host, "version", "--format", "{{json .}}")
    why = "".join(done.stderr.strip().splitlines()[-1:])
    if done.returncode != 0:
        raise PreconditionFailed(
            "the Docker client here cannot talk to this daemon",
            where=host,
            why=why,
            hint="put a client of about the daemon's own version first on PATH" if "API version" in why else "",
        )
    try:
        server = json.loads(done.stdout).get("Server") or {}
    except ValueError:
        server = {}
    parts = [str(part["Name"]) for part in server.get("Components") or []]
    if ENGINE not in parts:
        raise PreconditionFailed(
            "what is called docker here is not Docker",
            where=host,
            why=f"it is {parts[0] if parts else 'Podman, as a rule'}, on which the local cluster was never tried",
            hint="put Docker's own client first on PATH, name the socket of its daemon with DOCKER_HOST, "
            "or name another cluster with --context",
        )


def missing(host: str | None) -> list[str]:
    """Name the programs that are not here: a daemon that answers needs only its client."""
    return [name for name in (("docker",) if host else ("docker", "dockerd", "runc")) if not shutil.which(name)]


def _install(progress: Progress) -> None:
    what = "installing Docker from the distribution"
    apt.install(PACKAGES, what, progress, estimate=15, where_known=["docker-cli"])


def configuration() -> dict[str, object]:
    """Return the private daemon's configuration."""
    settings: dict[str, object] = {
        "hosts": [private_host()],
        "data-root": str(folder() / "data"),
        "exec-root": str(runtime() / "exec"),
        "pidfile": str(pid_file()),
        # Our clusters bring their own network; without a default bridge we share nothing with another daemon.
        "bridge": "none",
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "2"},
        "labels": [docker.LABEL],
        # The node containers outlive a daemon that dies; the next `up` finds them as they were.
        "live-restore": True,
    }
    if _version() < NO_OOM_SCORE:
        settings["oom-score-adjust"] = 0
    if shim.needed():
        path = shim.install(folder() / "runtime-shim", os.path.realpath(shutil.which("runc") or "/usr/sbin/runc"))
        settings |= {"default-runtime": "harness", "runtimes": {"harness": {"path": str(path)}}}
    return settings


def _version() -> int:
    found = re.search(r"version (\d+)\.", command.ask(["dockerd", "--version"], check=False).stdout)
    return int(found[1]) if found else NO_OOM_SCORE


def pid_file() -> Path:
    """Return the private daemon's pid file."""
    return folder() / "docker.pid"


def _start(progress: Progress) -> str:
    runtime().mkdir(parents=True, exist_ok=True)
    folder().mkdir(parents=True, exist_ok=True)
    # A daemon refuses to start over a pid file whose number is still in use, be it by a process that is not its own.
    if running_pid() is None:
        pid_file().unlink(missing_ok=True)
    if _runtime_pid() is None:
        (_runtime_folder() / "containerd.pid").unlink(missing_ok=True)
    config = _config_file()
    config.write_text(json.dumps(configuration(), indent=1))
    log = folder() / "dockerd.log"
    with footprint.alone(progress), log.open("wb") as output:
        # Another one may have come while ours was installed.
        _refuse_second()
        footprint.note(footprint.DAEMON)
        progress("starting a private Docker daemon: about 3 s")
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(config)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if docker.ping(private_host(), deadline=1.0):
            return private_host()
        if process.poll() is not None:
            break
        time.sleep(0.2)
    lines = [line for line in log.read_text(errors="replace").splitlines() if "level=info" not in line]
    why = "\n".join(lines[-4:])
    raise PreconditionFailed("the private Docker daemon does not start", where=str(log), why=why, hint=hint(why))


def hint(text: str) -> str:
    """Return what to do about a daemon's last words."""
    said = text.lower()
    return next((advice for sign, advice in HINTS.items() if sign in said), "read the log, or start Docker yourself")


def running_pid() -> int | None:
    """Return the private daemon's process id when it lives."""
    return _pid(pid_file(), _config_file())


def _config_file() -> Path:
    return folder() / "daemon.json"


def _pid(path: Path, config: Path) -> int | None:
    """Return the process that a pid file names, when it is one that runs with this configuration."""
    try:
        pid = int(path.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return None
    return pid if str(config) in words else None


def _runtime_folder() -> Path:
    return runtime() / "exec" / "containerd"


def _runtime_pid() -> int | None:
    return _pid(_runtime_folder() / "containerd.pid", _runtime_folder() / "containerd.toml")


def stop() -> bool:
    """Stop the private daemon; say whether there was one."""
    there = running_pid() is not None
    # A daemon that goes takes its runtime with it; one that was killed has not.
    for find_pid in (running_pid, _runtime_pid):
        _end(find_pid)
    return there


def _end(find_pid: Callable[[], int | None]) -> None:
    pid = find_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while time.monotonic() < until and find_pid() is not None:
        time.sleep(0.1)
    if find_pid() is not None:
        os.kill(pid, signal.SIGKILL)
