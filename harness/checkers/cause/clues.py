"""Gather what a run recorded besides its operations and could explain them: who was down, ejected, throttled, slow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.checkers import series
from harness.checkers.series import Points
from harness.model.history import History, Sample

# Kubernetes makes its endings of letters and digits that spell no word.
_ENDING = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = re.compile(rf"(.+?)(?:-{_ENDING}{{5,10}})?-{_ENDING}{{5}}")
# A kubelet tells of an end about a second after it, and the watch a moment later.
TOLD_AFTER = 3.0
# What was down and never seen ready again was so for this long at least.
DOWN_SECONDS = 5.0
# Prometheus sees the gateway and the services every two seconds.
SEEN_AFTER = 3.0
# A container that its limit held back in fewer of its periods than this was not kept from working by it.
THROTTLED_SHARE = 0.25
LEAST_PERIODS = 20.0
# A service that takes twice as long as before is slow; one whose calls grew by less than this made nobody wait.
SLOWER, LEAST_SECONDS = 2.0, 0.005


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which something was wrong with one pod, and the words for it; `told` is when it was seen."""

    pod: str
    start: float
    end: float
    told: float
    what: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """A pod that its CPU limit held back: in which share of its periods, and from when on that was seen."""

    share: float
    since: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a service took a call, before the window (None: not seen) and inside it, over so many calls."""

    before: float | None
    inside: float
    calls: float

    @property
    def excess(self) -> float:
        """Return how much longer a call took than before."""
        return self.inside - (self.before or 0.0)

    @property
    def slower(self) -> bool:
        """Say whether calls took a multiple of the time that they took before."""
        return self.excess > 0 and self.inside >= SLOWER * (self.before or 0.0)

    @property
    def felt(self) -> bool:
        """Say whether that alone was long enough to make anybody wait."""
        return self.slower and self.excess >= LEAST_SECONDS


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known of pods and services around one window of the run."""

    window: tuple[float, float]
    addresses: Mapping[str, str]
    down: Mapping[str, Sequence[Span]]
    ejected: Mapping[str, Sequence[Span]]
    throttled: Mapping[str, Throttled]
    paces: Mapping[str, Pace]
    servers: Mapping[str, frozenset[str]]
    series: Mapping[str, Sequence[Sample]]

    def pod(self, host: str) -> str:
        """Name the pod at an address; the address itself when nobody knows whose it is."""
        return self.addresses.get(host, host)

    def points(self, name: str, outcomes: tuple[str, ...] | None = None) -> Mapping[str, Points]:
        """Return a series' points for each pod."""
        return series.by_pod(self.series.get(name, ()), name, outcomes=outcomes)

    def pods_of(self, service: str) -> set[str]:
        """Name the pods of a service: those that say they are, and those whose names do."""
        named = {pod for pod in (*self.down, *self.throttled) if _is(workload(pod), service)}
        return named.union(*(pods for name, pods in self.servers.items() if _is(name, service)))

    def pace(self, service: str) -> Pace | None:
        """Return the pace of a service, by the name it has itself or the one its callers have for it."""
        return next((pace for name, pace in sorted(self.paces.items()) if _is(name, service)), None)


def _is(name: str, service: str) -> bool:
    """Say whether a name is a service's: callers leave out what the names of a system have in common."""
    return f"-{name}".endswith(f"-{service}")


def workload(pod: str) -> str:
    """Return the name of what a pod belongs to: its own without the endings that Kubernetes made up."""
    match = _POD.fullmatch(pod)
    return match[1] if match else pod


def gather(history: History, window: tuple[float, float]) -> Clues:
    """Return what could explain what happened inside a window."""
    found: dict[str, list[Sample]] = {}
    for sample in history.samples:
        found.setdefault(sample.series, []).append(sample)
    readiness = {name.rpartition("/")[2]: found[name] for name in found if name.startswith("pod/")}
    own = {ip: pod for pod, samples in readiness.items() for one in samples if (ip := one.labels.get("ip"))}
    return Clues(
        window=window,
        addresses={**history.addresses, **own},
        down=_down(history, readiness),
        ejected=_ejected(found, history.end),
        throttled=_throttled(found, window, history.end),
        paces=_paces(found, window),
        servers={
            name.partition("/")[2]: frozenset(one.labels.get("pod", "") for one in samples)
            for name, samples in found.items()
            if name.startswith("requests/")
        },
        series=found,
    )


def _down(history: History, readiness: Mapping[str, Sequence[Sample]]) -> Mapping[str, Sequence[Span]]:
    """Tell for each pod when it was not ready or gone, and when a container of it ended."""
    down: dict[str, list[Span]] = {}
    for one in history.restarts:
        pod, time = str(one["pod"]), float(one["time"])
        back = _ready_again(readiness.get(pod, ()), time)
        down.setdefault(pod, []).append(Span(pod, time - TOLD_AFTER, back, time, _end(one), ended=True))
    for pod, samples in readiness.items():
        was_ready = False
        for sample in samples:
            if was_ready and sample.value == 0.0:
                back = _ready_again(samples, sample.time)
                what = "gone from" if sample.labels.get("gone") else "not ready from"
                down.setdefault(pod, []).append(Span(pod, sample.time - TOLD_AFTER, back, sample.time, what))
            was_ready = sample.value == 1.0
    return down


def _end(restart: Mapping[str, object]) -> str:
    """Say how a container ended: out of memory, or with which status."""
    if restart.get("reason") == "OOMKilled":
        return f"{restart['container']} ran out of memory at"
    return f"{restart['container']} ended with exit code {restart['exit_code']} at"


def _ready_again(samples: Sequence[Sample], time: float) -> float:
    lost = next((one.time for one in samples if one.value == 0.0 and one.time >= time - TOLD_AFTER), None)
    if lost is None:
        return time + DOWN_SECONDS
    return next((one.time for one in samples if one.value == 1.0 and one.time > lost), float("inf"))


def _ejected(found: Mapping[str, Sequence[Sample]], end: float) -> Mapping[str, Sequence[Span]]:
    ejected: dict[str, list[Span]] = {}
    # Not every gateway says which of its hosts it ejected; all of them say how many.
    known = any(name.startswith("ejected/") for name in found)
    for name, samples in found.items():
        if name.startswith("ejected/" if known else "ejections/"):
            host = name.partition("/")[2] if known else "a host"
            for points in series.by_pod(samples, name).values():
                ejected.setdefault(host, []).extend(
                    Span(host, start - SEEN_AFTER, until, start, "was ejected") for start, until in spans(points, end)
                )
    return {host: sorted(each, key=lambda span: span.start) for host, each in ejected.items() if each}


def spans(points: Points, end: float) -> list[tuple[float, float]]:
    """List the stretches in which a sampled value was above zero."""
    stretches: list[tuple[float, float]] = []
    since = None
    for time, value in points:
        if value > 0 and since is None:
            since = time
        elif value <= 0 and since is not None:
            stretches.append((since, time))
            since = None
    return [*stretches, (since, end)] if since is not None else stretches


def _throttled(
    found: Mapping[str, Sequence[Sample]], window: tuple[float, float], end: float
) -> Mapping[str, Throttled]:
    """Find the pods that their limit held back; cgroups are read every 15 s, so what comes late counts, too."""
    throttled: dict[str, Throttled] = {}
    for name in found:
        kind, _, namespace = name.partition("/")
        if kind != "cpu_periods":
            continue
        slow = f"cpu_throttled_periods/{namespace}"
        held = series.by_pod(found.get(slow, ()), slow)
        for pod, points in series.by_pod(found[name], name).items():
            start, kept = _reading(points, window[0]), held.get(pod, ())
            periods = series.increase(points, start, end)
            share = series.increase(kept, start, end) / periods if periods >= LEAST_PERIODS else 0.0
            if share >= THROTTLED_SHARE:
                throttled[pod] = Throttled(min(1.0, share), _grown(kept, start))
    return throttled


def _reading(points: Points, time: float) -> float:
    """Return when a counter was last read before a time, else first after it.

    What it had grown by at the first reading of a run may have been long before the run.
    """
    readings = [later[0] for earlier, later in pairwise(points) if later[1] != earlier[1]]
    before = [reading for reading in readings if reading <= time]
    return before[-1] if before else next(iter(readings), float("inf"))


def _grown(points: Points, start: float) -> float:
    """Return the first time at which a counter was above what it was before `start`."""
    before = series.at(points, start)
    return next((time for time, value in points if time > start and (before is None or value > before)), start)


def _paces(found: Mapping[str, Sequence[Sample]], window: tuple[float, float]) -> Mapping[str, Pace]:
    paces: dict[str, Pace] = {}
    for name in found:
        kind, _, service = name.partition("/")
        if kind != "requests":
            continue
        took = f"request_seconds/{service}"
        counts, sums = series.by_pod(found[name], name), series.by_pod(found.get(took, ()), took)
        before, inside = ((float("-inf"), window[0]), (window[0], window[1] + SEEN_AFTER))
        earlier, calls = _grew(counts, *before), _grew(counts, *inside)
        if calls:
            mean = _grew(sums, *before) / earlier if earlier else None
            paces[service] = Pace(mean, _grew(sums, *inside) / calls, calls)
    return paces


def _grew(each: Mapping[str, Points], start: float, end: float) -> float:
    return sum(series.increase(points, start, end) for points in each.values())


def overlapping(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """Pick the spans that touch a stretch of time."""
    return [span for span in spans if span.start <= end and start <= span.end]
