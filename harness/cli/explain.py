"""`harness explain`: what does this word mean, and what do I do about it?"""

from __future__ import annotations

import difflib
import inspect

import click

from harness import errors
from harness.errors import Exit, UsageError
from harness.model.verdict import Verdict

VERDICTS = {
    Verdict.PASS: "Every promise held through the whole fault window; every fault was felt and undone.",
    Verdict.DEVIATED: "An objective or the hypothesis was broken inside the window, beyond its own number.",
    Verdict.INCONCLUSIVE: "Evidence or data is missing: the run proves nothing. The reason names what was missing.",
    Verdict.ABORTED: "A person, the lever, a deadline or a lost lease ended the run; no breach was seen.",
    Verdict.DIRTY: "Something broken on purpose was not seen undone. Run `harness undo`, then `harness doctor`.",
}


@click.command("explain")
@click.argument("word", nargs=-1)
def command(word: tuple[str, ...]) -> None:
    """Explain a fault, an objective, a verdict, an error or an exit code; without a word, list them all."""
    from harness.model.catalogue import FAULTS, OBJECTIVES

    texts: dict[str, str] = {name: _fault(name) for name in FAULTS}
    texts |= {name: _objective(name) for name in OBJECTIVES}
    texts |= {
        verdict.value: f"{verdict}  exit code {int(verdict.exit)}\n  {text}" for verdict, text in VERDICTS.items()
    }
    texts |= {str(int(code)): f"exit code {int(code)}: {code.name.replace('_', ' ')}" for code in Exit}
    texts |= {
        name: f"{name}  exit code {int(found.exit)}\n  {inspect.getdoc(found)}"
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.HarnessError)
    }
    if not word:
        for title, names in (("faults", FAULTS), ("objectives", OBJECTIVES), ("verdicts", VERDICTS)):
            click.echo(f"{title:<11} {', '.join(str(name) for name in names)}")
        click.echo(f"exit codes  {', '.join(str(int(code)) for code in Exit)}")
        return
    asked = word[-1]
    if asked not in texts:
        near = difflib.get_close_matches(asked, texts, n=3)
        raise UsageError(
            f"nothing is called {asked!r}", hint=f"did you mean {', '.join(near)}?" if near else "harness explain"
        )
    click.echo(texts[asked])


def _fault(name: str) -> str:
    from harness.faults import REGISTRY
    from harness.model.catalogue import FAULTS

    kind = FAULTS[name]
    lines = [f"{name}  (hand: {kind.hand}, aimed at a {kind.target})", f"  {kind.summary}"]
    lines += [f"  evidence   {kind.evidence}", f"  healed     {kind.healed}"]
    lines += [f"  exercises  {', '.join(sorted(kind.exercises))}"]
    lines += [f"  {item.name:<10} {item.summary} (default {item.default})" for item in kind.parameters]
    policy = inspect.getdoc(type(REGISTRY[name])) or ""
    return "\n".join([*lines, *(f"  {line}" for line in policy.splitlines()[1:])])


def _objective(name: str) -> str:
    from harness.model.catalogue import OBJECTIVES

    kind = OBJECTIVES[name]
    lines = [f"{name}", f"  {kind.summary}", f"  broken     {kind.broken}", f"  unknown    {kind.unknown}"]
    return "\n".join(lines + [f"  {item.name:<14} {item.summary} (default {item.default})" for item in kind.parameters])
