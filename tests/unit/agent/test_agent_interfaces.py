"""A fault of a node is about interfaces that are there, where nobody else marks packets."""

from __future__ import annotations

import pytest

from harness.agent.resident.packets import interfaces
from harness.agent.resident.refused import Refused

PLAIN = ("lo", "eth0", "veth1a2b")


def there(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr("socket.if_nameindex", lambda: list(enumerate(names, 1)))


@pytest.mark.parametrize("wanted", [("eth0",), ("eth0", "veth1a2b")])
def test_an_interface_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, ...]):
    there(monkeypatch, *PLAIN)
    interfaces.require(wanted)


def test_one_that_is_not_there_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch):
    there(monkeypatch, *PLAIN)
    with pytest.raises(Refused, match=r"no interface ens5: there are eth0, veth1a2b$"):
        interfaces.require(("eth0", "ens5"))


@pytest.mark.parametrize(("theirs", "whose"), [("cali12ab34cd", "Calico"), ("cilium_host", "Cilium")])
def test_a_node_whose_network_marks_packets_itself_is_refused(monkeypatch: pytest.MonkeyPatch, theirs: str, whose: str):
    there(monkeypatch, *PLAIN, theirs)
    with pytest.raises(Refused, match=f"the node's network is {whose}'s"):
        interfaces.require(("eth0",))


def test_a_fault_of_a_pod_names_none_and_is_asked_nothing(monkeypatch: pytest.MonkeyPatch):
    there(monkeypatch, "lo", "cali12ab34cd")
    interfaces.require(())
