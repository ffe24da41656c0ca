"""`harness explain`: what does this word mean, and what do I do about it?"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import click

from harness import errors
from harness.errors import Exit, UsageError
from harness.model.parameter import Parameter
from harness.model.verdict import Verdict

VERDICTS = {
    Verdict.PASS: "Every promise held through the whole fault window; every fault was felt and undone.",
    Verdict.DEVIATED: "An objective or the hypothesis was broken inside the window, beyond its own number.",
    Verdict.INCONCLUSIVE: "Evidence or data is missing: the run proves nothing. The reason names what was missing.",
    Verdict.ABORTED: "A person, the lever, a deadline or a lost lease ended the run; no breach was seen.",
    Verdict.DIRTY: "Something broken on purpose was not seen undone.",
}
# What stands in a verdict's place where there is none; `show`, `runs` and JUnit say it.
UNFINISHED = "UNFINISHED"
UNFINISHED_MEANS = (
    "The run came to no verdict: it goes on, or it died and its journal ends before one.",
    "`harness faults` says whether anything is broken still, `harness undo` heals it; then run it again",
)
OTHER_CODES = {
    Exit.USAGE: "An option, a document or the surroundings are wrong, or a right lacks; what it refused did not begin.",
    Exit.NOTHING_RAN: "There was no experiment to run, or none that was judged.",
    Exit.INTERNAL: "A bug of the harness, or a request that the API server refused, neither for rights nor as busy.",
    Exit.INTERRUPTED: "A run is undone (by the keeper after a second Ctrl-C); another command may be half done.",
}
FIXES = {
    Exit.PASS: "nothing to mend",
    Exit.DEVIATED: "`harness show` names the promise; mend the system, or declare the weakness with `expect`",
    Exit.INCONCLUSIVE: "`harness show` names what was missing; `harness doctor`, then run it again",
    Exit.ABORTED: "`harness show` says who or what ended it; `harness lever off` when it was the lever",
    Exit.USAGE: "mend what the error names; `harness doctor` looks at the surroundings, and names rights that lack",
    Exit.NOTHING_RAN: "`harness list` names the experiments and their sets",
    Exit.DIRTY: "`harness undo`, then `harness doctor`; a failed rollback is mended by hand, `harness show` names it",
    Exit.INTERNAL: "`harness undo` leaves nothing behind; a traceback is a bug",
    Exit.INTERRUPTED: "`harness faults` says whether anything is left; run it again",
}
LISTED = (
    "name a fault, an objective, a row of a report, a verdict, a night's word, an error or an exit code;"
    " `harness explain` lists all"
)
# What every report has a row for besides the objectives.
ROWS = {
    "load": "Whether the load kept its own schedule; unknown when it died, fell behind or could not send what was due.",
    "evidence": "Whether every fault was felt, by evidence from outside it; unknown when one was not.",
    "steps": "Whether every foreign step had an effect: one that failed, matched nothing or was answered with an error"
    " has tested nothing.",
    "uncovered": "What no plan, cap or evidence covers, by step and function; no PASS by the hypothesis alone.",
    "promise": "What a run could be judged by, where that is little: a document's own hypothesis, or nothing at all.",
    "hypothesis": "Whether the steady-state hypothesis held before the first fault and after the recovery.",
    "journal": "Whether everything could be written down; unknown when something could not.",
    "run": "What kept the run from its end or from being judged; unknown.",
    "machine": "How much of the machine's CPU was idle, and what others took of it. Noted, no promise: but one about"
    " time that was broken while others had the machine is unknown.",
}
# What may stand before a word, as in `explain exit code 6`.
TITLES = ("fault", "objective", "row", "verdict", "night", "error", "exit", "code")
# What `target` says besides which.
HOW_MANY = (
    "{0}: 3, {0}: 30% of those that match (rounded down, never to none) or {0}: all; or mode: one, all, fixed,"
    " fixed-percent or random-max-percent with value: 30, as Chaos Mesh writes it; at-once: 1 (default) up to all"
)
# What is not counted is named.
NAMED = {
    "config": "{namespace: shop, config: ConfigMap/settings} or Secret/name; name-* where it ends with a hash, as"
    " kustomize writes it, found by the pods that read it",
    "route": "{namespace: shop, route: VirtualService/cart}, or Service/cart for the one that leads there",
    "component": "{component: kube-apiserver}, etcd, kube-scheduler or kube-controller-manager",
    "namespace": "{namespace: shop}",
}


# What every fault takes, for how long and how often.
COURSE = {
    "duration": "How long it lasts before it is healed, and its step waits until it is; else until the method is over.",
    "times": "How often it is done, each time with targets that are picked anew. (default 1)",
    "every": "How far apart its times begin; later where the last is not healed yet.",
}
# Of pods alone.
LATE = {"late": "true: its targets are picked when its turn comes; a plan cannot name pods that an earlier step makes."}


@click.command("explain")
@click.argument("word", nargs=-1)
def command(word: tuple[str, ...]) -> None:
    """Explain faults, objectives, rows, verdicts, a night's words, errors or codes; with no word list them."""
    if not word:
        click.echo(_overview())
        return
    texts = _texts()
    meant = [one for one in word if one in texts or one.lower() not in TITLES] or word
    found = [_found(one, texts) for one in meant]
    click.echo("\n\n".join(texts[name]() for name in dict.fromkeys(found)))


def _found(asked: str, texts: Iterable[str]) -> str:
    found = asked if asked in texts else next((name for name in texts if name.lower() == asked.lower()), None)
    if found is None:
        near = difflib.get_close_matches(asked, texts, n=3)
        raise UsageError(f"nothing is called {asked!r}", hint=f"did you mean {', '.join(near)}?" if near else LISTED)
    return found


def _texts() -> dict[str, Callable[[], str]]:
    """Return how each word is explained: what a fault says of itself is imported when it is asked for."""
    from harness.checkers import OBJECTIVES
    from harness.faults import FAULTS
    from harness.nightly.state import State

    each: list[tuple[Callable[[str], str], Iterable[str]]] = [
        (_fault, FAULTS),
        (_objective, OBJECTIVES),
        (_row, ROWS),
        (_code, [str(int(code)) for code in Exit]),
        # As `--help` and a report name them; of the names that are verdicts, too, more is known.
        (_named_code, [code.name.replace("_", " ") for code in Exit] + [code.name for code in Exit]),
        (_verdict, map(str, VERDICTS)),
        (_unfinished, [UNFINISHED]),
        (_state, map(str, State)),
        (_error, _errors()),
    ]
    return {name: partial(explained, name) for explained, names in each for name in names}


def _overview() -> str:
    from harness.checkers import OBJECTIVES
    from harness.faults import FAULTS
    from harness.nightly.state import State

    groups: dict[str, Iterable[object]] = {
        "faults": FAULTS,
        "objectives": OBJECTIVES,
        "rows": ROWS,
        "verdicts": [*VERDICTS, UNFINISHED],
        "nights": State,
        "errors": _errors(),
        "exit codes": [int(code) for code in Exit],
    }
    return "\n".join(f"{title:<11} {', '.join(map(str, names))}" for title, names in groups.items())


def _errors() -> dict[str, type[errors.HarnessError]]:
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.HarnessError)
    }


def _row(name: str) -> str:
    from harness.load import written

    text = f"{name}  (a row of every report)\n  {ROWS[name]}"
    if name != "load":
        return text
    return "\n".join([text, "  In a document, `load` says what is sent:", *_table(written.ABOUT, ())])


def _verdict(name: str) -> str:
    verdict = Verdict(name)
    return f"{name}  exit code {int(verdict.exit)}\n  {VERDICTS[verdict]}\n  fix   {FIXES[verdict.exit]}"


def _unfinished(name: str) -> str:
    means, fix = UNFINISHED_MEANS
    return f"{name}  (in place of a verdict)\n  {means}\n  fix   {fix}"


def _named_code(name: str) -> str:
    return _code(str(int(Exit[name.replace(" ", "_")])))


def _state(name: str) -> str:
    from harness.nightly.state import MEANS, State

    return f"{name}  (of an experiment in a night)\n  {MEANS[State(name)]}"


def _code(name: str) -> str:
    code = Exit(int(name))
    means = OTHER_CODES.get(code) or VERDICTS[Verdict(code.name)]
    return f"exit code {name}: {code.name.replace('_', ' ')}\n  {means}\n  fix   {FIXES[code]}"


def _error(name: str) -> str:
    found = _errors()[name]
    return f"{name}  exit code {int(found.exit)}\n  {inspect.getdoc(found)}\n  fix   {FIXES[found.exit]}"


def _fault(name: str) -> str:
    from harness.documents.meaning import exercises
    from harness.faults import FAULTS

    kind = FAULTS[name]
    rows = {"evidence": kind.evidence, "healed": kind.healed_when, "exercises": ", ".join(sorted(exercises(kind)))}
    rows |= {"target": NAMED.get(kind.target) or HOW_MANY.format(f"{kind.target}s"), **COURSE}
    rows |= LATE if kind.target == "pod" else {}
    head = [f"{name}  (hand: {kind.hand}, aimed at a {kind.target})", f"  {kind.summary}"]
    return "\n".join([*head, *_table(rows, kind.parameters), *(f"  {line}" for line in kind.about.splitlines()[1:])])


def _objective(name: str) -> str:
    from harness.checkers import OBJECTIVES

    kind = OBJECTIVES[name]
    rows = {"broken": kind.broken, "unknown": kind.unknown}
    return "\n".join([name, f"  {kind.summary}", *_table(rows, kind.parameters)])


def _table(rows: Mapping[str, str], parameters: Iterable[Parameter]) -> list[str]:
    """Line up what is known of a word with the parameters it takes."""
    rows = dict(rows) | {one.name: one.summary + _otherwise(one) for one in parameters}
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {text}" for name, text in rows.items()]


def _otherwise(parameter: Parameter) -> str:
    said = parameter.otherwise if parameter.required else f"default {parameter.otherwise}"
    return f" ({said})" if parameter.otherwise else ""
