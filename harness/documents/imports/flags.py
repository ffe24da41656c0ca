"""The flags that chaoskube is given, by its arguments and its variables; a word that it does not know is a problem."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.model import units
from harness.source.closed import Problems, nearest
from harness.source.lines import Place

# As its parser takes them: a switch has no value of its own.
SWITCHES = ("dry-run", "debug", "log-caller")
FLAGS = (
    "interval", "labels", "annotations", "kinds", "namespaces", "namespace-labels", "included-pod-names",
    "excluded-pod-names", "excluded-weekdays", "excluded-times-of-day", "excluded-days-of-year", "timezone",
    "max-runtime", "max-kill", "minimum-age", "grace-period", "dry-run", "log-format", "log-caller", "debug",
    "slack-webhook", "metrics-address", "client-namespace-scope", "kubeconfig", "master",
)  # fmt: skip
# Words that are no flags of chaoskube's and found in files all the same, with the flag that is meant.
MEANT = {
    "exclude-weekdays": "excluded-weekdays",
    "exclude-times-of-day": "excluded-times-of-day",
    "exclude-days-of-year": "excluded-days-of-year",
    "annotation-selector": "annotations",
    "label-selector": "labels",
    "log-level": "log-format",
}
VARIABLE = re.compile(r"CHAOSKUBE_([A-Z_]+)")


@dataclass(slots=True)
class Flags:
    """The flags that were given, each with its value and its place; the last one counts, as it does there."""

    problems: Problems
    given: dict[str, tuple[str, Place]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def read(self, name: str, reader: Callable[[str], Any], default: Any) -> Any:
        """Read one flag's value; what the reader refuses is a problem."""
        if name not in self.given:
            return default
        text, place = self.given[name]
        try:
            return reader(text)
        except ValueError as error:
            self.problems.add(place, f"--{name}: {error}")
            return default

    def listed(self, name: str, reader: Callable[[str], Any]) -> list[str]:
        """Return the parts of a flag that lists several, each as it stands; one that cannot be read is a problem."""

        def parts(text: str) -> list[str]:
            found = [part.strip() for part in text.split(",") if part.strip()]
            for part in found:
                reader(part)
            return found

        found: list[str] = self.read(name, parts, [])
        return found


def environment(flags: Flags, listed: Any, place: Place) -> None:
    """Read the variables of a container that stand for flags."""
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        match = VARIABLE.fullmatch(str(one.get("name"))) if isinstance(one, dict) else None
        if not match:
            continue
        if "value" not in one:
            flags.problems.add((*place, number), f"what {match[0]} holds is not known here", hint="write its value")
            continue
        _note(flags, match[1].lower().replace("_", "-"), str(one["value"]), (*place, number, "value"))


def arguments(flags: Flags, listed: Any, place: Place) -> None:
    """Read the arguments of a container; a flag goes before its variable, so these come last."""
    words = [(str(word), (*place, number)) for number, word in enumerate(listed if isinstance(listed, list) else [])]
    while words:
        word, at = words.pop(0)
        if not word.startswith("--"):
            if not word.endswith("chaoskube"):
                flags.problems.add(at, f"{units.shown(word)} is no flag")
            continue
        name, equals, value = word[2:].partition("=")
        if name.startswith("no-") and name[3:] in SWITCHES:
            name, equals, value = name[3:], "=", "false"
        switch = MEANT.get(name, name) in SWITCHES
        if not equals and switch:
            value = "true"
        elif not equals and words:
            value, _ = words.pop(0)
        elif not equals:
            flags.problems.add(at, f"--{name} needs a value")
            continue
        _note(flags, name, value, at)


def _note(flags: Flags, name: str, value: str, place: Place) -> None:
    meant = MEANT.get(name, name)
    if meant not in FLAGS:
        flags.problems.add(place, f"chaoskube has no flag --{name}", hint=nearest(name, FLAGS))
        return
    if meant != name:
        flags.notes.append(f"--{name} is no flag of chaoskube's, which does not start with it; read as --{meant}.")
    flags.given[meant] = (value, place)
