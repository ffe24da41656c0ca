"""Commands: held to the blast radius, the run's cluster and the hypothesis by what their own words say."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.experiment import BlastRadius
from tests.unit.documents.plain import http, ours, plain, process, refused


@pytest.mark.case(1, "a command of kubectl's that says where it acts", "refused where that is outside the blast radius")
@pytest.mark.parametrize(
    ("path", "arguments", "outside"),
    [
        ("kubectl", ["delete", "pod", "x", "-n", "mail"], "mail"),
        ("kubectl", ["-n=mail", "delete", "pod", "x"], "mail"),
        ("kubectl", "delete pod x --namespace=mail", "mail"),
        ("kubectl", {"delete": "pod", "--namespace": "mail"}, "mail"),
        ("/usr/bin/kubectl", ["delete", "pod", "x", "-nmail"], "mail"),
        ("kubectl", ["delete", "pods", "-l", "a=b", "-A"], "*"),
        ("kubectl", ["delete", "pods", "--all-namespaces"], "*"),
        ("kubectl", ["-n", "${where}", "delete", "pod", "x"], "mail"),
        ("helm", ["uninstall", "cart", "-n", "mail"], "mail"),
        ("bash", ["-c", "sleep 1; kubectl delete pod x -n mail | tail -n 3"], "mail"),
        ("bash", "-c 'kubectl -n shop get pods && kubectl -n mail delete pod x'", "mail"),
        ("sh", ["-c", "kubectl -n shop delete pod x | head -n 5"], ""),
        ("kubectl", ["exec", "x", "-n", "shop", "--", "head", "-n", "5"], ""),
        ("kubectl", ["delete", "pod", "x"], ""),
        ("kubectl", "delete pod 'x", ""),
        ("head", ["-n", "5", "kubectl"], ""),
        ("kubectl", ["delete", "pod", "x", "-n"], ""),
        ("kubectl", {"delete": "pod", "x": None, "-n": None}, ""),
        # What stands in brackets or in quotes is a line of its own, and the one around it goes on behind.
        ("bash", ["-c", "kubectl delete pod $(kubectl get pods -o name -n shop)"], ""),
        ("bash", ["-c", "kubectl delete pod `kubectl get pods -o name -n shop` --now"], ""),
        ("bash", ["-c", "kubectl delete pod $(kubectl get pods -o name -n shop) -n mail"], "mail"),
        ("bash", ["-c", 'for p in "$(kubectl get pods -o name -n mail)"; do true; done'], "mail"),
        ("kubectl", "delete pods -l 'app in (a; b)' -n mail", "mail"),
        # A namespace that is itself what is acted on.
        ("kubectl", ["delete", "namespace", "shop", "mail"], "mail"),
        ("kubectl", "delete ns --wait=false mail", "mail"),
        ("kubectl", ["delete", "ns/mail"], "mail"),
        ("kubectl", ["--context", "ns", "label", "ns", "shop", "team=mail"], ""),
        ("kubectl", ["delete", "ns", "--all"], "*"),
        ("oc", ["delete", "project", "mail"], "mail"),
        ("kubectl", ["delete", "pod", "ns", "-n", "shop"], ""),
        ("helm", ["uninstall", "ns", "mail"], ""),
    ],
)
def test_a_command_is_held_to_the_blast_radius_by_the_namespace_that_it_names(
    path: str, arguments: Any, outside: str
) -> None:
    one = {"type": "action", "name": "a", "provider": {"type": "process", "path": path, "arguments": arguments}}
    document = ours(one, extension={"uncovered": True}, configuration={"where": "mail"})
    if outside:
        assert f"acts in namespace '{outside}', outside the blast radius" in refused(**document)
    else:
        assert plain(**document).uncovered


def test_a_command_of_a_document_without_caps_names_where_it_acts() -> None:
    def asked(*words: str) -> dict[str, Any]:
        return {
            "type": "action",
            "name": "a",
            "provider": {"type": "process", "path": "kubectl", "arguments": [*words]},
        }

    assert plain([asked("delete", "pod", "x", "-n", "mail")]).blast_radius == BlastRadius(("mail",))
    assert plain([asked("delete", "pods", "-A")]).blast_radius == BlastRadius()


def looked(path: str, arguments: Any) -> dict[str, Any]:
    return process(path, arguments=arguments) | {"type": "probe", "tolerance": 0}


ACTING = [
    looked("kubectl", ["delete", "pods", "--all", "-n", "shop"]),
    looked("kubectl", "-n shop scale deployment cart --replicas=0"),
    looked("kubectl", ["rollout", "restart", "deployment/cart", "-n", "shop"]),
    looked("oc", ["adm", "drain", "n1"]),
    looked("helm", ["rollback", "cart", "1"]),
    looked("bash", ["-c", "test $(kubectl delete pod x -n shop) || true"]),
    looked("kubectl", ["apply", "-f", "x.yaml", "--dry-run=none"]),
    http(method="delete") | {"tolerance": 200},
]


@pytest.mark.case(1, "a probe that changes something by its own words", "not covered; refused in a hypothesis")
@pytest.mark.parametrize("probe", ACTING)
def test_a_probe_that_acts_is_no_look(probe: dict[str, Any]) -> None:
    assert "is not covered" in refused(**ours(probe))
    hypothesis = {"steady-state-hypothesis": {"title": "x", "probes": [probe]}}
    assert "this probe acts" in refused(**ours(**hypothesis))
    assert len(plain(**hypothesis).uncovered) == 1
    before = {key: value for key, value in probe.items() if key != "tolerance"}
    assert "this probe acts" in refused(configuration={"a": before})


@pytest.mark.parametrize(
    "probe",
    [
        looked("kubectl", ["get", "pods", "-l", "delete", "-n", "mail"]),
        looked("kubectl", ["rollout", "status", "deployment/cart"]),
        looked("kubectl", ["auth", "can-i", "delete", "pods"]),
        looked("kubectl", ["apply", "-f", "x.yaml", "--dry-run=server"]),
        looked("kubectl", ["exec", "x", "--", "delete"]),
        looked("kubectl", "run --rm -i look --image=curl -- curl http://cart/"),
        looked("helm", ["status", "delete"]),
        looked("test", ["kubectl", "=", "delete"]),
        looked("kubectl", None),
        http(method="POST") | {"tolerance": 200},
    ],
)
def test_a_probe_that_looks_is_taken(probe: dict[str, Any]) -> None:
    assert not plain(**ours(probe, **{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})).uncovered


@pytest.mark.case(6, "a command that names a cluster of its own", "refused: the run's cluster is the one that is named")
@pytest.mark.parametrize(
    ("path", "arguments", "word"),
    [
        ("kubectl", ["--kubeconfig", "/home/me/prod", "get", "pods"], "--kubeconfig"),
        ("kubectl", "delete pod x --kubeconfig=/home/me/prod", "--kubeconfig"),
        ("bash", ["-c", "kubectl --server=https://prod get pods | wc -l"], "--server"),
        ("helm", {"list": None, "--kube-apiserver": "https://prod"}, "--kube-apiserver"),
        ("kubectl", ["--context", "kind-here", "get", "pods"], ""),
        ("kubectl", ["exec", "x", "--", "etcdctl", "--server"], ""),
        ("serve", ["--server", "https://x"], ""),
    ],
)
def test_a_command_that_names_another_cluster_is_refused(path: str, arguments: Any, word: str) -> None:
    for one in (process(path, arguments=arguments), looked(path, arguments)):
        if word:
            assert f"'{word}' names a cluster of its own" in refused([one])
        else:
            assert plain([one]).method
