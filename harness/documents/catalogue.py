"""Write the page of all faults from the faults themselves: `python -m harness.documents.catalogue > docs/faults.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from harness.documents.meaning import exercises
from harness.faults import FAULTS
from harness.faults.kind import FaultKind
from harness.model.fault import Hand
from harness.model.parameter import Parameter

HEAD = """\
# Faults

Each is one file of `harness/faults`, of which this page is made; `harness explain NAME` says the same of one. Every one
of them may be given a `duration`, `times` and `every`, one of pods also `late`. Its undo is on disk, with somebody
else, before its effect.

"""
# Who does it, and so where it can be done.
HANDS = {
    Hand.API: "the API server, anywhere",
    Hand.NODE: "agents, anywhere they are installed",
    Hand.HOST: "the keeper, on the local cluster or one whose nodes it has commands for",
}


def build() -> str:
    """Return the page: a table of all faults, then a section for each."""
    kinds = sorted(FAULTS.values(), key=lambda kind: (kind.target, kind.name))
    rows = [f"| [`{one.name}`](#{one.name}) | {one.target} | {_cell(one.summary)} | {one.hand} |\n" for one in kinds]
    hands = "".join(f"- **{hand}**: {where}\n" for hand, where in HANDS.items())
    table = "| fault | aimed at a | does | by |\n|---|---|---|---|\n" + "".join(rows)
    return f"{HEAD}{hands}\n{table}" + "".join(_section(one) for one in kinds)


def _section(kind: FaultKind) -> str:
    about = "\n".join(kind.about.splitlines()[1:]).strip()
    facts = {
        "felt": kind.evidence,
        "healed": kind.healed_when,
        "exercises": ", ".join(f"`{name}`" for name in sorted(exercises(kind))),
    }
    told = "".join(f"- {name}: {text}\n" for name, text in facts.items() if text)
    return f"\n## {kind.name}\n\n{kind.summary}\n\n{told}{_parameters(kind.parameters)}" + (
        f"\n{about}\n" if about else ""
    )


def _parameters(parameters: Iterable[Parameter]) -> str:
    rows = [f"| `{one.name}` | {one.type} | {_cell(one.summary)} | {one.otherwise} |\n" for one in parameters]
    return "\n| parameter | type | | default |\n|---|---|---|---|\n" + "".join(rows) if rows else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(build())
