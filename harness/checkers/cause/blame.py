"""Sort operations by what explains them: what the answer itself says first, then what is known of the pod behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from harness.checkers.cause.clues import Clues, overlapping
from harness.model.history import Operation

# A host is ejected for what it did to several operations, the first of them some time before.
EJECTED_AFTER = 6.0
# A service that is slow explains waits when it took this share of them longer than before, all calls together.
SLOW_SHARE = 0.25
# What explains some operations: its kind, what it is about, the pods it is about.
Reason = tuple[str, str, tuple[str, ...]]
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that one thing explains, or nothing: `kind` says which, `about` and `pods` what it is about."""

    kind: str
    about: str
    pods: tuple[str, ...]
    operations: Sequence[Operation]

    @property
    def count(self) -> int:
        """Return how many operations it explains."""
        return len(self.operations)

    @property
    def first(self) -> float:
        """Return when the first of them had ended."""
        return min(operation.finished for operation in self.operations)

    @property
    def flags(self) -> str:
        """Return the gateway's flags of most of them."""
        found = Counter(operation.response_flags for operation in self.operations)
        return max(sorted(found), key=lambda flags: found[flags])


def sort(operations: Sequence[Operation], clues: Clues) -> list[Group]:
    """Sort operations that failed or were too slow, those of the most frequent reason first."""
    stretches: dict[str, tuple[float, float]] = {}
    for operation in operations:
        if pod := server(operation, clues):
            first, last = stretches.get(pod, (operation.sent, operation.finished))
            stretches[pod] = min(first, operation.sent), max(last, operation.finished)
    service = _slowest([operation for operation in operations if operation.ok], clues)

    def explain(operation: Operation) -> Reason:
        pod = server(operation, clues)
        found = None if operation.ok else _said(operation, pod)
        if operation.ok and operation.attempts > 1:
            found = _retried(operation, clues)
        if found is None and operation.ok and service:
            found = "slow", service, ()
        if found is None:
            found = _of_pod(pod, *stretches[pod], clues) if pod else _ended(operation, clues)
        # The gateway waits as long as it was told to, whatever it waits for.
        if found is None and pod and "UT" in _flags(operation):
            found = "limit", "", (pod,)
        return found or (UNKNOWN, _answer(operation), ())

    return _sorted(operations, explain)


def server(operation: Operation, clues: Clues) -> str:
    """Name the pod that answered, or that the gateway tried last; empty when neither is known."""
    return operation.served_by or clues.pod(operation.tried_host)


def _said(operation: Operation, pod: str) -> Reason | None:
    pods = (pod,) if pod else ()
    how, _, dependency = operation.because.partition(": ")
    if dependency:
        return ("breaker", dependency, pods) if how.startswith("breaker") else ("dependency", operation.because, pods)
    if how:
        return "said", how, pods
    found = [kind for flag, kind in (("UO", "overflow"), ("UH", "nobody")) if flag in _flags(operation)]
    return (found[0], "", ()) if found else None


def _of_pod(pod: str, first: float, last: float, clues: Clues) -> Reason | None:
    """Say what was wrong with a pod between two times; the end of a process weighs more than what follows from it."""
    down = overlapping(clues.down.get(pod, ()), first, last)
    ended = [span for span in down if span.ended]
    if ended:
        return "down", ended[0].what, (pod,)
    if overlapping(clues.ejected.get(pod, ()), first, last + EJECTED_AFTER):
        return "ejected", "", (pod,)
    if down:
        return "down", down[0].what, (pod,)
    return ("throttled", "", (pod,)) if pod in clues.throttled else None


def _ended(operation: Operation, clues: Clues) -> Reason | None:
    """Say which process ended while an operation was under way of which nobody knows where it was."""
    spans = [span for span in chain.from_iterable(clues.down.values()) if span.ended]
    found = overlapping(spans, operation.sent, operation.finished)
    return ("down", found[0].what, tuple(sorted({span.pod for span in found}))) if found else None


def _retried(operation: Operation, clues: Clues) -> Reason | None:
    """Say what happened to a pod while an operation was tried more than once: which it was tried on, nobody knows."""
    every = chain.from_iterable(clues.ejected.values())
    ejected = [span for span in every if operation.sent <= span.told <= operation.finished + EJECTED_AFTER]
    if ejected:
        return "ejected", "", tuple(sorted({span.pod for span in ejected}))
    down = overlapping(chain.from_iterable(clues.down.values()), operation.sent, operation.finished)
    return ("down", down[0].what, tuple(sorted({span.pod for span in down}))) if down else None


def _slowest(operations: Sequence[Operation], clues: Clues) -> str:
    """Name the service that made its callers wait much longer than before; empty when none did.

    A service sees a call only once it has the time to look at it: what its limit held back was slower than it says.
    """
    waited = sum(operation.latency for operation in operations)
    front = {operation.served_by for operation in operations}
    paces = {}
    for service, pace in clues.paces.items():
        pods = clues.pods_of(service)
        # Who answers the caller waits for those behind it: its own time tells nothing.
        if not waited or front & pods:
            continue
        held_back = pace.slower and pods & set(clues.throttled)
        if held_back or (pace.felt and pace.excess * pace.calls >= SLOW_SHARE * waited):
            paces[service] = pace
    return max(sorted(paces), key=lambda service: paces[service].excess, default="")


def _flags(operation: Operation) -> list[str]:
    return operation.response_flags.split(",")


def _answer(operation: Operation) -> str:
    """Say what a caller saw: the status, the gateway's flags, who answered; of what was served, whether tried again."""
    if operation.ok:
        return "tried more than once" if operation.attempts > 1 else ""
    if not operation.status:
        return f"without an answer ({operation.unanswered})" if operation.unanswered else "without an answer"
    flags = f" (flags {operation.response_flags})" if operation.response_flags else ""
    flags += f" ({operation.amiss})" if operation.amiss else ""
    who = operation.served_by or ("" if operation.direct else "the gateway")
    return f"with {operation.status}{flags}" + (f", answered by {who}" if who else "")


def _sorted(operations: Sequence[Operation], explain: Callable[[Operation], Reason]) -> list[Group]:
    found: dict[tuple[str, str], tuple[set[str], list[Operation]]] = {}
    for operation in operations:
        kind, about, pods = explain(operation)
        all_pods, explained = found.setdefault((kind, about), (set(), []))
        all_pods.update(pods)
        explained.append(operation)
    groups = [Group(kind, about, tuple(sorted(pods)), explained) for (kind, about), (pods, explained) in found.items()]
    return sorted(groups, key=lambda group: (-group.count, group.first, group.kind, group.about))
