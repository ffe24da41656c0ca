"""Tell steps that act from steps that look, and read as faults of ours those that mean one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.documents import translate
from harness.documents.translate import NodeChoice, Untranslatable, chaosk8s
from harness.model.fault import FaultSpec

# What every driver calls the module of its functions that change something; the document may call them a probe.
ACTING = "actions"
# What a request asks a server to change; one that is posted may as well ask a question.
CHANGING = ("PUT", "PATCH", "DELETE")


def function(provider: Mapping[str, Any]) -> str:
    """Name what a provider calls, as a person would look it up."""
    match provider.get("type"):
        case "python":
            return f"{provider.get('module')}.{provider.get('func')}"
        case "process":
            return f"{translate.PROCESS}{provider.get('path')}"
        case "http":
            return f"http {provider.get('method', 'GET')} {provider.get('url')}"
    return "nothing"


def acts(kind: str, provider: Mapping[str, Any]) -> bool:
    """Say whether a step changes something, whatever it calls itself."""
    if kind == "action":
        return True
    match provider.get("type"):
        case "python":
            return str(provider.get("module")).rpartition(".")[2] == ACTING
        case "process":
            return translate.change(str(provider.get("path")), provider.get("arguments"))
        case "http":
            return str(provider.get("method")).upper() in CHANGING
    return False


def reads_as(provider: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> FaultSpec | NodeChoice | None:
    """Read a step as a fault of ours, or as the end of one; None for a function that has no counterpart.

    Raises Untranslatable for arguments that cannot be meant.
    """
    called = function(provider)
    return translate.step(called, name, arguments) if known(provider) else None


def known(provider: Mapping[str, Any]) -> bool:
    """Say whether a provider's function has a counterpart here."""
    return translate.known(function(provider))


def namespaces(called: str, arguments: Any) -> tuple[str, ...]:
    """Name the namespaces a foreign step acts in, as far as that is known."""
    return translate.namespaces(called, arguments)


def chosen(provider: Mapping[str, Any], arguments: Mapping[str, Any]) -> NodeChoice | None:
    """Say which nodes a translated step picks; None when it picks none."""
    try:
        return chaosk8s.choice(arguments) if function(provider).startswith("chaosk8s.node.") else None
    except Untranslatable:
        return None
