"""Discovery scrapes what asks for it, at the port and path it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from claude_services.files import AtomicFiles
from claude_services.targets import node_targets, pod_targets

ASKS = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "/metrics"}


def pod(name: str, annotations: dict[str, str], **status: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "prod", "annotations": annotations, "labels": {"app": "a", "x": "y"}},
        "spec": {"nodeName": "worker"},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def test_a_pod_that_asks_is_scraped_under_its_own_name() -> None:
    assert pod_targets([pod("one", ASKS)]) == [
        {
            "targets": ["10.0.0.1:9090"],
            "labels": {
                "__metrics_path__": "/metrics",
                "namespace": "prod",
                "pod": "one",
                "node": "worker",
                "app": "a",
            },
        }
    ]


def test_pods_that_do_not_ask_or_do_not_run_are_left_out() -> None:
    assert pod_targets([pod("silent", {}), pod("done", ASKS, phase="Succeeded")]) == []


def test_a_pod_without_an_address_is_left_out() -> None:
    starting = pod("starting", ASKS)
    del starting["status"]["podIP"]
    assert pod_targets([starting]) == []


def test_every_node_s_kubelet_is_scraped() -> None:
    addresses = [{"type": "Hostname", "address": "worker"}, {"type": "InternalIP", "address": "172.30.0.2"}]
    node = {"metadata": {"name": "worker"}, "status": {"addresses": addresses}}
    assert node_targets([node]) == [{"targets": ["172.30.0.2:10250"], "labels": {"node": "worker"}}]


def test_a_file_is_replaced_only_when_it_differs(tmp_path: Path) -> None:
    files = AtomicFiles(tmp_path)
    assert [files.replace("a.json", text) for text in ("1", "1", "2")] == [True, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "2"
