"""Put into words what explains a group of operations: their count first, then what happened, where and since when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.checkers import series
from harness.checkers.cause.blame import Group
from harness.checkers.cause.clues import SEEN_AFTER, Clues, Pace, Span, spans, workload
from harness.model.history import Operation
from harness.model.units import percent, seconds

OUTCOMES = {
    "timeout": "timed out",
    "connect-failure": "found nobody",
    "reset": "were cut off",
    "server-error": "met an error",
    "overloaded": "were refused for want of room",
}


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be explained: operations that failed, or were slower than `limit`, and the window they are of."""

    operations: Sequence[Operation]
    window: tuple[float, float]
    limit: float | None = None


def text(group: Group, matter: Matter, known: Clues, *, first: bool) -> str:
    """Say what explains a group; the first clause of a sentence says of how many, too."""
    count = counted(group, matter) if first else str(group.count)
    words = _WORDS[group.kind](group, matter, known)
    single = group.count == 1 and words.startswith("were ")
    return f"{count} {'was ' + words.removeprefix('were ') if single else words}"


def counted(group: Group, matter: Matter) -> str:
    """Say how many of all operations a group holds."""
    every = len(matter.operations)
    noun, than = ("failure", "") if matter.limit is None else ("operation", f" slower than {seconds(matter.limit)}")
    if every == 1:
        return f"the only {noun}{than}"
    return f"{'all' if group.count == every else f'{group.count} of'} {every} {noun}s{than}"


def unexplained(groups: Sequence[Group], matter: Matter) -> str:
    """Say what was seen of operations that nothing explains."""
    every = len(matter.operations)
    some = f"{every} operation{'s' * (every > 1)}"
    if matter.limit is not None:
        told = [f"{group.count} {group.about}" for group in groups if group.about]
        return f"{some} took longer than {seconds(matter.limit)}{evidence(*told)}"
    if groups[0].count == every:
        return f"{some} failed {groups[0].about}"
    return f"of {some} that failed, " + " and ".join(f"{group.count} ended {group.about}" for group in groups)


def since(group: Group, known: Clues) -> float:
    """Say when what explains a group was first seen."""
    if group.kind == "down":
        return min(span.told for span in _down(group, known))
    if group.kind == "throttled":
        return min(known.throttled[pod].since for pod in group.pods)
    if group.kind == "ejected":
        start = known.window[0]
        told = [span.told for pod in group.pods for span in known.ejected.get(pod, ())]
        return min((time for time in told if time >= start), default=min(told))
    if group.kind == "breaker":
        states = known.points(f"breaker/{group.about}")
        opened = [start for pod in group.pods for start, _ in spans(states.get(pod, ()), known.window[1])]
        return min([group.first, *(time for time in opened if time >= known.window[0])])
    return group.first


def names(pods: Sequence[str]) -> str:
    """Name one or two pods; of more say how many, and of what when they are all alike."""
    if len(pods) <= 2:
        return " and ".join(pods)
    kinds = {workload(pod) for pod in pods}
    return f"{len(pods)} pods" + (f" of {kinds.pop()}" if len(kinds) == 1 else "")


def _breaker(group: Group, matter: Matter, known: Clues) -> str:
    many = len(group.pods) > 1
    whose = f"{names(group.pods)}, whose breaker{'s' * many}" if group.pods else "a breaker"
    opened = f"{whose} towards {group.about} {'were' if many else 'was'} open from {_at(group, known)}"
    # What was slow until then was tried elsewhere before.
    when = "at once" if matter.limit is None else "in the end"
    # A caller that gets no time itself sees its limits run out, whatever it calls.
    trouble = _starved(group, known) or _trouble(group.about, group, known)
    return f"were refused {when} by {opened}{evidence(_tripped(group, known), *trouble)}"


def _dependency(group: Group, _: Matter, known: Clues) -> str:
    how, dependency = group.about.split(": ", 1)
    trouble = evidence(*_trouble(dependency, group, known))
    return f"came of calls to {dependency} that {OUTCOMES.get(how, how)}, from {_at(group, known)}{trouble}"


def _said(group: Group, _: Matter, known: Clues) -> str:
    how = "had no room for more" if group.about == "overloaded" else f"said {group.about}"
    return f"were refused by {names(group.pods) or 'a service'}, which {how}, from {_at(group, known)}"


def _overflow(group: Group, _: Matter, known: Clues) -> str:
    return f"were refused by the gateway{_flags(group)}, which had too many under way, from {_at(group, known)}"


def _nobody(group: Group, _: Matter, known: Clues) -> str:
    down = [pod for pod, each in known.down.items() if any(span.start <= group.first <= span.end for span in each)]
    ejected = sum(any(span.start <= group.first <= span.end for span in each) for each in known.ejected.values())
    lost = evidence(f"{ejected} ejected" * bool(ejected), f"{names(sorted(down))} not ready" if down else "")
    return f"were refused by the gateway{_flags(group)}, which had no host left, from {_at(group, known)}{lost}"


def _while_down(group: Group, matter: Matter, known: Clues) -> str:
    came = "were tried again" if matter.limit is not None else "came"
    verb = "was" if len(group.pods) == 1 else "were"
    # A pod that gets no time answers its probes too late.
    what = [f"{group.about} {_at(group, known)}", *_starved(group, known)]
    return f"{came} while {names(group.pods)} {verb} down{evidence(*what)}"


def _ejected(group: Group, matter: Matter, known: Clues) -> str:
    who, when = names(group.pods), f"{_at(group, known)}{evidence(*_starved(group, known))}"
    if matter.limit is not None:
        return f"were tried again by the gateway, which ejected {who} at {when}"
    return f"were lost on {who}{_flags(group)}, which the gateway ejected at {when}"


def _throttled(group: Group, _: Matter, known: Clues) -> str:
    return f"came to {names(group.pods)}, {_held_back(group.pods, known)}, seen from {_at(group, known)}"


def _limit(group: Group, _: Matter, known: Clues) -> str:
    return f"ran into the gateway's time limit on {names(group.pods)}{_flags(group)}, from {_at(group, known)}"


def _slow(group: Group, _: Matter, known: Clues) -> str:
    pods = sorted(known.pods_of(group.about) & set(known.throttled))
    held = f" ({names(pods)} {_held_back(pods, known)})" if pods else ""
    pace = _pace(known.paces[group.about])
    return f"waited for {group.about}, which took {pace}, from {_at(group, known)}{held}"


_WORDS: Mapping[str, Callable[[Group, Matter, Clues], str]] = {
    "breaker": _breaker,
    "dependency": _dependency,
    "said": _said,
    "overflow": _overflow,
    "nobody": _nobody,
    "down": _while_down,
    "ejected": _ejected,
    "throttled": _throttled,
    "limit": _limit,
    "slow": _slow,
}


def _tripped(group: Group, known: Clues) -> str:
    """Say how the attempts ended that opened the breakers of a group: an open one lets no other through."""
    start, end = known.window[0], since(group, known) + SEEN_AFTER
    failed = {}
    for outcome in OUTCOMES:
        points = known.points(f"client_attempts/{group.about}", (outcome,))
        failed[outcome] = sum(series.increase(points.get(pod, ()), start, end) for pod in group.pods)
    most = max(failed, key=lambda outcome: failed[outcome])
    if not failed[most]:
        return ""
    return f"{failed[most]:.0f} attempt{'s' * (failed[most] > 1)} had {OUTCOMES[most].replace('were ', 'been ')}"


def _trouble(service: str, group: Group, known: Clues) -> list[str]:
    """Say what was wrong with a service behind the one that answered, as far as it came before."""
    pods, latest = known.pods_of(service), since(group, known) + SEEN_AFTER
    down = [span for pod in sorted(pods) for span in known.down.get(pod, ())]
    before = [span for span in down if known.window[0] - SEEN_AFTER <= span.told <= latest]
    worst = [span for span in before if span.ended] or before
    told = []
    if worst:
        same = [span for span in worst if span.what == worst[0].what]
        told.append(f"{names([span.pod for span in same])}: {worst[0].what} {seconds(min(s.told for s in same))}")
    held = sorted(pods & set(known.throttled))
    if held:
        told.append(f"{names(held)} {_held_back(held, known)}")
    pace = known.pace(service)
    if pace and pace.felt:
        told.append(f"{service} took {_pace(pace)}")
    return told[:1]


def _starved(group: Group, known: Clues) -> list[str]:
    """Say that its CPU limit held back most of the pods that a group is about, where it did."""
    held = [pod for pod in group.pods if pod in known.throttled]
    return [f"{names(held)} {_held_back(held, known)}"] if 2 * len(held) > len(group.pods) else []


def _pace(pace: Pace) -> str:
    instead = "" if pace.before is None else f" instead of {seconds(pace.before)}"
    return f"{seconds(pace.inside)} a call{instead}"


def _held_back(pods: Sequence[str], known: Clues) -> str:
    share = percent(round(max(known.throttled[pod].share for pod in pods), 2))
    whose = "its" if len(pods) == 1 else "their"
    return f"held back by {whose} CPU limit in up to {share} of {whose} scheduling periods"


def _down(group: Group, known: Clues) -> list[Span]:
    return [span for pod in group.pods for span in known.down.get(pod, ()) if span.what == group.about]


def _at(group: Group, known: Clues) -> str:
    return seconds(since(group, known))


def _flags(group: Group) -> str:
    return f" (flags {group.flags})" if group.flags else ""


def evidence(*parts: str) -> str:
    told = [part for part in parts if part]
    return f" ({'; '.join(told)})" if told else ""
