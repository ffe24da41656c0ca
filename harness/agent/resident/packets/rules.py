"""Lead a target's packets into a queue, and take the rules away again: one chain a direction in the table mangle.

What leaves is met in POSTROUTING, behind any redirection to a proxy on loopback; what comes in PREROUTING, before one.
Rules stand at the end, so those of others have had their turn: a packet that comes back from a queue does not return
to the rule behind. A packet carries the fault's mark once it was served and is sent through the table again, so
several faults may meet.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.agent.resident.packets.match import Match, Network
from harness.agent.resident.refused import Refused

PREFIX = "KCH-"
VARIANTS = ("nft", "legacy")
HOOKS = {"egress": ("POSTROUTING", "-o", "-d"), "ingress": ("PREROUTING", "-i", "-s")}
SECONDS = 20.0
WAIT = "5"  # seconds for the lock of iptables-legacy
PORTS_A_RULE = 15
NEIGHBOURS = range(133, 138)  # ICMPv6 that stands for ARP; IPv4's is no IP and never comes here
_LEGACY_TABLES = Path("/proc/thread-self/net/ip_tables_names")
_LEGACY_TABLES_6 = Path("/proc/thread-self/net/ip6_tables_names")
_IPV6_ADDRESSES = Path("/proc/thread-self/net/if_inet6")


def chain(fault: str) -> str:
    """Name a fault's chains but for their last letter; iptables takes 28 characters."""
    return PREFIX + hashlib.sha256(fault.encode()).hexdigest()[:16] + "-"


def install(fault: str, match: Match, mark: int, queue: int) -> dict[str, str]:
    """Put the rules in, all of one IP version at once, and return the iptables variant by version.

    A host without IPv6 gets none for it. Raises Refused; what was put in before stays to be removed.
    """
    done: dict[str, str] = {}
    for family in match.families():
        if family == 6 and not _has_ipv6():
            continue
        done[f"ipv{family}"] = _first_that_takes(family, render(fault, match, mark, queue, family))
    if not done:
        raise Refused("no packet can match", "the peers are of IPv6 and there is none here")
    return done


def remove(meant: Callable[[str], bool]) -> list[str]:
    """Remove the chains of ours whose name is meant, with what leads there; return their names. Safe to repeat."""
    removed: set[str] = set()
    for family in (4, 6):
        for variant in VARIANTS:
            text = _saved(family, variant)
            lines = list(_deletions(text, meant))
            if lines:
                _restore(family, variant, "\n".join(["*mangle", *lines, "COMMIT", ""]))
                removed |= {line.split()[1] for line in lines if line.startswith("-X")}
    return sorted(removed)


def standing() -> list[str]:
    """List the chains of ours that are there."""
    texts = [_saved(family, variant) for family in (4, 6) for variant in VARIANTS]
    return sorted({name for text in texts for name in _chains(text)})


def render(fault: str, match: Match, mark: int, queue: int, family: int) -> str:
    """Write the rules of one IP version as iptables-restore reads them."""
    declared, jumps, body = [], [], []
    note = f'-m comment --comment "{fault}"'
    for direction in match.directions:
        hook, side, peer_flag = HOOKS[direction]
        name = chain(fault) + direction[0]
        declared.append(f":{name} - [0:0]")
        sides = [f"{side} {one}" for one in match.interfaces] or [f"! {side} lo"]
        jumps += [f"-A {hook} {one} {note} -j {name}" for one in sides]
        body.append(f"-A {name} -m mark --mark {mark:#x}/{mark:#x} -j RETURN")
        if family == 6:
            body += [f"-A {name} -p ipv6-icmp --icmpv6-type {kind} -j RETURN" for kind in NEIGHBOURS]
        body += [f"-A {name} {peer_flag} {one} -j RETURN" for one in match.spare if one.version == family]
        goal = f"{note} -j NFQUEUE --queue-num {queue} --queue-bypass"
        for peer in _of(family, match.peers, peer_flag):
            body += [f"-A {name}{peer}{what} {goal}" for what in _what(match, direction, family)]
    # Whoever leads packets into a chain comes behind all that the chain says.
    return "\n".join(["*mangle", *declared, *body, *jumps, "COMMIT", ""])


def _of(family: int, peers: tuple[Network, ...], flag: str) -> list[str]:
    return [f" {flag} {one}" for one in peers if one.version == family] if peers else [""]


def _what(match: Match, direction: str, family: int) -> list[str]:
    if not match.protocol:
        return [""]
    protocol = "ipv6-icmp" if match.protocol == "icmp" and family == 6 else match.protocol
    theirs, ours = ("--dports", "--sports") if direction == "egress" else ("--sports", "--dports")
    found = [
        f" -p {protocol} -m multiport {flag} {','.join(map(str, ports[at : at + PORTS_A_RULE]))}"
        for flag, ports in ((theirs, match.ports), (ours, match.own_ports))
        for at in range(0, len(ports), PORTS_A_RULE)
    ]
    return found or [f" -p {protocol}"]


def _program(family: int, variant: str, verb: str) -> str | None:
    return shutil.which(f"ip{'6' * (family == 6)}tables-{variant}-{verb}")


def _first_that_takes(family: int, text: str) -> str:
    said = ""
    for variant in VARIANTS:
        if _program(family, variant, "restore") is None:
            said = said or "there is no iptables"
            continue
        try:
            _restore(family, variant, text)
        except Refused as refused:
            said = refused.why
        else:
            return variant
    raise Refused(f"the rules for IPv{family} cannot be set", said)


def _restore(family: int, variant: str, text: str) -> None:
    program = _program(family, variant, "restore")
    argv = [str(program), "--noflush", "--wait", WAIT]
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Refused("iptables did not end", f"{program} in {SECONDS:g} s") from None
    if done.returncode != 0:
        raise Refused("iptables refused", done.stderr.strip()[-300:])


def _saved(family: int, variant: str) -> str:
    program = _program(family, variant, "save")
    # Asking iptables-legacy for a table makes it, so it is only asked where there is one.
    tables = _LEGACY_TABLES_6 if family == 6 else _LEGACY_TABLES
    if program is None or (variant == "legacy" and "mangle" not in _read(tables).split()):
        return ""
    try:
        return subprocess.run(
            [program, "-t", "mangle"], capture_output=True, text=True, timeout=SECONDS, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        raise Refused("iptables did not end", f"{program} in {SECONDS:g} s") from None


def _chains(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith(f":{PREFIX}"):
            yield line[1:].split()[0]


def _deletions(text: str, meant: Callable[[str], bool]) -> Iterator[str]:
    names = [name for name in _chains(text) if meant(name)]
    goals = tuple(f"-j {name}" for name in names)
    for line in text.splitlines():
        if line.startswith("-A ") and line.endswith(goals or ("\0",)):
            yield "-D" + line[2:]
    yield from (f"-F {name}" for name in names)
    yield from (f"-X {name}" for name in names)


def _has_ipv6() -> bool:
    return bool(_read(_IPV6_ADDRESSES).strip())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
