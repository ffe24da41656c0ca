"""What there is of this machine outside of the harness's folders, and what a private daemon does to it and takes back.

As a program, `python -m tests.e2e.host ARCHIVE [die]` uses a private daemon as a cluster does, in the network it is in.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness.cluster import daemon, docker, down, firewall, footprint, kind
from harness.cluster.build import debian

# As the kernel cuts their names.
PROGRAMS = ("dockerd", "containerd", "containerd-shim", "docker-proxy", "docker-init")
FILES = (*footprint.FILES, "/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet", "/usr/sbin/policy-rc.d")
SYSTEM = Path("/proc/sys")
# They count, or are made up anew each time; an interface's own come and go with it.
VOLATILE = re.compile(
    r"kernel/(random|pty/nr|ns_last_pid|sched_domain|perf_event_max_sample_rate|hung_task_detect_count)|debug|"
    r"fs/(dentry-state|file-nr|inode-.*|aio-nr|binfmt_misc)|net/netfilter/nf_conntrack_count|"
    r"net/(ipv4|ipv6|mpls)/(conf|neigh)/(?!all|default|lo)"
)


def fingerprint() -> dict[str, str]:
    """Describe this machine's packet filter, kernel, interfaces, mounts, control groups and daemons."""
    return dict([*_rules(), *_kernel(), *_things()])


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Say what is not as it was; what the kernel has learned to know meanwhile is no change."""
    names = [*before, *(name for name in after if name not in before and not name.startswith("kernel "))]
    return [
        f"{name}: {before.get(name, 'nothing')}, then {after.get(name, 'nothing')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _rules() -> Iterator[tuple[str, str]]:
    for program in firewall.PROGRAMS:
        for table, chains in firewall.parse(firewall.saved(program) or "").items():
            for name, chain in chains.items():
                # A chain that lets everything pass is there as soon as anybody has looked.
                if chain != firewall.Chain("ACCEPT"):
                    yield f"{program} {table} {name}", f"{chain.policy} {'; '.join(chain.rules)}"


def _kernel() -> Iterator[tuple[str, str]]:
    # Without its module nothing of a bridge is asked, as with a 0.
    for name in (name for name in footprint.SETS[footprint.DAEMON] if name.startswith("net.bridge.")):
        yield f"kernel {name.replace('.', '/')}", "0"
    for folder, _, files in os.walk(SYSTEM):
        for path in (Path(folder) / file for file in files):
            name = str(path.relative_to(SYSTEM))
            with suppress(OSError):
                if not VOLATILE.match(name):
                    yield f"kernel {name}", path.read_text(errors="replace").strip()


def _things() -> Iterator[tuple[str, str]]:
    for _, name in socket.if_nameindex():
        yield f"interface {name}", "there"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield f"mount {line.split()[4]}", "there"
    for depth in ("*/", "*/*/"):
        for place in footprint.GROUPS.glob(depth):
            yield f"control group {place}", "there"
    for file in FILES:
        if os.path.lexists(file):
            yield f"file {file}", "there"
    # Those of nodes are in networks of their own, and go with their shims.
    own = Path("/proc/self/ns/net").readlink()
    for pid in (int(place.name) for place in Path("/proc").glob("[0-9]*")):
        with suppress(OSError):
            program = Path(f"/proc/{pid}/comm").read_text().strip()
            if program in PROGRAMS and Path(f"/proc/{pid}/ns/net").readlink() == own:
                yield f"process {program} {pid}", "runs"


def main(archive: str, die: bool) -> None:
    """Use a private daemon, let it die where it shall, clean up, and print the fingerprints."""

    def progress(line: str) -> None:
        print(line, file=sys.stderr)

    found = [fingerprint()]
    host = daemon.ensure(progress)
    assert host == daemon.private_host()
    kind.ensure_network(host)
    docker.docker(host, "load", "--input", archive)
    words = ("--detach", "--label", docker.LABEL, "--network", kind.NETWORK, "--publish", "127.0.0.1:18080:80")
    docker.docker(host, "run", *words, debian.TAG, "sleep", "infinity")
    found.append(fingerprint())
    pid = daemon.running_pid()
    if die and pid:
        os.kill(pid, signal.SIGKILL)
    down.clean(progress)
    found.append(fingerprint())
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], die="die" in sys.argv[2:])
