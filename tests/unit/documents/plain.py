"""Documents that were not written for us, made of parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.documents.document import Given
from harness.errors import UsageError
from harness.model.experiment import Experiment

PROBE = {"type": "http", "url": "http://127.0.0.1:1/"}
OURS: dict[str, Any] = {"name": "harness", "blast-radius": {"namespaces": ["shop"], "pods": 2}}
PROMISE = {"objectives": {"recovery": {"within": "30s"}}}


def plain(method: Any = None, **top: Any) -> Experiment:
    data = {"title": "x", "description": "x", "method": method or [], **top}
    return document.loads(json.dumps(data), Path("shop/x.json"), given=Given())


def refused(method: Any = None, **top: Any) -> str:
    with pytest.raises(UsageError) as caught:
        plain(method, **top)
    return str(caught.value)


def ours(*method: Any, extension: Any = None, **top: Any) -> dict[str, Any]:
    return {"method": list(method), "extensions": [OURS | PROMISE | (extension or {})], **top}


def step(module: str = "shop.steps", func: str = "act", kind: str = "action", **more: Any) -> dict[str, Any]:
    arguments = more.pop("arguments", {})
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": kind, "name": more.pop("name", func), "provider": provider, **more}


def process(path: str = "true", **provider: Any) -> dict[str, Any]:
    return {"type": "action", "name": "a", "provider": {"type": "process", "path": path, **provider}}


def http(url: str = "http://127.0.0.1:1/", **provider: Any) -> dict[str, Any]:
    return {"type": "probe", "name": "a", "provider": {"type": "http", "url": url, **provider}}


def pods(**arguments: Any) -> dict[str, Any]:
    return step(
        "chaosk8s.pod.actions", "terminate_pods", arguments={"ns": "shop", "label_selector": "app=cart", **arguments}
    )
