"""Read the arguments of chaoskube as an experiment with a schedule, flag by flag.

Read after chaoskube's own source. It takes any pod that runs, by chance; ours takes pods that are ready, by owner and
zone, and a seed says which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.documents import schedule as schedules
from harness.documents import target as targets
from harness.documents.imports import shape
from harness.documents.imports.flags import Flags, arguments, environment
from harness.documents.imports.wanted import Wanted
from harness.model import units
from harness.source.closed import Problems
from harness.source.lines import Place

# A pod that was killed must be back, whoever killed it; no other promise can be read from such a file.
OBJECTIVES = {"recovery": {"within": "60s"}}
# How it speaks changes nothing that it does.
SPEECH = ("log-format", "log-caller", "debug")
REFUSED = {
    "slack-webhook": ("nobody is notified by the harness", "`schedule.jsonl` and the runs say what was done"),
    "metrics-address": ("the harness serves no metrics", "`schedule.jsonl` and the runs say what was done"),
    "kubeconfig": ("which cluster is a word of the command's", "harness schedule --kubeconfig FILE --context NAME"),
    "master": ("which cluster is a word of the command's", "harness schedule --context NAME"),
}
GO_DURATION = re.compile(r"[+]?((\d+(\.\d+)?)(ns|us|µs|ms|s|m|h))+|0")
NOTHING = re.compile(r"-.+|0[a-z]*")


def means(data: Mapping[str, Any]) -> bool:
    """Say whether an object runs chaoskube."""
    return any(True for _ in _containers(data))


def _containers(data: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    spec: Any = data.get("spec")
    place: Place = ("spec",)
    # A Pod has it at once, a Deployment in its template, a CronJob in the template of its Jobs.
    for key in ("jobTemplate", "template"):
        if isinstance(spec, dict) and isinstance(spec.get(key), dict):
            spec, place = spec[key].get("spec"), (*place, key, "spec")
            if key == "jobTemplate" and isinstance(spec, dict) and isinstance(spec.get("template"), dict):
                spec, place = spec["template"].get("spec"), (*place, "template", "spec")
                break
    listed = spec.get("containers") if isinstance(spec, dict) else None
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, dict) and re.search(r"(^|/)chaoskube([:@]|$)", str(one.get("image", ""))):
            yield (*place, "containers", number), one


def read(problems: Problems, data: Mapping[str, Any], wanted: Wanted) -> tuple[str, dict[str, Any], list[str]]:
    """Return the name, the document and the notes of a workload that runs chaoskube; problems are noted."""
    place, container = next(_containers(data))
    name = shape.name(data) or "chaoskube"
    flags = Flags(problems)
    environment(flags, container.get("env"), (*place, "env"))
    for key in ("command", "args"):
        arguments(flags, container.get(key), (*place, key))
    for flag, (why, hint) in REFUSED.items():
        if flag in flags.given and flags.given[flag][0]:
            problems.add(flags.given[flag][1], f"--{flag} cannot be honoured", why=why, hint=hint)
    flags.notes += [f"Not taken over: --{flag}, which is about its log." for flag in SPEECH if flag in flags.given]
    return name, _document(flags, name, place, wanted), [_command(flags, name), *flags.notes]


def _document(flags: Flags, name: str, place: Place, wanted: Wanted) -> dict[str, Any]:
    target, count = _target(flags, place, wanted), flags.read("max-kill", _count, 1)
    grace = flags.read("grace-period", _grace, None)
    if count > 1:
        flags.notes.append(
            f"Where fewer than {count} pods match, chaoskube takes those; ours is INCONCLUSIVE then, and touches none."
        )
    arguments = {"target": {**target, "pods": count, **({"at-once": "all"} if count > 1 else {})}}
    arguments |= {} if grace is None else {"grace": grace}
    extension = {
        "schedule": _schedule(flags),
        "phases": {"baseline": "0s"},
        "objectives": {**OBJECTIVES},
        "blast-radius": {"namespaces": [*target["namespaces"]], "pods": count},
    }
    some = "one pod" if count == 1 else f"{count} pods"
    title = f"{some[0].upper()}{some[1:]} that opted in" if "annotations" in target else f"{name} kills {some}"
    description = f"Deletes {some}, as {name} was told to; the workload has what it lost again within a minute."
    return shape.document(title, description, f"kill {some}", arguments, extension)


def _schedule(flags: Flags) -> dict[str, Any]:
    found: dict[str, Any] = {"every": flags.read("interval", _every, "10m")}
    found["timezone"] = flags.read("timezone", _zone, "UTC")
    for key, reader in (
        ("excluded-weekdays", schedules.weekday),
        ("excluded-times-of-day", schedules.time_of_day),
        ("excluded-days-of-year", schedules.day_of_year),
    ):
        if parts := flags.listed(key, reader):
            found[key] = parts
    return found


def _target(flags: Flags, place: Place, wanted: Wanted) -> dict[str, Any]:
    found: dict[str, Any] = {"namespaces": _namespaces(flags, place, wanted)}
    if labels := flags.read("labels", _selector, ""):
        found["selector"] = labels
    if annotations := flags.read("annotations", _selector, ""):
        found["annotations"] = annotations
    if kinds := flags.listed("kinds", targets.kind):
        found["kinds"] = kinds
    for key in ("included-pod-names", "excluded-pod-names"):
        if pattern := flags.read(key, _pattern, ""):
            found[key] = pattern
    if not any(key in found for key in targets.PICKING):
        # Said as what it is: any pod of these namespaces.
        found["included-pod-names"] = ".*"
    if age := flags.read("minimum-age", _age, ""):
        found["minimum-age"] = age
    return found


def _namespaces(flags: Flags, place: Place, wanted: Wanted) -> list[str]:
    """Name the namespaces; ours are named one by one, where chaoskube takes all that there are."""
    hint = "--namespace NAME, once for each namespace that may be touched"
    why = "a run names each namespace that it may touch"
    names: list[str] = flags.listed("namespaces", _namespace)
    scope = flags.read("client-namespace-scope", _namespace, "")
    labels, at = flags.given.get("namespace-labels", ("", place))
    left_out = [name[1:] for name in names if name.startswith("!")]
    stated = [name for name in names if not name.startswith("!")] or ([scope] if scope else [])
    named = [name for name in stated if name not in left_out and scope in ("", name)]
    if labels and not wanted.namespaces:
        flags.problems.add(at, f"--namespace-labels={labels} cannot be honoured", why=why, hint=hint)
    elif labels:
        flags.notes.append(f"--namespace-labels={labels} is not looked at: the namespaces below are named.")
    at = next((flags.given[one][1] for one in ("namespaces", "client-namespace-scope") if one in flags.given), place)
    if not stated and not wanted.namespaces and not labels:
        flags.problems.add(at, "chaoskube would take pods of every namespace", why=why, hint=hint)
    found = [name for name in wanted.namespaces or named if name not in left_out]
    alone = [name for name in found if stated and name not in named]
    if alone or not found:
        for name in (alone or wanted.namespaces or stated)[:1]:
            flags.problems.add(at, f"chaoskube leaves namespace {name!r} alone")
    return found


def _command(flags: Flags, name: str) -> str:
    dry = flags.read("dry-run", _flag, True)
    limit = flags.read("max-runtime", _duration_or_none, "")
    words = [
        "harness schedule",
        f"{name}.yaml",
        *(["--dry-run"] if dry else []),
        *([f"--for {limit}"] if limit else []),
    ]
    return f"Run it with: {' '.join(words)}"


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise ValueError(f"{units.shown(text)} is not true or false")
    return text.lower() in ("true", "1", "t")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{units.shown(text)} is not a count of at least 1")
    return int(text)


def _duration(text: str) -> str:
    """Read a duration as Go writes it, which ours is, too, but for micro- and nanoseconds."""
    if not GO_DURATION.fullmatch(text):
        raise ValueError(f"{units.shown(text)} is not a duration")
    found = text.lstrip("+")
    units.duration(0 if found == "0" else found)
    return found


def _every(text: str) -> str:
    found = _duration(text)
    units.bounded(units.duration, schedules.LONGEST_SECONDS, schedules.SHORTEST_SECONDS)(found)
    return found


def _age(text: str) -> str:
    return "" if NOTHING.fullmatch(text) else _duration(text)


def _duration_or_none(text: str) -> str:
    return "" if text.startswith("-") else _duration(text)


def _grace(text: str) -> int | None:
    """Read seconds of grace; a negative duration is the pod's own."""
    if text.startswith("-"):
        return None
    seconds = units.duration(0 if _duration(text) == "0" else text)
    if seconds != int(seconds):
        raise ValueError(f"{units.shown(text)} is not a whole number of seconds, which grace is")
    return int(seconds)


def _zone(text: str) -> str:
    if text in ("Local", ""):
        raise ValueError("the zone of whatever machine it runs on is no zone that a document can name")
    return schedules.timezone(text)


def _selector(text: str) -> str:
    return targets.selector(text) if text else ""


def _pattern(text: str) -> str:
    return targets.pattern(text) if text else ""


def _namespace(text: str) -> str:
    return targets.namespace(text.removeprefix("!"))
