"""Whom a fault of packets is about is known, shown and granted before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cluster import paths
from harness.documents import document
from harness.engine.planning import plan, rights
from harness.errors import ApiError, UsageError
from harness.model.experiment import Experiment

CUT = """\
title: x
description: x
method:
  - type: action
    name: cut it off
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_partition
      arguments:
        target: {namespace: shop, selector: app=cart, pods: 1}
        peers: PEERS
        direction: ingress
        protocol: tcp
        own_ports: [8080]
extensions:
  - {name: harness, objectives: {recovery: {within: 9s}}, blast-radius: {namespaces: [shop], pods: 1}}
"""
TARGET_AT = 11
BY_LABEL, BY_SERVICE = "[{namespace: mail, selector: app=mail}, 10.9.0.0/16]", "[{namespace: mail, service: smtp}]"


def cut(peers: str = BY_LABEL) -> Experiment:
    return document.loads(CUT.replace("PEERS", peers), Path("shop/cut.yaml"))


class Cluster:
    """One pod to be cut off and two of mail, without any Service."""

    context = "staging"

    def __init__(self, *mail: str, **spec: Any) -> None:
        metadata = {"name": "cart-0", "namespace": "shop", "uid": "uid-0", "creationTimestamp": "0"}
        target = {"metadata": metadata, "spec": {"nodeName": "worker", "containers": [{"name": "cart"}], **spec}}
        target["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
        peers = [{"metadata": {}, "status": {"podIPs": [{"ip": ip}]}} for ip in mail]
        self.pods = {"shop": [target], "mail": peers}

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return self.pods[path.split("/")[4]] if path.endswith("/pods") else []

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        if path == paths.pods("shop", "cart-0"):
            return self.pods["shop"][0]
        raise ApiError(404, "NotFound", path)


async def planned(cluster: Any, experiment: Experiment) -> str:
    return plan.text(experiment, await plan.resolve(cluster, experiment, run="r", seed=1, alone=True))


@pytest.mark.anyio
async def test_the_plan_shows_which_packets_are_met_with_peers_as_addresses() -> None:
    shown = await planned(Cluster("10.1.0.1", "fd00::1"), cut())
    assert "what it receives; tcp; own ports 8080; with 10.1.0.1, fd00::1, 10.9.0.0/16" in shown


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("peers", "words"), [(BY_LABEL, "the peer mail/app=mail is nobody"), (BY_SERVICE, "there is no Service mail/smtp")]
)
async def test_a_peer_that_is_nobody_is_refused_where_it_is_written(peers: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        await planned(Cluster(), cut(peers))
    assert refused.value.where == f"shop/cut.yaml:{TARGET_AT}"


@pytest.mark.anyio
async def test_a_pod_of_its_nodes_network_is_refused_when_the_run_is_planned() -> None:
    with pytest.raises(UsageError, match="shop/cart-0 cannot be a target") as refused:
        await planned(Cluster("10.1.0.1", hostNetwork=True), cut())
    assert "every pod of the node would be hit" in refused.value.why


def test_looking_for_peers_is_granted_and_asked_for_where_they_are() -> None:
    roles = {role["metadata"]["namespace"]: role["rules"] for role in rights.roles_for([cut(BY_SERVICE)])}
    assert [(rule["resources"], rule["verbs"][0]) for rule in roles["mail"]] == [
        (["pods"], "get"),
        (["services"], "get"),
    ]
    assert not any("services" in rule["resources"] for rule in roles["shop"])
    assert rights.needed(cut(BY_SERVICE))["mail"] == tuple(roles["mail"])
    roles = {role["metadata"]["namespace"]: role["rules"] for role in rights.roles_for([cut()])}
    assert not any("services" in rule["resources"] for rule in roles["mail"])


def test_networks_need_no_rights_anywhere() -> None:
    assert [role["metadata"]["namespace"] for role in rights.roles_for([cut("[10.9.0.0/16]")])] == ["shop"]
