"""Pure functions from what a run saw to findings; each can say held, broken or unknown.

The folder is the list: a file that says `OBJECTIVE` is an objective, the others judge what every run owes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from harness.checkers.kind import ObjectiveKind
from harness.model.objective import Objective

__all__ = ["OBJECTIVES", "ObjectiveKind", "reads_calls"]


def _found() -> Mapping[str, ObjectiveKind]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    kinds: list[ObjectiveKind] = [module.OBJECTIVE for module in modules if hasattr(module, "OBJECTIVE")]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.place)}


OBJECTIVES = _found()


def reads_calls(objectives: Iterable[Objective]) -> bool:
    """Say whether any of these is judged by what pods recorded of their calls."""
    return any(one.parameters.get(OBJECTIVES[one.checker].by_calls) for one in objectives)
