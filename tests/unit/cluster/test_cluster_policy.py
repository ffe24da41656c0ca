"""NetworkPolicies as packet rules: who gets through, and what one transaction does to the rules there are."""

from __future__ import annotations

import copy
import functools
import ipaddress
import runpy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.cluster.cache import project_root
from harness.stack import overlays

# Not an import: that would leave compiled files in an image's sources.
FILE = project_root() / "images" / "node" / "components" / "files" / "usr" / "local" / "bin" / "chaos_policy.py"
policy = SimpleNamespace(**runpy.run_path(str(FILE)))

NAMESPACES = {"shop": {"team": "shop"}, "bank": {"team": "bank", "trusted": "yes"}}
PORTS = (("http", "TCP", 8080), ("dns", "UDP", 53))
SERVER = policy.Pod("shop", {"app": "server"}, "10.244.1.2", "here", PORTS)
FRIEND = policy.Pod("shop", {"app": "client", "tier": "gold"}, "10.244.1.3", "here", (("http", "TCP", 9000),))
STRANGER = policy.Pod("shop", {"app": "other"}, "10.244.2.2", "there")
BANKER = policy.Pod("bank", {"app": "client"}, "10.244.2.3", "there")
PODS = [SERVER, FRIEND, STRANGER, BANKER]
OUTSIDE = "192.0.2.7"


def made(text: str, *, on: str = "{app: server}", namespace: str = "shop") -> dict[str, Any]:
    """Make a policy from what its spec says besides the pods it is about."""
    spec = yaml.safe_load(text) or {}
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {"matchLabels": yaml.safe_load(on)}, **spec}}


def on_every_node(*policies: dict[str, Any], pods: list[Any] = PODS) -> list[list[str]]:
    return [policy.rules(list(policies), pods, NAMESPACES, node) for node in sorted({pod.node for pod in pods})]


def passes(tables: list[list[str]], sender: Any, receiver: Any, port: int = 8080, protocol: str = "tcp") -> bool:
    """Send the first packet of a connection through the rules of every node on its way."""
    packet = {"-s": getattr(sender, "address", sender), "-d": getattr(receiver, "address", receiver)}
    return all("DROP" not in walk(table, policy.CHAIN, packet, port, protocol) for table in tables)


def walk(table: list[str], chain: str, packet: dict[str, str], port: int, protocol: str) -> Iterator[str]:
    """Yield what the kernel does with a packet in a chain: RETURN ends it, DROP ends everything."""
    for line in table:
        words = line.split()
        if words[:2] != ["-A", chain] or "--ctstate" in words:
            continue
        options = dict(zip(words[2::2], words[3::2], strict=True))
        target = options.pop("-j")
        if all(matches(option, value, packet, port, protocol) for option, value in options.items()):
            if target in ("RETURN", "DROP"):
                yield target
                return
            below = list(walk(table, target, packet, port, protocol))
            yield from below
            if "DROP" in below:
                return


def matches(option: str, value: str, packet: dict[str, str], port: int, protocol: str) -> bool:
    if option == "-p":
        return value == protocol
    if option == "--dport":
        first, _, last = value.partition(":")
        return int(first) <= port <= int(last or first)
    return ipaddress.ip_address(packet[option]) in ipaddress.ip_network(value)


def let_in(*policies: dict[str, Any], port: int = 8080, protocol: str = "tcp") -> set[str]:
    """Name those who reach the server."""
    tables = on_every_node(*policies)
    senders = {"friend": FRIEND, "stranger": STRANGER, "banker": BANKER, "outside": OUTSIDE}
    return {name for name, sender in senders.items() if passes(tables, sender, SERVER, port, protocol)}


EVERYONE = {"friend", "stranger", "banker", "outside"}


def test_without_a_policy_everyone_gets_through() -> None:
    assert let_in() == EVERYONE
    assert on_every_node()[0] == [
        ":NETPOL - [0:0]",
        "-A NETPOL -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
    ]


@pytest.mark.parametrize(
    ("ingress", "who"),
    [
        ("[]", set()),
        ("[{}]", EVERYONE),
        ("[{from: []}]", EVERYONE),
        ("[{from: [{podSelector: {}}]}]", {"friend", "stranger"}),
        ("[{from: [{podSelector: {matchLabels: {app: client}}}]}]", {"friend"}),
        ("[{from: [{namespaceSelector: {}}]}]", {"friend", "stranger", "banker"}),
        ("[{from: [{namespaceSelector: {matchLabels: {trusted: 'yes'}}}]}]", {"banker"}),
        (
            "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]",
            {"friend", "banker"},
        ),
        (
            "[{from: [{namespaceSelector: {matchLabels: {team: bank}}}, {podSelector: {matchLabels: {tier: gold}}}]}]",
            {"friend", "banker"},
        ),
        ("[{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]", {"outside"}),
        ("[{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.7/32]}}]}]", set()),
        ("[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.2.0/24, 10.244.2.2/32]}}]}]", {"friend", "outside"}),
        ("[{from: [{ipBlock: {cidr: '::/0'}}]}]", set()),
        # What one rule leaves out, another may let in.
        (
            "[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}, {from: [{podSelector: {}}]}]",
            {"friend", "stranger", "outside"},
        ),
    ],
)
def test_peers_are_let_in(ingress: str, who: set[str]) -> None:
    assert let_in(made(f"ingress: {ingress}")) == who


@pytest.mark.parametrize(
    ("expression", "who"),
    [
        ("{key: app, operator: In, values: [client, none]}", {"friend"}),
        ("{key: tier, operator: NotIn, values: [gold]}", {"stranger"}),
        ("{key: tier, operator: Exists}", {"friend"}),
        ("{key: tier, operator: DoesNotExist}", {"stranger"}),
    ],
)
def test_expressions_select_as_labels_do(expression: str, who: set[str]) -> None:
    assert let_in(made(f"ingress: [{{from: [{{podSelector: {{matchExpressions: [{expression}]}}}}]}}]")) == who


@pytest.mark.parametrize(
    ("ports", "tcp", "udp"),
    [
        ("[]", {53, 8080, 8081, 8090}, {53, 8080}),
        ("[{port: 8080}]", {8080}, set()),
        ("[{port: 8080, endPort: 8081}]", {8080, 8081}, set()),
        ("[{protocol: UDP}]", set(), {53, 8080}),
        ("[{protocol: UDP, port: 53}, {port: 8090}]", {8090}, {53}),
        ("[{port: http}]", {8080}, set()),
        ("[{port: dns, protocol: UDP}]", set(), {53}),
        # The name exists, for the other protocol.
        ("[{port: dns}]", set(), set()),
        ("[{port: nothing}]", set(), set()),
    ],
)
def test_ports_are_opened(ports: str, tcp: set[int], udp: set[int]) -> None:
    tables = on_every_node(made(f"ingress: [{{ports: {ports}}}]"))
    assert {port for port in (53, 8080, 8081, 8090) if passes(tables, STRANGER, SERVER, port, "tcp")} == tcp
    assert {port for port in (53, 8080) if passes(tables, STRANGER, SERVER, port, "udp")} == udp


def test_policies_add_up() -> None:
    shut = made("ingress: []")
    gold = made("ingress: [{from: [{podSelector: {matchLabels: {tier: gold}}}]}]")
    bank = made("ingress: [{from: [{namespaceSelector: {matchLabels: {team: bank}}}], ports: [{port: 8080}]}]")
    assert let_in(shut, gold, bank) == {"friend", "banker"}
    assert let_in(shut, gold, bank, port=8081) == {"friend"}


def test_a_policy_is_about_its_own_namespace_and_its_own_pods() -> None:
    assert let_in(made("ingress: []", namespace="bank")) == EVERYONE
    assert let_in(made("ingress: []", on="{app: client}")) == EVERYONE


def test_both_ends_are_asked() -> None:
    in_from_all, out_to_none = made("ingress: [{}]"), made("policyTypes: [Egress]", on="{app: client}")
    assert let_in(in_from_all, out_to_none) == {"stranger", "banker", "outside"}
    out_to_all, in_from_none = made("egress: [{}]\npolicyTypes: [Egress]", on="{app: client}"), made("ingress: []")
    assert let_in(out_to_all, in_from_none) == set()


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        ("", {"Ingress"}),
        ("ingress: []", {"Ingress"}),
        ("egress: []", {"Ingress"}),
        ("egress: [{to: [{ipBlock: {cidr: 198.51.100.0/24}}]}]", {"Ingress", "Egress"}),
        ("policyTypes: [Egress]", {"Egress"}),
        ("policyTypes: [Ingress, Egress]", {"Ingress", "Egress"}),
    ],
)
def test_a_policy_without_types_is_about_what_it_names(spec: str, isolated: set[str]) -> None:
    tables = on_every_node(made(spec))
    ways = {"Ingress": (STRANGER, SERVER), "Egress": (SERVER, STRANGER)}
    assert {name for name, (one, other) in ways.items() if not passes(tables, one, other)} == isolated


def test_a_port_s_name_is_the_listener_s_on_the_way_out() -> None:
    tables = on_every_node(made("{policyTypes: [Egress], egress: [{ports: [{port: http}, {port: 443}]}]}", on="{}"))
    assert passes(tables, STRANGER, SERVER, 8080)
    assert passes(tables, STRANGER, FRIEND, 9000)
    assert not passes(tables, STRANGER, FRIEND, 8080)
    assert passes(tables, STRANGER, OUTSIDE, 443)
    assert not passes(tables, STRANGER, OUTSIDE, 8080)


def test_no_policy_keeps_a_pod_from_itself() -> None:
    tables = on_every_node(made("policyTypes: [Ingress, Egress]"))
    assert passes(tables, SERVER, SERVER)
    assert not passes(tables, SERVER, FRIEND)


def test_a_node_judges_only_its_own_pods() -> None:
    shut = made("policyTypes: [Ingress, Egress]", on="{}")
    text = "\n".join(policy.rules([shut], PODS, NAMESPACES, "there"))
    assert "NETPOL-IN-10.244.2.2" in text
    assert "10.244.1." not in text
    assert "10.244.2.3" not in text


POD: dict[str, Any] = {
    "metadata": {"namespace": "shop", "labels": {"app": "server"}},
    "spec": {
        "nodeName": "here",
        "containers": [{"ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090}]}],
        "initContainers": [{"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
    },
    "status": {"phase": "Running", "podIP": "10.244.1.2"},
}


def test_a_pod_is_what_policies_ask_of_it() -> None:
    assert policy.pod(POD) == SERVER


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({}, {"podIP": ""}),
        ({}, {"podIP": "fd00::1"}),
        ({}, {"phase": "Succeeded"}),
        ({}, {"phase": "Failed"}),
        ({"hostNetwork": True}, {}),
    ],
)
def test_a_pod_without_an_address_of_its_own_is_left_out(spec: dict[str, Any], status: dict[str, Any]) -> None:
    item = {**POD, "spec": {**POD["spec"], **spec}, "status": {**POD["status"], **status}}
    assert policy.pod(item) is None


WANTED = [":NETPOL - [0:0]", ":NETPOL-IN-10.244.1.2 - [0:0]", "-A NETPOL -d 10.244.1.2 -j NETPOL-IN-10.244.1.2"]


def test_the_jump_comes_first() -> None:
    lines = policy.table(WANTED, ["-P FORWARD ACCEPT", "-A FORWARD -j KUBE-FORWARD"]).splitlines()
    assert lines == ["*filter", *WANTED, "-I FORWARD 1 -j NETPOL", "COMMIT"]


def test_a_jump_that_came_after_another_is_moved() -> None:
    lines = policy.table(WANTED, ["-A FORWARD -j KUBE-FORWARD", "-A FORWARD -j NETPOL"]).splitlines()
    assert lines == ["*filter", *WANTED, "-D FORWARD -j NETPOL", "-I FORWARD 1 -j NETPOL", "COMMIT"]


def test_a_jump_in_its_place_stays() -> None:
    lines = policy.table(WANTED, ["-A FORWARD -j NETPOL", "-A FORWARD -j KUBE-FORWARD"]).splitlines()
    assert lines == ["*filter", *WANTED, "COMMIT"]


def test_a_chain_that_nobody_needs_is_emptied_first_and_removed_last() -> None:
    present = [
        "-N KUBE-FORWARD",
        "-N NETPOL",
        "-N NETPOL-EG-10.244.1.9",
        "-N NETPOL-IN-10.244.1.2",
        "-A FORWARD -j NETPOL",
    ]
    lines = policy.table(WANTED, present).splitlines()
    assert lines == ["*filter", ":NETPOL-EG-10.244.1.9 - [0:0]", *WANTED, "-X NETPOL-EG-10.244.1.9", "COMMIT"]


def test_no_rule_looks_like_a_fault_s_residue_and_every_name_fits() -> None:
    far = policy.Pod("shop", {"app": "server"}, "100.100.100.100", "here")
    text = policy.table(policy.rules([made("policyTypes: [Ingress, Egress]")], [far], NAMESPACES, "here"), [])
    assert "chaos" not in text.lower()
    # What the kernel takes as a chain's name.
    assert max(len(word) for word in text.split() if word.startswith("NETPOL")) <= 28


# -- the stack's own policies ----------------------------------------------------------------------------------------


@functools.cache
def deployed() -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, dict[str, str]]]:
    """Return the base's policies, one pod of each workload by its label, and the namespaces."""
    base = overlays.manifests() / "base"
    items = [
        item
        for file in sorted(base.glob("*.yaml"))
        for item in yaml.load_all(file.read_text(), yaml.CSafeLoader)
        if item
    ]
    names = {
        item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in items if item["kind"] == "Namespace"
    }
    names["kube-system"] = {}
    # The API server puts this one on every namespace.
    namespaces = {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in names.items()}
    pods = {"dns": policy.Pod("kube-system", {"k8s-app": "kube-dns"}, "10.244.0.2", "node-0")}
    for number, item in enumerate(item for item in items if item["kind"] == "Deployment"):
        labels = item["spec"]["template"]["metadata"]["labels"]
        namespace, address = item["metadata"]["namespace"], f"10.244.{number + 1}.2"
        pods[labels["app"]] = policy.Pod(namespace, labels, address, f"node-{number}")
    return [item for item in items if item["kind"] == "NetworkPolicy"], pods, namespaces


@pytest.mark.parametrize(
    ("sender", "receiver", "protocol", "port"),
    [
        ("claude-ecosystem-gateway", "claude-orchestrator", "tcp", 8080),
        ("claude-orchestrator", "claude-agent-registry", "tcp", 8080),
        ("claude-orchestrator", "claude-tool-router", "tcp", 8080),
        ("claude-orchestrator", "dns", "udp", 53),
        ("claude-orchestrator", "dns", "tcp", 53),
        ("claude-prometheus", "claude-orchestrator", "tcp", 9090),
        ("claude-prometheus", "claude-agent-registry", "tcp", 9090),
        ("claude-prometheus", "claude-tool-router", "tcp", 9090),
        ("claude-prometheus", "claude-ecosystem-gateway", "tcp", 15090),
    ],
)
def test_the_stack_s_policies_let_its_own_traffic_through(sender: str, receiver: str, protocol: str, port: int) -> None:
    policies, pods, namespaces = deployed()
    tables = [policy.rules(policies, list(pods.values()), namespaces, pod.node) for pod in pods.values()]
    assert passes(tables, pods[sender], pods[receiver], port, protocol)


def test_the_stack_s_policies_keep_the_rest_from_the_orchestrator() -> None:
    policies, pods, namespaces = deployed()
    tables = [policy.rules(policies, list(pods.values()), namespaces, pod.node) for pod in pods.values()]
    assert not passes(tables, pods["claude-tool-router"], pods["claude-orchestrator"])
    assert not passes(tables, pods["claude-prometheus"], pods["claude-orchestrator"], 8080)
    assert not passes(tables, pods["claude-orchestrator"], pods["claude-prometheus"], 9090)
    assert not passes(tables, pods["claude-orchestrator"], OUTSIDE, 443)


def test_the_local_overlay_lets_the_api_server_ask_an_orchestrator_for_its_calls_and_no_pod() -> None:
    policies, pods, namespaces = deployed()
    overlay = yaml.safe_load((overlays.manifests() / "overlays" / "kind" / "kustomization.yaml").read_text())
    patch = next(one["patch"] for one in overlay["patches"] if one["target"]["kind"] == "NetworkPolicy")
    changed = copy.deepcopy(policies)
    changed[0]["spec"]["ingress"] += [one["value"] for one in yaml.safe_load(patch)]
    base, local = (
        [policy.rules(found, list(pods.values()), namespaces, pod.node) for pod in pods.values()]
        for found in (policies, changed)
    )
    # The API server has its node's address.
    asked, server = pods["claude-orchestrator"], "172.30.0.2"
    assert passes(local, server, asked, 9090)
    assert not passes(base, server, asked, 9090)
    assert not passes(local, server, asked, 8080)
    assert not passes(local, pods["claude-tool-router"], asked, 9090)


@pytest.mark.parametrize(
    ("sender", "receiver", "protocol", "port"),
    [("claude-orchestrator", "dns", "udp", 53), ("claude-prometheus", "claude-orchestrator", "tcp", 9090)],
)
def test_the_seed_s_policy_would_cut_off_names_and_metrics(
    sender: str, receiver: str, protocol: str, port: int
) -> None:
    text = (project_root() / "stack" / "seed" / "resource-management.yaml").read_text()
    policies = [item for item in yaml.load_all(text, yaml.CSafeLoader) if item and item["kind"] == "NetworkPolicy"]
    _, pods, namespaces = deployed()
    tables = [policy.rules(policies, list(pods.values()), namespaces, pod.node) for pod in pods.values()]
    assert passes(tables, pods["claude-ecosystem-gateway"], pods["claude-orchestrator"])
    assert not passes(tables, pods[sender], pods[receiver], port, protocol)
