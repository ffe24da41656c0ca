"""The words all views share, so that terminal, page and summary say the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.checkers import disruption_budget
from harness.model.units import seconds
from harness.model.verdict import Finding, State, Verdict
from harness.report.values import Fault, View

GLYPHS = {State.HELD: "v", State.BROKEN: "x", State.UNKNOWN: "?", State.NOTED: "i"}
VERDICT_GLYPHS = {
    Verdict.PASS: "v", Verdict.DEVIATED: "x", Verdict.DIRTY: "x", Verdict.ABORTED: "!", Verdict.INCONCLUSIVE: "?",
}  # fmt: skip
SIGNS = {"v": "✓", "x": "✗", "?": "?", "!": "!", "i": "i"}
# What a command line may say of a document, each with a value.
GIVEN = ("--var", "--var-file", "--hypothesis-strategy", "--rollback-strategy")
STATE_SIGNS = {state: SIGNS[letter] for state, letter in GLYPHS.items()}


def verdict(view: View) -> str:
    """Return the verdict as one word in capitals."""
    return view.verdict.upper()


def glyph(view: View) -> str:
    """Return the verdict's sign."""
    return VERDICT_GLYPHS.get(view.verdict, "?")  # type: ignore[call-overload, no-any-return]


def sign(view: View) -> str:
    """Return the verdict's sign as a page can show it."""
    return SIGNS[glyph(view)]


def tone(view: View) -> str:
    """Name the page's colours."""
    return view.verdict.lower()


def budget(finding: Finding) -> str:
    """Say how much of the objective's error budget the fault window spent."""
    spent = finding.detail.get("budget_spent")
    return f"{spent:.0%}" if isinstance(spent, int | float) else "-"


def score(view: View) -> str:
    """Say how many promises were broken, unknown or held."""
    total = len(view.objectives)
    if not view.begun:
        return "never begun"
    if not total:
        return "no objective judged"
    if view.broken:
        return f"{view.broken} of {total} broken"
    return f"{view.unknown} of {total} unknown" if view.unknown else f"{total} of {total} held"


def declared(view: View) -> str:
    """Say whether the verdict is the declared one; empty for a plain pass."""
    if not view.finished or (view.right and view.expected in ("", Verdict.PASS)):
        return ""
    return "as declared" if view.right else f"{view.expected or Verdict.PASS} was expected"


def why(view: View) -> str:
    """Say what was seen, and why as far as that is known; empty for a plain pass."""
    return ". Why: ".join(part for part in (view.reason, view.cause) if part)


def evidence(view: View) -> str:
    """Say whether every planned fault was felt and seen healed."""
    if not view.begun:
        return "nothing was touched"
    if not view.faults:
        return "no fault planned"
    seen = sum(fault.felt is not None and fault.healed is not None for fault in view.faults)
    return "evidence complete" if seen == len(view.faults) else f"evidence {seen} of {len(view.faults)}"


def undo(view: View) -> str:
    """Say whether everything that was broken on purpose was seen undone."""
    if view.owed:
        return f"NOT UNDONE: {len(view.owed)}"
    if view.verdict == Verdict.DIRTY:
        return "NOT UNDONE"
    return "undo verified" if view.undo else "nothing to undo"


def fault_state(fault: Fault) -> str:
    """Say in a few words what became of a fault."""
    if fault.trouble:
        return fault.trouble
    if fault.injected is None:
        return "never injected"
    if fault.applied is None:
        return f"cut while being injected, {'not undone' if fault.undone is None else 'undone'}"
    felt = "not felt" if fault.felt is None else f"felt after {seconds(max(0.0, fault.felt - fault.applied))}"
    if fault.healed is None:
        return f"{felt}, {'not seen healed' if fault.undone is not None else 'not undone'}"
    return f"{felt}, healed {seconds(max(0.0, fault.healed - fault.injected))} after injection"


def name(finding: Finding) -> str:
    """Return an objective's name as people say it."""
    return finding.checker.replace("-", " ").replace("_", " ")


def rerun(view: View) -> str:
    """Return the command that runs the same again, on the same cluster."""
    if not view.path:
        return ""
    # Else a path that begins like an option would be taken for one.
    path = f"./{view.path}" if view.path.startswith("-") else view.path
    runs = _way(view, "runs")
    options = [*(["--seed", view.seed] if view.seed else []), *_way(view, "options"), *runs]
    if view.path.partition("::")[0].endswith(".py"):
        words = ["pytest", path, *(re.sub("^--", "--chaos-", word) for word in options)]
    else:
        words = ["harness", "run", path, *options, *_given(view.argv)]
    return " ".join([*_way(view, "variables"), *_way(view, "surroundings"), shlex.join(words)])


def _given(argv: Sequence[str]) -> list[str]:
    """Pick what the command line said of the document itself: without it the same file would mean something else."""
    found: list[str] = []
    # pytest calls them --chaos-var and --chaos-var-file.
    argv = [word.replace("--chaos-", "--", 1) if word.startswith("--chaos-") else word for word in argv]
    for number, word in enumerate(argv):
        if word.partition("=")[0] in GIVEN:
            found += [word] if "=" in word else argv[number : number + 2]
    return found


def heal(view: View) -> str:
    """Return the command that heals what a run left broken, on its cluster."""
    words = ["harness", "undo", *_way(view, "scope"), *_way(view, "options")]
    return " ".join([*_way(view, "variables"), shlex.join(words)])


def about(view: View, verb: str, *options: str, place: str = "") -> str:
    """Return the command that shows this run or draws it again; `place` is its folder, where that is not the run's own.

    A run that was copied or moved still says where it was made.
    """
    named = [f"./{place}" if place.startswith("-") else place, *options] if place else [view.run, *options]
    return shlex.join(["harness", verb, *named, *([] if place else _way(view, "runs"))])


def _way(view: View, part: str) -> list[str]:
    return [str(word) for word in view.way.get(part) or ()]


def clock(view: View, time: float = 0.0) -> str:
    """Return the wall time (UTC) of a moment of the run."""
    return datetime.fromtimestamp(view.started + time, UTC).strftime("%H:%M:%S")


def date(view: View) -> str:
    """Return the day and time (UTC) the run began."""
    return datetime.fromtimestamp(view.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def decided(answer: Mapping[str, Any]) -> str:
    """Say by what an eviction was decided: the budget and its policy, how the pod was, and whether that was guarded."""
    ready = "ready" if answer.get("ready") is True else "not ready" if answer.get("ready") is False else ""
    pod = [answer.get("phase"), ready, "terminating" if answer.get("terminating") else ""]
    observed, generation = _number(answer.get("observed")), _number(answer.get("generation"))
    late = observed is not None and generation is not None and observed < generation
    budget = [answer.get("budget"), answer.get("policy")]
    budget.append(f"not worked out anew: generation {observed} of {generation}" if late else "")
    known = {"phase": str(answer.get("phase"))} | {key: _number(answer.get(key)) for key in ("healthy", "desired")}
    granted = answer.get("status") in disruption_budget.GRANTED
    free = "not guarded by it" if granted and disruption_budget.unguarded({**answer, **known}) else ""
    return "; ".join(filter(None, (", ".join(str(part) for part in some if part) for some in (budget, pod, [free]))))


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
