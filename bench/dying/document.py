"""Write a document for any fault there is: its required parameters get an example by their type, the rest stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.dying.workload import APP, KEY, REPLICAS, SELECTOR, TLS_PORT
from harness.errors import UsageError
from harness.faults import FaultKind
from harness.model.parameter import Parameter

RECOVERY = "60s"
# The rest of the stack may be on its way back from what was done before.
SETTLE = "300s"
# By the words that a type has for `harness explain`; a type that is new here is a fault without a document.
EXAMPLES: Mapping[str, Callable[[Parameter], Any]] = {
    "duration": lambda one: f"{max(one.minimum or 0.0, 0.2):g}s",
    "whole number": lambda one: max(int(one.minimum or 0), 1),
    "number": lambda one: max(one.minimum or 0.0, 1.0),
    "ratio": lambda _: "50%",
    "true or false": lambda _: True,
    "text": lambda one: next(iter(getattr(one, "choices", ())), KEY),
    # The one whose effect lasts.
    "signal": lambda _: "STOP",
    "bandwidth": lambda _: "1Mbit/s",
    "list of networks": lambda _: ["0.0.0.0/0"],
    # Everyone, so that the kubelet's probes meet it.
    "list of peers": lambda _: ["0.0.0.0/0"],
    "list of addresses": lambda _: ["192.0.2.1"],
    "list of ports": lambda _: [8080],
    "list of names": lambda _: ["example.com"],
}
TARGETS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "pod": lambda namespace: {"namespace": namespace, "selector": SELECTOR, "pods": 1},
    "node": lambda namespace: {"nodes": 1, "hosting": f"{namespace}/{SELECTOR}"},
    "zone": lambda namespace: {"zones": 1, "hosting": f"{namespace}/{SELECTOR}"},
    "workload": lambda namespace: {"namespace": namespace, "selector": SELECTOR, "workloads": 1},
    "config": lambda namespace: {"namespace": namespace, "config": f"ConfigMap/{APP}"},
    "route": lambda namespace: {"namespace": namespace, "route": f"VirtualService/{APP}"},
    "component": lambda _: {"component": "kube-scheduler"},
    "namespace": lambda namespace: {"namespace": namespace},
}
# What only one thing can have, of the cluster or of the victims, and what it must be told then.
ONLY: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "apiserver_latency": lambda _: {"component": "kube-apiserver"},
    "dns_loss": lambda _: {"namespace": "kube-system", "selector": "k8s-app=kube-dns", "workloads": 1},
    "certificate_expiry": lambda namespace: {"namespace": namespace, "config": f"Secret/{APP}"},
}
TOLD: Mapping[str, Mapping[str, Any]] = {
    "certificate_expiry": {"service": APP, "port": TLS_PORT},
    # Nobody calls the web servers by a proxy, and most of these documents have no load.
    "http_abort": {"callers": "others"},
    "http_delay": {"callers": "others"},
    # It ends by itself: as late as it can.
    "component_pause": {"lasts": "7s"},
}
# A node goes with whatever is on it, a zone of the local cluster is one node; anything else is one's own.
WHOLE = {"nodes": 1, "pods": 200}
CAPS: Mapping[str, Mapping[str, int]] = {"pod": {"pods": 1}, "node": WHOLE, "zone": WHOLE}
OWN = {"pods": REPLICAS}


def written(
    kind: FaultKind,
    namespace: str,
    reached: Sequence[str],
    hold: float,
    load: Mapping[str, Any] | None = None,
) -> str:
    """Return a document that holds one fault of a kind for some seconds.

    `reached` are the namespaces that a fault of a node or a zone reaches, too. Raises UsageError for a kind of target
    or parameter that has no example here.
    """
    target = _target(kind, namespace)
    beside = reached if kind.target in ("node", "zone") else ()
    namespaces = sorted({namespace, *beside, target.get("namespace", namespace)})
    provider = {
        "type": "python",
        "module": "harness.chaostoolkit.actions",
        "func": kind.name,
        "arguments": {"target": target, **_parameters(kind)},
    }
    extension = {
        "name": "harness",
        "phases": {"settle": SETTLE, "baseline": "0s", "hold": f"{hold:g}s", "recovery": RECOVERY},
        "objectives": {"recovery": {"within": RECOVERY}},
        "blast-radius": {"namespaces": namespaces, **CAPS.get(kind.target, OWN)},
    } | ({"load": load} if load else {})
    document = {
        "title": f"{kind.name} is undone",
        "description": "Holds one fault; whatever dies meanwhile, it must be undone.",
        "method": [{"type": "action", "name": "break", "provider": provider}],
        "extensions": [extension],
    }
    return json.dumps(document, indent=1)


def _target(kind: FaultKind, namespace: str) -> Mapping[str, Any]:
    if kind.name in ONLY:
        return ONLY[kind.name](namespace)
    if kind.target not in TARGETS:
        raise UsageError(f"there is no example of a target of kind {kind.target}", hint=f"TARGETS in {__name__}")
    return TARGETS[kind.target](namespace)


def _parameters(kind: FaultKind) -> dict[str, Any]:
    found = dict(TOLD.get(kind.name, {}))
    for one in kind.parameters:
        if one.required and one.name not in found:
            if str(one.type) not in EXAMPLES:
                raise UsageError(f"there is no example of a {one.type}", hint=f"EXAMPLES in {__name__}")
            found[one.name] = EXAMPLES[str(one.type)](one)
    return found
