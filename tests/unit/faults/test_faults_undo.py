"""Every fault of the catalogue can be injected, and its undo is known before."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from harness import faults
from harness.errors import PreconditionFailed, UndoFailed
from harness.faults import FAULTS
from harness.hands.api import undoing
from harness.hands.known import HANDS
from harness.keeper.resident.docker import check
from harness.model.fault import Hand
from tests.unit.targets.fakes import FakeKube, planned, reach

pytestmark = pytest.mark.anyio
# What is named for a part of what it is aimed at.
PARTS = {
    "container": "pod",
    "kubelet": "node",
    "runtime": "node",
    "dns": "workload",
    "admission": "namespace",
    "certificate": "config",
    "apiserver": "component",
    "http": "route",
}


@pytest.mark.parametrize("path", sorted(Path(faults.__file__).parent.glob("[a-z]*_*.py")), ids=lambda path: path.stem)
def test_a_file_in_the_folder_is_a_fault_by_its_name_and_short_enough_to_be_read(path):
    assert FAULTS[path.stem].name == path.stem
    of = path.stem.partition("_")[0]
    assert FAULTS[path.stem].target == PARTS.get(of, of)
    assert FAULTS[path.stem].hand in HANDS
    assert len(path.read_text().splitlines()) < 150


@pytest.mark.parametrize("kind", FAULTS)
def test_the_keeper_knows_every_operation_of_every_undo(kind):
    undo = FAULTS[kind].undo(planned(kind), reach(FakeKube()))
    assert check(undo) == undo


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if FAULTS[kind].hand is Hand.HOST])
def test_a_fault_of_the_host_has_an_undo_and_needs_the_keeper(kind):
    assert FAULTS[kind].undo(planned(kind), reach(FakeKube()))
    with pytest.raises(PreconditionFailed, match="keeper"):
        anyio.run(FAULTS[kind].inject, planned(kind), reach(FakeKube()))


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if FAULTS[kind].hand is Hand.HOST])
def test_the_undo_of_a_fault_of_the_host_names_the_nodes_container(kind):
    assert FAULTS[kind].undo(planned(kind), reach(FakeKube()))[0]["container"] == "c-worker"


def test_a_cordon_is_undone_in_the_control_plane_and_only_for_its_own_fault():
    (op,) = FAULTS["node_cordon"].undo(planned("node_cordon"), reach(FakeKube()))
    assert op["container"] == "c-control-plane"
    assert op["argv"][-2:] == ["worker", "run-1"]
    assert FAULTS["node_cordon"].undo(planned("node_cordon"), reach(FakeKube(), cluster=None)) == []


async def test_an_undo_of_another_version_is_no_success():
    with pytest.raises(UndoFailed, match="not known here: unlabel"):
        await undoing.perform(FakeKube(), [{"op": "unlabel", "path": "/api/v1/namespaces/shop/pods/web"}])
