"""What an autoscaler that was watched shows, and what was recommended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.stack_report.asking import statuses
from bench.stack_report.quantities import cores, size
from bench.stack_report.row import Seen
from bench.stack_report.scaling.watching import (
    AVERAGED,
    DOWN_SECONDS,
    GROWTH,
    LEAST,
    LOOK_EVERY,
    MOST,
    SHRINK,
    UP_SECONDS,
    Watched,
)


def out(seen: Watched) -> Seen:
    """Judge that the queues had all replicas come that may be, and that callers were answered."""
    there = next((moment for moment, count in seen.ready if count >= MOST), None)
    after = f"{MOST} ready after {there - seen.began:.0f} s" if there else f"{_most(seen.ready)} of {MOST} ready"
    lost = [one for one in seen.answers if not one.good]
    good = there is not None and len(lost) <= len(seen.answers) * 0.01 and seen.ready[0][1] == LEAST
    return Seen(good, f"from {seen.ready[0][1]}: {after}; {statuses(seen.answers)}")


def _most(noted: Sequence[tuple[float, int]]) -> int:
    return max(count for _, count in noted)


def steps(seen: Watched) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return what the autoscaler wanted as steps up and steps down."""
    counts = [count for _, count in seen.wanted]
    pairs = list(itertools.pairwise(counts))
    return [one for one in pairs if one[1] > one[0]], [one for one in pairs if one[1] < one[0]]


def up(seen: Watched) -> Seen:
    """Judge that no step up was larger than its policy lets it be, nor the first later than its window."""
    found, _ = steps(seen)
    limit = UP_SECONDS + 2 * LOOK_EVERY + AVERAGED
    first = next((moment - seen.began for moment, count in seen.wanted if count > LEAST), math.inf)
    good = bool(found) and all(new <= math.ceil(old * (1 + GROWTH)) for old, new in found) and first <= limit
    told = ", ".join(f"{old} to {new}" for old, new in found) or "no step"
    return Seen(good, f"{told}; the first after {first:.0f} s, at most {limit:.0f} with the looks of the controller")


def down(seen: Watched) -> Seen:
    """Judge that each step down was as small as its policy, and none earlier than its window after the load."""
    _, found = steps(seen)
    first = next((moment - seen.over for moment, count in seen.wanted if moment > seen.over and count < MOST), -1.0)
    small = all(new >= int(old * (1 - SHRINK)) for old, new in found)
    good = bool(found) and small and first >= DOWN_SECONDS and seen.ready[-1][1] == LEAST
    told = ", ".join(f"{old} to {new}" for old, new in found) or "no step"
    return Seen(
        good,
        f"{told}; the first {first:.0f} s after the load (window {DOWN_SECONDS:g} s); {seen.ready[-1][1]} ready then",
    )


def bounds(seen: Watched) -> Seen:
    """Judge that it never wanted fewer or more than it may, although the queues asked for more."""
    counts = [count for _, count in seen.wanted]
    within = min(counts) >= LEAST and max(counts) <= MOST
    return Seen(
        within and bool(seen.limited), f"wanted {min(counts)} to {max(counts)}; {seen.limited or 'never held back'}"
    )


def advised(found: Sequence[Mapping[str, Any]], *, changed: bool) -> Seen:
    """Judge what was recommended for the one container: CPU and memory alone, within bounds, and nothing done."""
    one = next((each for each in found if each["containerName"] == "claude-orchestrator"), None)
    if one is None:
        return Seen(False, "nothing was recommended for claude-orchestrator")
    target = one["target"]
    cpus, mebibytes = cores(str(target.get("cpu", "0"))), size(str(target.get("memory", "0"))) / 2**20
    good = set(target) == {"cpu", "memory"} and 0.1 <= cpus <= 2 and 128 <= mebibytes <= 4096 and not changed
    bare = one.get("uncappedTarget", {})
    told = (
        f"recommended {cpus:g} CPUs and {mebibytes:.0f} MiB, without bounds {bare.get('cpu')} and {bare.get('memory')}"
    )
    return Seen(good, f"{told}; {'something was changed' if changed else 'nothing was changed'}")
