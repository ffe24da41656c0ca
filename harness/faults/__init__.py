"""Every fault by its name: the folder is the list, a file `<target>_<effect>.py` is a fault."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from harness.faults.kind import FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand

__all__ = ["FAULTS", "FaultKind"]


def _found() -> Mapping[str, FaultKind]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if "_" in module.name]
    kinds: list[FaultKind] = [importlib.import_module(f"{__name__}.{name}").FAULT for name in names]
    return {kind.name: kind for kind in sorted(kinds, key=_place)}


def _place(kind: FaultKind) -> tuple[object, ...]:
    """Order pods before all else, what is over at once before what lasts, by its hand, and what is abrupt first."""
    orderly = Disturbance.ABRUPT not in kind.disturbs
    return (kind.target != "pod", kind.target, not kind.instant, list(Hand).index(kind.hand), orderly, kind.name)


FAULTS = _found()
