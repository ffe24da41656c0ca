"""Istio's resource definitions, taken from its Go module: a wrong field is then refused by the API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import command
from harness.cluster.build import gobuild
from harness.cluster.cache import Progress, cache_dir, digest
from harness.errors import PreconditionFailed

MODULE, VERSION = "istio.io/api", "v1.27.3"
SUM = "h1:Ek00/+kB0wepYuevSfE0Edh2o5ndEtekmo/Nkx5LIYA="
DEFINITIONS = "kubernetes/customresourcedefinitions.gen.yaml"
WANTED = ("destinationrules.networking.istio.io", "virtualservices.networking.istio.io")


def definitions(progress: Progress) -> list[dict[str, Any]]:
    """Return the two definitions the gateway reads; the module is downloaded once."""
    kept = cache_dir() / "istio" / f"{VERSION}-{digest([], *WANTED)}.json"
    if not kept.exists():
        found = _select(_module(progress) / DEFINITIONS)
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(".new")
        draft.write_text(json.dumps(found))
        draft.replace(kept)
    loaded: list[dict[str, Any]] = json.loads(kept.read_text())
    return loaded


def _module(progress: Progress) -> Path:
    progress(f"fetching {MODULE} {VERSION} for Istio's resource definitions: about 5 s")
    argv = [gobuild.go(progress), "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    folder = cache_dir() / "istio"
    folder.mkdir(parents=True, exist_ok=True)
    answer = json.loads(
        command.ask(argv, deadline=command.DEADLINE_SECONDS, env={"GOWORK": "off", "GOFLAGS": ""}, cwd=folder).stdout
    )
    if answer.get("Sum") != SUM:
        raise PreconditionFailed(
            f"{MODULE} {VERSION} is not the module that was chosen", why=f"its sum is {answer.get('Sum')}, not {SUM}"
        )
    return Path(answer["Dir"])


def _select(path: Path) -> list[dict[str, Any]]:
    by_name = {item["metadata"]["name"]: item for item in yaml.load_all(path.read_text(), yaml.CSafeLoader)}
    return [by_name[name] for name in WANTED]
