"""Every fault of the catalogue can be injected, and its undo is known before."""

from __future__ import annotations

import anyio
import pytest

from harness.errors import PreconditionFailed
from harness.faults import KINDS, REGISTRY, inside
from harness.keeper.resident.docker import check
from harness.model import catalogue
from harness.model.fault import Hand
from tests.unit.faults.fakes import FakeKube, planned, reach

pytestmark = pytest.mark.anyio


def test_every_fault_of_the_catalogue_can_be_injected_and_no_other():
    assert set(KINDS) == set(catalogue.FAULTS) == set(REGISTRY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_says_the_same_of_itself_as_the_catalogue(kind):
    assert (REGISTRY[kind].kind, REGISTRY[kind].hand) == (kind, catalogue.FAULTS[kind].hand)


def test_an_unknown_kind_is_not_imported():
    with pytest.raises(KeyError):
        REGISTRY["reach"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_keeper_knows_every_operation_of_every_undo(kind):
    undo = REGISTRY[kind].undo(planned(kind), reach(FakeKube()))
    assert check(undo) == undo


@pytest.mark.parametrize("kind", [kind for kind in KINDS if catalogue.FAULTS[kind].hand is Hand.HOST])
def test_a_fault_of_the_host_has_an_undo_and_needs_the_keeper(kind):
    assert REGISTRY[kind].undo(planned(kind), reach(FakeKube()))
    with pytest.raises(PreconditionFailed, match="keeper"):
        anyio.run(REGISTRY[kind].inject, planned(kind), reach(FakeKube()))


@pytest.mark.parametrize("kind", ["node_freeze", "node_stop"])
def test_the_undo_of_a_node_fault_names_the_nodes_container(kind):
    assert REGISTRY[kind].undo(planned(kind), reach(FakeKube()))[0]["container"] == "c-worker"


def test_a_cordon_is_undone_in_the_control_plane_and_only_for_its_own_fault():
    (op,) = REGISTRY["node_cordon"].undo(planned("node_cordon"), reach(FakeKube()))
    assert op["container"] == "c-control-plane"
    assert op["argv"][-2:] == ["worker", "run-1"]
    assert REGISTRY["node_cordon"].undo(planned("node_cordon"), reach(FakeKube(), cluster=None)) == []


def test_a_thaw_counts_as_done_on_a_stopped_node_and_a_freeze_does_not():
    assert inside.freezer("n", "u", "thaw")["stopped"] == "healed"
    assert "stopped" not in inside.freezer("n", "u", "freeze")
