"""Install packages of the distribution, and remember which of them were not there before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.cluster import command
from harness.cluster.cache import Progress, cache_dir
from harness.errors import PreconditionFailed

POLICY = Path("/usr/sbin/policy-rc.d")
# The second line tells a file that a killed installation left from one that the machine's owner wrote.
POLICY_TEXT = "#!/bin/sh\n# kube-chaos-harness: only while it installs packages\nexit 101\n"
APT = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120"]
# Docker's own packages conflict with the distribution's, and a cluster of somebody's may live on them.
INSTALL = ["install", "--no-install-recommends", "--no-remove"]
NEEDS_REMOVAL = "remove is disabled"
KEPT = "nothing of others is removed for it: start the Docker that is here, or install what lacks yourself"
# What would run from the machine's next start on; we start a daemon ourselves.
SERVICES = {"docker.io": ("docker.socket", "docker.service"), "containerd": ("containerd.service",)}
# What it says is read.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
REMOVE = "apt-get remove"
ASK_SECONDS = 60.0


def check(packages: Sequence[str]) -> None:
    """Refuse where this user cannot install packages; raises PreconditionFailed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise PreconditionFailed(
            f"missing on this machine: {', '.join(packages)}",
            why="only root on a Debian-like system can install them from here",
            hint="install them yourself, or start Docker and make a container registry reachable",
        )


def install(
    packages: Sequence[str], what: str, progress: Progress, *, estimate: float, where_known: Sequence[str] = ()
) -> None:
    """Install distribution packages, some only where the distribution has them, without starting their services."""
    check(packages)
    new: list[str] = []
    mine = not POLICY.exists() or _is_ours(POLICY)
    if mine:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        command.run([*APT, "update"], "reading the package lists", progress, estimate=10, env=QUIET)
        known = [name for name in where_known if command.ask(["apt-cache", "show", name], check=False).stdout.strip()]
        wanted = [*packages, *known]
        new = _new(wanted)
        # Before they are there: whoever dies meanwhile has installed some of them.
        _remember(new)
        command.run([*APT, *INSTALL, *wanted], what, progress, estimate=estimate, env=QUIET)
    except PreconditionFailed as error:
        hint = KEPT if NEEDS_REMOVAL in error.why else error.hint
        raise PreconditionFailed(error.what, where=error.where, why=error.why, hint=hint) from None
    finally:
        if mine:
            POLICY.unlink(missing_ok=True)
        _keep_off([unit for name, units in SERVICES.items() if name in new for unit in units], progress)


def allow_services(progress: Progress) -> None:
    """Remove the policy that a killed installation of ours has left: no package's service would start any more."""
    with suppress(OSError):
        if _is_ours(POLICY):
            POLICY.unlink()
            progress(f"removed {POLICY}, which an installation that was cut short had left")


def installed() -> list[str]:
    """Return the packages that were installed by the harness and are still there."""
    names = _file().read_text().split() if _file().exists() else []
    if not names:
        return []
    # It complains of a package that it has never heard of, and tells of the others.
    told = command.ask(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *names], check=False)
    there = {line.partition(" ")[2] for line in told.stdout.splitlines() if line.startswith("installed ")}
    return [name for name in dict.fromkeys(names) if name in there]


def _keep_off(units: Sequence[str], progress: Progress) -> None:
    if units and shutil.which("systemctl"):
        with suppress(PreconditionFailed):
            command.ask(["systemctl", "disable", *units], check=False)
        progress(
            f"they do not start with this machine; `systemctl enable --now {' '.join(units)}` would have them do so"
        )


def _is_ours(policy: Path) -> bool:
    return policy.read_bytes() == POLICY_TEXT.encode()


def _new(wanted: Sequence[str]) -> list[str]:
    """Ask which packages would be installed that are not there in any version."""
    told = command.ask([*APT, "--simulate", *INSTALL, *wanted], check=False, env=QUIET, deadline=ASK_SECONDS).stdout
    lines = [line.split() for line in told.splitlines() if line.startswith("Inst ")]
    # One that is there is followed by its version in square brackets.
    return [words[1].partition(":")[0] for words in lines if not "".join(words[2:3]).startswith("[")]


def _remember(names: Sequence[str]) -> None:
    _file().parent.mkdir(parents=True, exist_ok=True)
    with _file().open("a") as file:
        file.write("".join(f"{name}\n" for name in names))


def _file() -> Path:
    return cache_dir() / "installed-packages"
