"""Every fault by its kind; a kind is imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from harness.faults.reach import Facts, Fault, Reach, Undo

__all__ = ["KINDS", "REGISTRY", "Facts", "Fault", "Reach", "Undo"]

KINDS = (
    "container_kill",
    "node_cordon",
    "node_drain",
    "node_freeze",
    "node_stop",
    "pod_evict",
    "pod_freeze",
    "pod_kill",
)


class _Registry(Mapping[str, Fault]):
    def __getitem__(self, kind: str) -> Fault:
        if kind not in KINDS:
            raise KeyError(kind)
        fault: Fault = importlib.import_module(f"harness.faults.{kind}").FAULT
        return fault

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


REGISTRY: Mapping[str, Fault] = _Registry()
