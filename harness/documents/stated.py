"""The document as it stands: what it claims to be, what its references mean, what the process that runs it is given."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents import control
from harness.model.experiment import Activity

NAME = "harness"
HYPOTHESIS = "steady-state-hypothesis"
Document = Mapping[str, Any]
KUBERNETES = re.compile(r"kube|k8s|istio|helm|openshift|\boc\b", re.IGNORECASE)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'\\]*", re.IGNORECASE)


def claims(data: Document) -> bool:
    """Say whether a document claims to have our extension: by its name, by one so like it, or by our control.

    One that was written as a mapping instead of a list claims it, too: its caps must not be passed over.
    """
    listed = data.get("extensions")
    if isinstance(listed, dict):
        names = [*listed, listed.get("name")]
    else:
        names = [one.get("name") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if any(isinstance(name, str) and difflib.get_close_matches(name, (NAME,), n=1, cutoff=0.8) for name in names):
        return True
    return any(control.ours(one) for one in _listed(data.get("controls")))


def named(data: Document) -> dict[str, Document]:
    """Find the activities that others may refer to by name: those of the method, and the hypothesis' before these."""
    hypothesis = data.get(HYPOTHESIS)
    probes = hypothesis.get("probes") if isinstance(hypothesis, dict) else None
    found: dict[str, Document] = {}
    for one in [*_listed(data.get("method")), *_listed(probes)]:
        if isinstance(one, dict) and isinstance(one.get("name"), str) and "ref" not in one:
            found[one["name"]] = one
    return found


def replaced(data: Document, configuration: Document, secrets: Document) -> dict[str, Any]:
    """Return the document with values of the command line in place of those that it states under the same name."""
    found = dict(data)
    for key, values in (("configuration", configuration), ("secrets", secrets)):
        section = data.get(key)
        if values and isinstance(section, dict):
            found[key] = {name: values.get(name, value) for name, value in section.items()}
    return found


def document(data: Document, probes: Sequence[Activity]) -> dict[str, Any]:
    """Return the document as Chaos Toolkit's own functions take it: without our control, references written out."""
    found = {key: value for key, value in data.items() if value is not None and key not in ("runtime", "dry")}
    for key in ("method", "rollbacks", "controls"):
        found[key] = [filled(one) for one in _listed(data.get(key))]
    found["controls"] = [one for one in found["controls"] if not control.ours(one)]
    hypothesis = data.get(HYPOTHESIS)
    if isinstance(hypothesis, dict):
        found[HYPOTHESIS] = {**hypothesis, "probes": [dict(probe.stated) for probe in probes]}
        found[HYPOTHESIS]["controls"] = [filled(one) for one in _listed(hypothesis.get("controls"))]
    return found


def filled(part: Any) -> Any:
    """Return an activity or a control without keys that say nothing: Chaos Toolkit takes them for values."""
    if not isinstance(part, dict):
        return part
    found = {key: value for key, value in part.items() if value is not None}
    provider, controls = found.get("provider"), found.get("controls")
    if isinstance(provider, dict):
        found["provider"] = {key: value for key, value in provider.items() if value is not None}
    if isinstance(controls, list):
        found["controls"] = [filled(one) for one in controls]
    return found


def of_kubernetes(data: Document) -> bool:
    """Say whether what a document calls, or the secrets it calls it with, speak of Kubernetes.

    A server that is asked by its address is none of the run's cluster, whatever it is called.
    """
    called = [one for one in _providers(data) if not isinstance(one, dict) or one.get("type") != "http"]
    text = json.dumps([called, data.get("secrets")], default=str)
    return bool(KUBERNETES.search(ADDRESS.sub("", text)))


def _providers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        own = [value["provider"]] if "provider" in value else []
        return own + [one for item in value.values() for one in _providers(item)]
    return [one for item in value for one in _providers(item)] if isinstance(value, list) else []


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []
