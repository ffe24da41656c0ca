"""What the kubelet and Prometheus ask of an agent, by whichever kind of address its pod has."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent.resident import metrics
from harness.agent.resident.healing import Agent
from harness.agent.resident.leases import Leases
from harness.agent.resident.ledger import Ledger
from tests.unit.agent.lab import Lab
from tests.unit.agent.program import least_rights

HOSTS = ["127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    agent = Agent(Ledger(tmp_path / "ledger.json"), Leases(), lambda path, facts: None)
    served = metrics.server(0, agent, lambda: True)
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield served.server_address[1]
    served.shutdown()
    served.server_close()
    thread.join()


def asked(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("host", HOSTS)
def test_an_agent_says_that_it_lives_and_what_it_owes(port: int, host: str):
    assert asked(f"http://{host}:{port}/healthz") == "ok\n"
    assert "chaos_agent_faults_owed 0\n" in asked(f"http://{host}:{port}/metrics")


def test_what_a_node_offers_is_tried_with_the_rights_of_the_agents_pods_and_leaves_nothing(lab: Lab):
    before = lab.chains()
    argv = [*least_rights(), sys.executable, "-m", "harness.agent.resident.offers"]
    entered = ["nsenter", f"--net={lab.path()}", *argv]
    found = json.loads(subprocess.run(entered, capture_output=True, text=True, check=True).stdout)
    assert found["packets"] == {"ok": True, "said": "iptables-nft"}
    assert found["freezing"]["ok"]
    assert found["resources"] == {"ok": True, "said": "cpu, memory, pids"}
    assert lab.chains() == before == []


def test_a_node_without_what_packets_need_says_so(lab: Lab):
    weak = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-m", "harness.agent.resident.offers"]
    found = json.loads(subprocess.run(weak, capture_output=True, text=True, check=True).stdout)
    assert not found["packets"]["ok"]
    assert "cannot be had" in found["packets"]["said"]


def test_what_it_does_not_serve_is_not_there(port: int):
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        asked(f"http://127.0.0.1:{port}/else")
    refused.value.close()
