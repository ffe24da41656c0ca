"""The values that the runner of a Litmus pod-delete is given; one that it does not know is a problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.model import units
from harness.source.closed import Problems
from harness.source.lines import Place

# What its runner takes where a value is empty or left out.
DEFAULTS = {
    "TOTAL_CHAOS_DURATION": "30",
    "CHAOS_INTERVAL": "10",
    "FORCE": "false",
    "PODS_AFFECTED_PERC": "0",
    "SEQUENCE": "parallel",
    "RAMP_TIME": "0",
    "RANDOMNESS": "false",
    "DEFAULT_HEALTH_CHECK": "true",
    "STATUS_CHECK_TIMEOUT": "180",
}
# Of its own machinery, or of how it reports; nothing that a pod would feel.
MACHINERY = (
    "LIB", "CHAOS_LIB", "LIB_IMAGE", "LIB_IMAGE_PULL_POLICY", "CHAOS_NAMESPACE", "CHAOS_SERVICE_ACCOUNT", "CHAOSENGINE",
    "INSTANCE_ID", "STATUS_CHECK_DELAY", "TERMINATION_GRACE_PERIOD_SECONDS",
)  # fmt: skip
REFUSED = {
    "TARGET_PODS": ("pods are picked by label: a name is another one tomorrow", "--selector, or included-pod-names"),
    "NODE_LABEL": ("pods are not picked by their nodes' labels", "take it out, or pick the pods by a label of theirs"),
    "KILL_COUNT": ("newer versions of Litmus do not know it either", "PODS_AFFECTED_PERC"),
}


@dataclass(slots=True)
class Values:
    """The values that the runner would be given, each with its place; `problems` are those of the file."""

    problems: Problems
    given: dict[str, tuple[str, Place]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    place: Place = ()

    def text(self, name: str) -> str:
        """Return a value, or what the runner takes without one."""
        return self.given.get(name, ("", self.place))[0] or DEFAULTS.get(name, "")

    def refuse(self, name: str, why: str, hint: str = "") -> None:
        """Note that a value cannot be honoured."""
        self.problems.add(self.given.get(name, ("", self.place))[1], f"{name}: {why}", hint=hint)

    def whole(self, name: str, most: int) -> int:
        """Read a whole number of at most so much."""
        text = self.text(name)
        if not text.isdecimal() or int(text) > most:
            self.refuse(name, f"{units.shown(text)} is not a whole number up to {most}")
            return 0
        return int(text)

    def flag(self, name: str) -> bool:
        """Read true or false."""
        text = self.text(name).lower()
        if text not in ("true", "false"):
            self.refuse(name, f"{units.shown(text)} is not true or false")
        return text == "true"


def variables(values: Values, listed: Any, place: Place, *, told: bool = True) -> None:
    """Read the variables of a container; those that are not `told` stand elsewhere, and have `place` for theirs."""
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        where = (*place, number) if told else place
        if not isinstance(one, dict) or "name" not in one:
            continue
        name, value = str(one["name"]), one.get("value")
        if "valueFrom" in one:
            values.problems.add(where, f"what {name} holds is not known here", hint="write its value")
            continue
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if name in REFUSED and text:
            why, hint = REFUSED[name]
            values.problems.add(where, f"{name}={text} cannot be honoured", why=why, hint=hint)
        elif name in MACHINERY:
            if text:
                values.notes.append(f"Not taken over: {name}, which is about how Litmus runs.")
        elif name in DEFAULTS:
            values.given[name] = (text, where)
        elif name not in REFUSED:
            values.problems.add(where, f"{name} is not known", why="what is passed over would be lost in silence")
