"""What a fault did is told from what follows, and looked at until it is gone."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.crash_matrix import measure
from bench.dying import looks
from bench.dying.looks import Part, Seen
from harness.errors import ApiError

RULES = "pod rules KCH-1; cgroup frozen /pods/a"


def test_what_a_fault_did_is_told_from_what_is_written_of_it_and_from_what_follows() -> None:
    before = {"node/a/cordoned": "false", "node/a/taints": "-", "node/a/ready": "True", "container/a/state": "running"}
    before |= {"node/a/conditions": ""}
    during = {
        "node/a/cordoned": "true",
        "node/a/taints": "-",
        "node/a/conditions": "not-ready, unschedulable",
        "node/a/ready": "Unknown",
        "container/a/state": "paused",
        "keeper/owes": "f-1",
        "nodefault//f-1": "present",
        "lease/holder": "run",
        "unseen/container/b": "no answer",
    }
    assert looks.effects(before, during) == {"container/a/state": "running", "node/a/cordoned": "false"}
    assert looks.effects(before, {**before, "node/a/taints": "5eed"}) == {"node/a/taints": "-"}
    # What only an agent knows of is followed by its ledger, and by it alone where nothing else shows.
    assert looks.effects(before, {**before, "agent/a/owes": "f-1", "keeper/owes": "f-1"}) == {"agent/a/owes": ""}
    assert looks.effects(before, {**during, "agent/a/owes": "f-1"}) == looks.effects(before, during)


def test_what_pods_are_follows_their_workloads_template_and_is_an_effect_where_that_is_as_ever() -> None:
    before = {"deployments/shop/web/spec": "1", "labels/deployment/shop/web": "1", "labels/rollout/shops/web": "1"}
    pods = {"labels/deployment/shop/web": "2"}
    assert looks.effects(before, {**before, **pods}) == {"labels/deployment/shop/web": "1"}
    assert looks.effects(before, {**before, **pods, "deployments/shop/web/spec": "2"}) == {
        "deployments/shop/web/spec": "1"
    }
    rollout = {"labels/rollout/shops/web": "2", "rollout/shops/web/spec": "2"}
    assert looks.effects(before, {**before, **rollout}) == {"rollout/shops/web/spec": ""}


def test_what_has_a_quicker_look_gets_it_and_anything_else_the_whole_one() -> None:
    found = looks.quick("unit failed", f"unit failed; {RULES}")
    assert sorted(found.values()) == [["/pods/a"], ["KCH-1"]]
    assert looks.quick("", f"{RULES}; qdisc netem") == {}


@pytest.mark.parametrize(
    ("line", "program", "there", "gone"),
    [
        ("iptables -A PREROUTING -m comment --comment chaos-1 -j DROP", "iptables-save", "", "chaos-2"),
        ("ip6tables -A PREROUTING -m comment --comment chaos-1 -j DROP", "ip6tables-save", "", "chaos-2"),
        ("unit inactive", "systemctl", "active\ninactive", "active\nactivating"),
    ],
)
def test_what_a_node_says_of_its_rules_and_units_is_followed(
    here: Any, tmp_path: Path, line: str, program: str, there: str, gone: str
) -> None:
    said = tmp_path / "said"
    for name in ("iptables-save", "ip6tables-save", "systemctl"):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\ncat {said}\n" if name == program else "#!/bin/sh\n")
        path.chmod(0o755)
    for text, first in ((there or f"*mangle\n{line.partition(' ')[2]}\n", "1"), (gone, "0")):
        said.write_text(f"{text}\n")
        assert looked(line) == first


def looked(line: str) -> str:
    """Return the first word of the program that follows a line of the residue."""
    ((script, arguments),) = looks.quick("", line).items()
    with subprocess.Popen(["sh", "-c", script, "sh", *arguments], stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        first = following.stdout.readline().strip()
        following.kill()
    return first


def test_a_file_is_followed_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "chaos-x"
    assert looked(f"file {path}") == "0"
    path.touch()
    assert looked(f"file {path}") == "1"


class Told:
    """A place whose fingerprint is what it is told, or that does not answer."""

    def __init__(self, lines: dict[str, str] | None) -> None:
        self.lines = lines

    async def fingerprint(self, only: Collection[str] = ()) -> dict[str, str]:
        if self.lines is None:
            raise ApiError(500, "Timeout", "")
        return self.lines


def test_an_agent_that_is_away_says_nothing_of_what_it_owes() -> None:
    async def look(lines: dict[str, str]) -> bool | None:
        there: Any = Told(lines)
        return await looks._lines(there, {"agent/a/owes": "0"})

    assert anyio.run(look, {"agent/a/owes": "1"}) is True
    assert anyio.run(look, {"agent/a/owes": "0"}) is False
    assert anyio.run(look, {}) is None


@pytest.mark.parametrize("lines", [{"webhooks//x": "1"}, {}, None])
def test_nothing_is_struck_before_its_look_has_told_what_it_is(
    monkeypatch: pytest.MonkeyPatch, lines: dict[str, str] | None
) -> None:
    there: Any = Told(lines)

    async def begin() -> list[Part]:
        seen = Seen()
        async with anyio.create_task_group() as group:
            await group.start(looks.follow, there, {}, {"webhooks//x": "1"}, seen)
            group.cancel_scope.cancel()
        return seen.parts

    if lines is None:
        monkeypatch.setattr(looks, "SEEN_SECONDS", 0.0)
        with pytest.raises(ExceptionGroup) as raised:
            anyio.run(begin)
        (error,) = measure._leaves(raised.value)
        assert str(error) == "webhooks//x: nobody can say whether it is still there"
    else:
        (part,) = anyio.run(begin)
        assert part.looked
        assert (part.whole == math.inf) == bool(lines)


def test_the_last_thing_that_is_gone_says_when_all_is() -> None:
    seen = Seen([Part("a", 1.0, 2.0), Part("b", 3.0)])
    assert (seen.broken, seen.left) == (3.0, ["b"])
    seen.parts[1].whole = 4.0
    assert (seen.whole, seen.left) == (4.0, [])


def test_a_frozen_control_group_is_followed_until_it_thaws(here: Any, tmp_path: Path) -> None:
    state = tmp_path / "cgroup.freeze"
    state.write_text("1\n")
    seen, began = Seen(), time.monotonic()

    async def thaw() -> None:
        before = {"container/worker/residue": ""}
        during = {"container/worker/residue": f"cgroup frozen {tmp_path}"}
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                await group.start(looks.follow, here, before, during, seen)
                while seen.broken <= began + 0.05:
                    await anyio.sleep(0.01)
                assert seen.left
                state.write_text("0\n")

    anyio.run(thaw)
    assert began < seen.broken < seen.whole < time.monotonic()
