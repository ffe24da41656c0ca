"""The shapes of both sides: a foreign file may hold anything anywhere, what is made of it has one frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.documents.control import CONTROLS
from harness.documents.provider import ACTIONS


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def name(data: Mapping[str, Any]) -> str:
    """Return the name of an object; empty where it has none."""
    return str(mapping(data.get("metadata")).get("name") or "")


def document(
    title: str, description: str, step: str, arguments: Mapping[str, Any], extension: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an experiment whose one step kills pods, its keys in the order in which a person reads them.

    `arguments` are the fault's, `extension` is what ours says besides its name.
    """
    provider = {"type": "python", "module": ACTIONS, "func": "pod_kill", "arguments": arguments}
    return {
        "title": title,
        "description": description,
        "controls": [{"name": "harness", "provider": {"type": "python", "module": CONTROLS}}],
        "method": [{"type": "action", "name": step, "provider": provider}],
        "rollbacks": [],
        "extensions": [{"name": "harness", **extension}],
    }
