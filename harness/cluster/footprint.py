"""What a daemon of ours and a cluster change on this machine beside their files: noted before, given back after."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.cluster import firewall, sysctl
from harness.cluster.cache import Progress, cache_dir, take
from harness.errors import PreconditionFailed

DAEMON, CLUSTER = "the private Docker daemon", "the local cluster"
GROUPS = Path("/sys/fs/cgroup")
# What each is known to set, and to what. A node is privileged: what its kubelet, and systemd in it, set of the kernel
# is set on the whole machine. Bridges ask the packet filter from the moment on in which that module is there.
SETS: Mapping[str, Mapping[str, str]] = {
    DAEMON: {
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
        "net.ipv6.conf.default.forwarding": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-call-ip6tables": "1",
        "net.bridge.bridge-nf-call-arptables": "1",
    },
    CLUSTER: {
        "vm.overcommit_memory": "1",
        "vm.panic_on_oom": "0",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "kernel.keys.root_maxkeys": "1000000",
        "kernel.keys.root_maxbytes": "25000000",
        "kernel.pid_max": "4194304",
        "fs.protected_fifos": "1",
        "fs.protected_hardlinks": "1",
        "fs.protected_regular": "2",
        "fs.protected_symlinks": "1",
    },
}
# What the kernel itself makes of those of a node's that harm whoever does not know of them.
KERNELS = {"vm.overcommit_memory": "0", "kernel.panic": "0", "kernel.panic_on_oops": "0"}
# Docker's interfaces, those of its networks and of their containers; and the machine's own.
NOBODYS = re.compile(r"lo|docker.*|br-[0-9a-f]{12}|veth[0-9a-f]{7}")
DEVICES = Path("/sys/class/net")
# What serves others as well, by the names of the programs; some have the kubelet built in.
PROGRAMS = {DAEMON: ("dockerd",), CLUSTER: ("kubelet", "k3s-server", "k3s-agent", "kubelite")}
NETWORK = Path("/proc/self/ns/net")
# Taken for what was found where nobody could look: no chain of Docker's, and a policy that is not ours to open.
UNSEEN = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"
# The inner ones first.
FILES = (
    *("/etc/docker/key.json", "/etc/docker"),
    *("/run/docker/plugins", "/run/docker"),
    *("/run/containerd/s", "/run/containerd"),
)


def note(part: str) -> None:
    """Note how this machine is before a part changes it; what has been noted since it started stays as it was noted."""
    notes = _notes()
    if part not in notes or not _is_of_now(part, notes[part]):
        _write({**notes, part: {"machine": _machine(), **_seen(part)}})


def is_noted(part: str) -> bool:
    """Say whether it is known how this machine was before a part changed it; no change outlives the machine's start."""
    notes = _notes()
    return part in notes and _is_of_now(part, notes[part])


def carry_over(part: str) -> None:
    """Have what was noted before this machine's start count: what changed it then runs, and has changed it again."""
    notes = _notes()
    if part in notes:
        _write({**notes, part: {**notes[part], "machine": _machine()}})


def unlike_kernels() -> dict[str, str]:
    """Return which of the settings that nodes make of the kernel are as nodes have them, with the kernel's own."""
    return {name: own for name, own in KERNELS.items() if sysctl.read(name) == SETS[CLUSTER][name]}


def presume() -> None:
    """Note of a private daemon that noted nothing what is sure: no chain of Docker's is needed where no daemon runs."""
    sure = {"sysctls": {}, "rules": dict.fromkeys(firewall.PROGRAMS, UNSEEN), "absent": []}
    _write({**_notes(), DAEMON: {"machine": _machine(), **sure}})


def give_back(part: str, progress: Progress) -> None:
    """Give back what a part has changed, now that it is gone, and say what is given back and what others need.

    Only what is still as the part left it is touched. While something stays, so does the note.
    """
    if not is_noted(part):
        return
    with alone(progress):
        stays = _given_back(part, _notes()[part], progress)
    for line in stays:
        progress(f"left on this machine, {line}")
    if not stays:
        _write({other: found for other, found in _notes().items() if other != part})


@contextmanager
def alone(progress: Progress) -> Iterator[None]:
    """Be the only one who starts a daemon in this network or takes one's rules out, whoever has which cache folder."""
    with ExitStack() as held:
        # A kernel that shows no networks has one.
        with suppress(OSError):
            take(held.enter_context(NETWORK.open()), "starts or ends a Docker daemon here", progress)
        yield


def processes(program: str) -> dict[int, list[str]]:
    """Return the processes of a program, with their words; of Docker daemons those that share our packet filter."""
    own, found = _reach("self"), {}
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text().strip() != program:
                continue
            # One that has ended, and for which nobody has waited yet, has none.
            words = (path.parent / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if words and (program not in PROGRAMS[DAEMON] or _reach(path.parent.name) == own):
                found[int(path.parent.name)] = words
    return found


def _given_back(part: str, found: Any, progress: Progress) -> list[str]:
    """Give back what can be; return what cannot, why, and by which command it would be."""
    changed = _changed(part, found)
    rules, unread = _rules(found["rules"])
    if others := {pid: program for program in PROGRAMS[part] for pid in processes(program)}:
        # Whoever starts it anew makes them anew.
        held = [name for name, (was, now) in rules.items() if firewall.leaving(was, now, opens=True).text]
        why = f"for {others[min(others)]} runs here, too (process {min(others)})"
        return _staying(why, changed | _along(found, changed), _of_docker([*held, *unread]))
    stays, why = [], _who_forwards(found, rules, unread)
    # In this order: there is no moment in which everything is forwarded.
    owed = changed if why else sysctl.give_back(changed, _along(found, changed), progress)
    opens = not why and not owed
    for name, (was, now) in rules.items():
        leaving = firewall.leaving(was, now, opens=opens)
        try:
            if leaving.text:
                firewall.restore(name, leaving.text)
                progress(f"given back: {name} without Docker's chains")
        except PreconditionFailed as error:
            stays.append(f"for it cannot be changed ({error.why or error.what}): Docker's rules in {name}")
        stays += [f"for others use it: {what}" for what in leaving.stays]
    if not opens:
        policies = [f"`{name} -P FORWARD ACCEPT`" for name, (was, now) in rules.items() if firewall.closed(was, now)]
        why = why or "for it may not be changed here"
        stays += _staying(why, owed | _along(found, owed), [*_of_docker(unread), *policies])
    _remove(found["absent"])
    return stays


def _who_forwards(found: Any, rules: Mapping[str, tuple[str, str]], unread: Iterable[str]) -> str:
    """Say why forwarding must stay; nothing where nobody is seen to need it who was not there before."""
    if unread:
        return "for its rules cannot be read here, nor whether others have packets forwarded"
    others = [rule for was, now in rules.values() for rule in firewall.forwarders(was, now)]
    # Those who write no rules, or none that iptables shows, have an interface.
    known = found.get("interfaces")
    others += [f"interface {name}" for name in interfaces() if known is not None and name not in known]
    return f"for others have packets forwarded by now ({others[0]})" if others else ""


def interfaces() -> list[str]:
    """Return the interfaces that are up and neither a device nor Docker's: bridges and tunnels of others."""
    names = [name for _, name in socket.if_nameindex() if not NOBODYS.fullmatch(name)]
    return [name for name in names if not (DEVICES / name / "device").exists() and _is_up(name)]


def _is_up(name: str) -> bool:
    try:
        return bool(int((DEVICES / name / "flags").read_text(), 16) & 1)
    except OSError:
        # Of another network than the one in which /sys was mounted.
        return True


def _of_docker(names: Iterable[str]) -> list[str]:
    return [f"Docker's rules in {name}" for name in names]


def _rules(found: Mapping[str, str | None]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return for each packet filter what was found and what is there now, and which of them cannot be read now."""
    now = {name: firewall.saved(name) for name in found}
    # Where there never was one, nothing is owed.
    unread = [name for name, was in found.items() if was is not None and now[name] is None]
    read = {name: text for name, text in now.items() if text is not None}
    return {name: (UNSEEN if (was := found[name]) is None else was, text) for name, text in read.items()}, unread


def _staying(why: str, sysctls: Mapping[str, str], more: Iterable[str] = ()) -> list[str]:
    values = " ".join(f"{name}={was}" for name, was in sysctls.items())
    what = [*more, *([f"`sysctl -w {values}` would give it back"] if values else [])]
    return [f"{why}: {', '.join(what)}"] if what else []


def _along(found: Any, changed: Mapping[str, str]) -> dict[str, str]:
    """Return what was found otherwise than the kernel sets it with these."""
    return {name: was for switch in changed for name, was in found.get("along", {}).get(switch, {}).items()}


def _changed(part: str, found: Any) -> dict[str, str]:
    """Return what a part has changed and nobody since, with what it was."""
    values, before = found["sysctls"], found.get("configured", {})
    # Whoever has written it down since wants it.
    wanted = {name: value for name, value in sysctl.configured(values).items() if before.get(name) != value}
    mine = {name: was for name, was in values.items() if sysctl.read(name) == SETS[part][name] != was}
    return {name: was or "0" for name, was in mine.items() if wanted.get(name) != SETS[part][name]}


def _seen(part: str) -> dict[str, Any]:
    seen: dict[str, Any] = {"sysctls": {name: sysctl.read(name) for name in SETS[part]}, "rules": {}, "absent": []}
    seen["configured"] = sysctl.configured(SETS[part])
    if part == DAEMON:
        seen |= {"along": sysctl.along(), "interfaces": interfaces()}
        seen["rules"] = {name: firewall.saved(name) for name in firewall.PROGRAMS}
        groups = [GROUPS, *(path for path in GROUPS.glob("*") if path.is_dir())]
        paths = [*map(Path, FILES), *(group / "docker" for group in groups)]
        seen["absent"] = [str(path) for path in paths if not path.exists()]
    return seen


def _remove(absent: Iterable[str]) -> None:
    """Remove what was not there before, as far as nobody has put anything into it."""
    for path in map(Path, absent):
        # The kernel removes no control group that holds a process.
        inner = [Path(place) for place, _, _ in os.walk(path, topdown=False)] if GROUPS in path.parents else [path]
        for one in inner:
            with suppress(OSError):
                one.rmdir() if one.is_dir() else one.unlink()


def _reach(process: str) -> tuple[str, ...]:
    """Return what tells whose packet filter a process changes: rootless Docker is in our network, and owns another."""
    try:
        return tuple(str(Path(f"/proc/{process}/ns/{kind}").readlink()) for kind in ("net", "user"))
    except OSError:
        return ()


def _file() -> Path:
    return cache_dir() / "machine.json"


def _machine() -> str:
    """Return what tells this start of this machine, and this network of it, from others."""
    with suppress(OSError):
        return " ".join([Path("/proc/sys/kernel/random/boot_id").read_text().strip(), *_reach("self")[:1]])
    return ""


def _is_of_now(part: str, found: Mapping[str, Any]) -> bool:
    """Say whether it was noted since this machine, or of a daemon's part this network, was started."""
    noted, now = found["machine"].split(), _machine().split()
    return bool(noted[:1] == now[:1] if part == CLUSTER else noted == now)


def _notes() -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(_file().read_text())
        return {part: _of_today(found, kept) for part, found in kept["notes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _of_today(found: dict[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Read what an older version has noted: of rules that it could not read, that there are none."""
    if "machine" in found:
        return found
    rules = {name: text or None for name, text in found["rules"].items()}
    return {**found, "machine": str(kept["machine"]), "rules": rules}


def _write(notes: Mapping[str, Any]) -> None:
    draft = _file().with_suffix(".new")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps({"notes": notes}, indent=1) + "\n")
    draft.replace(_file())
