"""The packet filter after a Docker daemon: exactly its own goes, and what others use stays and is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from harness.cluster import firewall

RULES = Path(__file__).parent / "rules"
EMPTY = ""
THEIRS = (RULES / "theirs.txt").read_text()
OLD, NEW = ((RULES / f"docker-{version}.txt").read_text() for version in ("20", "28"))
DOCKERS = pytest.mark.parametrize("docker", [OLD, NEW], ids=["20", "28"])
STANDS = ":FORWARD ACCEPT"


def with_docker(docker: str, rules: str) -> str:
    """Add what a daemon adds to the rules of others: its chains before theirs, its jumps before all others."""
    added, lines, table = firewall.parse(docker), list[str](), ""
    for line in rules.splitlines():
        table = line[1:] if line.startswith("*") else table
        if line.startswith(":FORWARD"):
            line = ":FORWARD DROP [0:0]"
        lines.append(line)
        if line.startswith(":"):
            name = line[1:].split()[0]
            lines += [f"-A {name} {rule}" for rule in added[table][name].rules] if name in added[table] else []
        if line.startswith("*"):
            chains = {name: chain for name, chain in added[table].items() if chain.policy == "-"}
            lines += [f":{name} - [0:0]" for name in chains]
            lines += [f"-A {name} {rule}" for name, chain in chains.items() for rule in chain.rules]
    return "\n".join(lines) + "\n"


def applied(text: str, rules: str) -> firewall.Rules:
    """Do to rules what `iptables-restore --noflush` would do; a chain that goes must be empty and named nowhere."""
    found = firewall.parse(rules)
    table: dict[str, firewall.Chain] = {}
    for line in text.splitlines():
        table = found[line[1:]] if line.startswith("*") else table
        word, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if line.startswith(":"):
            table[word[1:]] = firewall.Chain(name, table[word[1:]].rules)
        elif word == "-D":
            assert rule in table[name].rules
            table[name] = firewall.Chain(table[name].policy, tuple(r for r in table[name].rules if r != rule))
        elif word == "-F":
            table[name] = firewall.Chain("-")
        elif word == "-X":
            assert not table.pop(name).rules
            assert not any(name in rule.split() for chain in table.values() for rule in chain.rules), name
    return found


def meaning(rules: firewall.Rules) -> firewall.Rules:
    """Leave out chains that let everything pass: the kernel has them as soon as anybody has looked at a table."""
    kept = {
        table: {name: chain for name, chain in chains.items() if chain != firewall.Chain("ACCEPT")}
        for table, chains in rules.items()
    }
    return {table: chains for table, chains in kept.items() if chains}


@DOCKERS
@pytest.mark.parametrize("found", [EMPTY, THEIRS], ids=["nothing", "others"])
def test_what_docker_brought_goes_and_the_rest_is_as_it_was_found(docker: str, found: str) -> None:
    now = with_docker(docker, found) if found else docker
    leaving = firewall.leaving(found, now, opens=True)
    assert meaning(applied(leaving.text, now)) == meaning(firewall.parse(found))
    assert leaving.stays == ()


def test_where_nothing_of_docker_stands_nothing_is_done() -> None:
    assert firewall.leaving(THEIRS, THEIRS, opens=True) == firewall.Leaving("")
    assert firewall.leaving(EMPTY, EMPTY, opens=True) == firewall.Leaving("")


@DOCKERS
def test_what_a_docker_that_was_there_before_had_left_stays(docker: str) -> None:
    assert firewall.leaving(docker, docker, opens=True) == firewall.Leaving("")


def test_a_rule_in_the_place_that_docker_keeps_for_others_stays_with_its_chain() -> None:
    now = OLD.replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -s 10.1.0.0/16 -j DROP\n-A DOCKER-USER -j RETURN")
    leaving = firewall.leaving(EMPTY, now, opens=True)
    left = applied(leaving.text, now)["filter"]
    assert left["FORWARD"] == firewall.Chain("ACCEPT", ("-j DOCKER-USER",))
    assert [name for name in left if name.startswith("DOCKER")] == ["DOCKER-USER"]
    assert leaving.stays == ("the chain DOCKER-USER of filter: others use it",)


def test_a_chain_that_others_jump_to_stays_with_all_that_it_jumps_to() -> None:
    mine = ":MINE - [0:0]\n-A MINE -j DOCKER-ISOLATION-STAGE-1\n"
    rule = "-i br-1 ! -o br-1 -j DOCKER-ISOLATION-STAGE-2\n-A DOCKER-ISOLATION-STAGE-1 -j RETURN"
    now = OLD.replace(":DOCKER - [0:0]\n", f":DOCKER - [0:0]\n{mine}", 1)
    now = now.replace("-A DOCKER-ISOLATION-STAGE-1 -j RETURN", f"-A DOCKER-ISOLATION-STAGE-1 {rule}")
    leaving = firewall.leaving(EMPTY, now, opens=True)
    left = applied(leaving.text, now)["filter"]
    assert {name for name in left if name.startswith("DOCKER")} == {
        "DOCKER-ISOLATION-STAGE-1",
        "DOCKER-ISOLATION-STAGE-2",
    }
    assert len(leaving.stays) == 2


def test_where_others_have_begun_to_forward_packets_the_policy_is_left_to_them() -> None:
    now = OLD.replace("-A DOCKER-USER", "-A FORWARD -i tap0 -j ACCEPT\n-A DOCKER-USER")
    leaving = firewall.leaving(EMPTY, now, opens=False)
    assert firewall.forwarders(EMPTY, now) == ["-A FORWARD -i tap0 -j ACCEPT"]
    assert applied(leaving.text, now)["filter"] == {
        "INPUT": firewall.Chain("ACCEPT"),
        "FORWARD": firewall.Chain("DROP", ("-i tap0 -j ACCEPT",)),
        "OUTPUT": firewall.Chain("ACCEPT"),
    }


def test_a_policy_that_was_found_stays() -> None:
    found = THEIRS.replace(":FORWARD ACCEPT", ":FORWARD DROP")
    assert STANDS not in firewall.leaving(found, with_docker(OLD, found), opens=True).text


def test_a_rule_of_dockers_that_jumps_nowhere_goes_with_its_chains() -> None:
    rule = "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED -j ACCEPT"
    now = NEW.replace("-A FORWARD -j DOCKER-FORWARD", f"{rule}\n-A FORWARD -j DOCKER-FORWARD")
    assert firewall.forwarders(EMPTY, now) == []
    assert meaning(applied(firewall.leaving(EMPTY, now, opens=True).text, now)) == {}


@pytest.mark.parametrize(
    ("said", "status", "known"),
    [
        (OLD, 0, True),
        ("", 0, True),
        ("", 4, False),
        (OLD, 1, False),
        ("# Table `filter' is incompatible, use 'nft' tool.\n*nat\nCOMMIT\n", 0, False),
        ("# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n", 0, True),
    ],
)
def test_rules_that_were_not_told_whole_are_not_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: int, known: bool
) -> None:
    (tmp_path / "said").write_text(said)
    program = tmp_path / "iptables-save"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert firewall.saved("iptables") == (said if known else None)
    assert firewall.saved("no-such-tables") is None


@cache
def lacking() -> str:
    """Say why no real packet filter can be had here; nothing when one can."""
    if os.geteuid() != 0 or not shutil.which("iptables-restore"):
        return "root and iptables are needed"
    made = subprocess.run(["unshare", "--net", "iptables-save"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "network namespaces cannot be made here"


@DOCKERS
@pytest.mark.parametrize("found", [EMPTY, THEIRS], ids=["nothing", "others"])
@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_the_kernel_makes_of_it_what_was_found(tmp_path: Path, program: str, docker: str, found: str) -> None:
    if why := lacking():
        pytest.skip(why)
    now = with_docker(docker, found) if found else docker
    for name, text in (("found", found), ("now", now), ("leaving", firewall.leaving(found, now, opens=True).text)):
        (tmp_path / name).write_text(text)
    script = (
        f"cd {tmp_path}; {program}-restore < found; {program}-save > first; {program}-restore < now;"
        f"{program}-restore --wait 10 --noflush < leaving; {program}-save > last"
    )
    done = subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, last = (meaning(firewall.parse((tmp_path / name).read_text())) for name in ("first", "last"))
    assert first == last
