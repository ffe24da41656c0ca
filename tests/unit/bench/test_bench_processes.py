"""CPU is given to whom it belongs, once, also when who computed it is gone."""

from __future__ import annotations

import pytest

from bench import processes
from bench.processes import KEEPER, KUBERNETES, OTHERS, STACK, Look, Owners, Process

NODE, KEEPER_ID = "a" * 64, "b" * 64
UID, HASH = "4b644059-7557-4a4d-81d1-786e245906a0", "96174b68b16a6f3cce41147188cb699d"
WHOSE = Owners(
    pods={UID: ("claude-ecosystem-prod", "claude-tool-router"), HASH: ("kube-system", "etcd")},
    nodes={NODE: "node"},
    keepers=frozenset({KEEPER_ID}),
    load=frozenset(),
    harness=frozenset(),
    stack_namespaces=frozenset({"claude-ecosystem-prod"}),
)


def process(pid: int, own: float, *, parent: int = 1, buried: float = 0.0, born: int = 0, group: str = "/") -> Process:
    return Process(pid, parent, f"p{pid}", group, own, buried, born)


def between(before: list[Process], after: list[Process]) -> dict[str, float]:
    looks = [Look({one.pid: one for one in found}, 0.0, 0.0, 0.0) for found in (before, after)]
    return {name: seconds for (_, _, name), seconds in processes.spent(looks[0], looks[1], WHOSE).items()}


@pytest.mark.parametrize(
    ("group", "whose"),
    [
        (
            f"/docker/{NODE}/kubelet.slice/kubelet-kubepods-pod{UID.replace('-', '_')}.slice/x",
            (STACK, "claude-tool-router"),
        ),
        (f"/docker/{NODE}/kubelet.slice/kubelet-kubepods-burstable-pod{HASH}.slice/x", (KUBERNETES, "etcd")),
        (f"/docker/{NODE}/kubelet.slice/kubelet.service", (KUBERNETES, "p7")),
        (f"/docker/{KEEPER_ID}", (KEEPER, "p7")),
        (f"/docker/{'c' * 64}", (OTHERS, "p7")),
    ],
)
def test_the_cgroup_says_whose_a_process_is(group: str, whose: tuple[str, str]) -> None:
    assert WHOSE.of(process(7, 1.0, group=group)) == whose


def test_only_what_was_computed_between_the_looks_counts() -> None:
    assert between([process(7, 5.0)], [process(7, 5.5), process(8, 0.25)]) == {"p7": 0.5, "p8": 0.25}


def test_a_number_that_went_to_another_process_starts_anew() -> None:
    assert between([process(7, 5.0, born=1)], [process(7, 0.5, born=2)]) == {"p7": 0.5}


def test_who_came_and_went_is_in_the_parent_s_sum() -> None:
    assert between([process(7, 5.0, buried=2.0)], [process(7, 5.0, buried=2.5)]) == {"p7": 0.5}


def test_what_a_dead_child_had_computed_before_is_not_its_parent_s() -> None:
    before = [process(7, 5.0), process(8, 1.0, parent=7), process(9, 12.0, parent=8)]
    assert between(before, [process(7, 5.0, buried=13.5)]) == {"p7": 0.5}
