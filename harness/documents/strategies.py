"""Read `runtime`: when the hypothesis is asked, and when the rollbacks are done."""

from __future__ import annotations

from typing import Any

from harness.errors import UsageError
from harness.model.strategy import DEFAULT, HYPOTHESIS, ROLLBACKS
from harness.model.units import shown
from harness.source.closed import Problems, Section, nearest

WHY = "with our extension the hypothesis is asked before the faults and after the recovery, and judged by both"


def read(problems: Problems, top: Section) -> tuple[str, str]:
    """Return the strategy of the hypothesis and that of the rollbacks; the second is empty where none is stated."""
    if top.data.get("runtime") is None:
        return DEFAULT, ""
    runtime = Section(problems, top.data["runtime"], top.at("runtime"), "'runtime'", ("hypothesis", "rollbacks"))
    hypothesis = _strategy(runtime, "hypothesis", HYPOTHESIS) or DEFAULT
    if hypothesis != DEFAULT and not problems.lenient:
        problems.add((*runtime.at("hypothesis"), "strategy"), f"the strategy '{hypothesis}' is not followed", why=WHY)
    return hypothesis, _strategy(runtime, "rollbacks", ROLLBACKS)


def _strategy(runtime: Section, key: str, known: tuple[str, ...]) -> str:
    if runtime.data.get(key) is None:
        return ""
    section = Section(runtime.problems, runtime.data[key], runtime.at(key), f"'{key}'", ("strategy",))
    value: Any = section.data.get("strategy")
    if value is None:
        return ""
    if value not in known:
        runtime.problems.add(section.at("strategy"), f"{shown(value)} is no strategy", hint=nearest(str(value), known))
        return ""
    return str(value)


def chosen(strategy: str, stated: str, *, promising: bool, where: str) -> str:
    """Return the hypothesis' strategy where a command line may state one (empty: none); raises UsageError."""
    if not strategy:
        return stated
    if promising and strategy != DEFAULT:
        raise UsageError(f"the strategy '{strategy}' is not followed", where=where, why=WHY)
    return strategy
