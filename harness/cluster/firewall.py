"""What a Docker daemon leaves in the machine's packet filter, and how exactly that is taken out again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.cluster import command
from harness.errors import PreconditionFailed

PROGRAMS = ("iptables", "ip6tables")
DOCKERS = re.compile(r"DOCKER(-.*)?")
# Its place for rules of others: what is in there besides this one is not Docker's.
USERS, NOTHING = "DOCKER-USER", "-j RETURN"
# A rule of some versions' own that jumps to none of their chains.
OWN = "--match-set docker-ext-bridges-v"
INCOMPATIBLE = "is incompatible, use 'nft' tool"
TARGET = re.compile(r" (?:-j|-g) (\S+)")
# Whoever writes here has packets forwarded.
FORWARDING = (("filter", "FORWARD"), ("nat", "POSTROUTING"))
DEADLINE_SECONDS = 20.0

Rules = dict[str, dict[str, "Chain"]]


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain: its policy, "-" where it is no built-in one, and its rules without `-A` and the chain's name."""

    policy: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaving:
    """How Docker's part leaves: the text for `iptables-restore --noflush`, and what stays because others use it."""

    text: str
    stays: tuple[str, ...] = ()


def saved(program: str) -> str | None:
    """Return the rules that stand now, as `iptables-save` tells them; None where they cannot be had, or not all."""
    try:
        text = command.ask([f"{program}-save"], deadline=DEADLINE_SECONDS).stdout
    except PreconditionFailed:
        return None
    # A table to which others have added by nft what iptables has no words for is left out, and that is no failure.
    return None if INCOMPATIBLE in text else text


def restore(program: str, text: str) -> None:
    """Have these changes made, all of a table's or none; raises PreconditionFailed."""
    argv = [f"{program}-restore", "--wait", "10", "--noflush"]
    command.ask(argv, stdin=text.encode(), deadline=DEADLINE_SECONDS)


def parse(text: str) -> Rules:
    """Read what `iptables-save` tells into tables of chains."""
    found: Rules = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
            found[table] = {}
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            found[table][name] = Chain(policy)
        elif line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            chain = found[table][name]
            found[table][name] = Chain(chain.policy, (*chain.rules, rule))
    return found


def leaving(found: str, now: str, *, opens: bool) -> Leaving:
    """Say how Docker's chains leave the rules that stand now, given those that were found before it came.

    A chain that was found stays; so does one that others refer to or have rules in, with all that it refers to. The
    policy of forwarded packets is as it was found where it `opens` again.
    """
    before, after = parse(found), parse(now)
    text, stays = "", []
    for table, chains in after.items():
        new = {name for name in chains if DOCKERS.fullmatch(name)} - before.get(table, {}).keys()
        kept = _used(chains, new)
        gone = sorted(new - kept)
        lines = [f"-D {name} {rule}" for name, chain in chains.items() if name not in new for rule in _to(chain, gone)]
        lines += [f"-{word} {name}" for word in "FX" for name in gone]
        stays += [f"the chain {name} of {table}: others use it" for name in sorted(kept)]
        if opens and table == "filter" and closed(found, now):
            lines.insert(0, ":FORWARD ACCEPT [0:0]")
        if lines:
            text += "\n".join([f"*{table}", *lines, "COMMIT\n"])
    return Leaving(text, tuple(stays))


def closed(found: str, now: str) -> bool:
    """Say whether packets are forwarded by exception only, and were not before."""
    return _policy(now) == "DROP" and _policy(found) != "DROP"


def forwarders(found: str, now: str) -> list[str]:
    """Return the rules about forwarded packets that others have added since the rules were found."""
    before, after = parse(found), parse(now)
    added = []
    for table, name in FORWARDING:
        known = _chain(before, table, name).rules
        added += [f"-A {name} {rule}" for rule in _chain(after, table, name).rules if rule not in known]
    return [rule for rule in added if not DOCKERS.fullmatch(_target(rule)) and OWN not in rule]


def _policy(text: str) -> str:
    return _chain(parse(text), "filter", "FORWARD").policy


def _chain(rules: Mapping[str, Mapping[str, Chain]], table: str, name: str) -> Chain:
    return rules.get(table, {}).get(name, Chain("ACCEPT"))


def _target(rule: str) -> str:
    found = TARGET.search(f" {rule}")
    return found[1] if found else ""


def _to(chain: Chain, gone: Iterable[str]) -> list[str]:
    """Return a chain's rules that are Docker's: those that jump to chains that go, and its own kind of others."""
    return [rule for rule in chain.rules if _target(rule) in gone or (gone and OWN in rule)]


def _used(chains: Mapping[str, Chain], new: set[str]) -> set[str]:
    """Return the new chains that others use, and those that these refer to."""
    # Docker jumps to its chains from built-in ones and from its own.
    theirs = [chain for name, chain in chains.items() if chain.policy == "-" and name not in new]
    used = {_target(rule) for chain in theirs for rule in chain.rules} & new
    if USERS in new and any(rule != NOTHING for rule in chains[USERS].rules):
        used.add(USERS)
    while more := {_target(rule) for name in used for rule in chains[name].rules} & new - used:
        used |= more
    return used
