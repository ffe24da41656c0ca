"""Judge what became of a release: was it promoted, or taken back by its analysis, how soon, and who met it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.checkers import census, machine, starvation
from harness.checkers.kind import Missed, ObjectiveKind
from harness.model.disturbance import Disturbance
from harness.model.fault import FaultSpec
from harness.model.history import FaultRecord, History, Operation, Sample
from harness.model.parameter import Parameter, Type
from harness.model.units import percent, seconds
from harness.model.verdict import Finding, State

PROMOTED, ROLLED_BACK, GIVEN_UP = "promoted", "rolled-back", "given-up"
OUTCOMES = (PROMOTED, ROLLED_BACK, GIVEN_UP)
# How a controller's analysis ends that found a release to be bad, and one that could not measure: that found nothing.
FOUND_BAD, UNMEASURED = "Failed", "Error"
PROOF = {ROLLED_BACK: "to find it bad", GIVEN_UP: "that could not measure it"}


@dataclass(frozen=True, slots=True)
class Course:
    """What was seen of one release: its name and whose place it takes, when it was decided and how, what was amiss.

    `found` is how the analysis ended for which it was taken back, empty where none was seen.
    """

    release: str = ""
    stable: str = ""
    decided: float | None = None
    outcome: str = ""
    weight: float = 0.0
    why: str = ""
    found: str = ""
    unseen: str = ""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How many operations met a release, of how many; of `unsaid` others nobody knows it."""

    met: int
    unsaid: int
    of: int

    @property
    def least(self) -> float:
        """Return the share that is known to have met it."""
        return self.met / self.of if self.of else 0.0

    @property
    def most(self) -> float:
        """Return the share that it is where all the others met it, too."""
        return (self.met + self.unsaid) / self.of if self.of else 0.0


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Follow each release of the run to its end, as the Rollout's status and its analyses told it; the worst counts.

    A rollback counts only where an analysis found the release to be bad: one that could not measure, or a person, may
    have ended a good one as well. That one is given up which no analysis found bad and one could not measure.
    """
    started = [
        fault for fault in history.faults if Disturbance.RELEASE in fault.disturbs and fault.injected is not None
    ]
    found = [_judged(history, fault, parameters) for fault in started]
    if not found:
        return Finding("canary", State.UNKNOWN, "no release was started", _target(parameters), in_fault="no data")
    order = (State.BROKEN, State.UNKNOWN, State.HELD)
    return min(found, key=lambda one: order.index(one.state))


def _target(parameters: Mapping[str, Any]) -> str:
    most = parameters.get("max-exposed")
    exposed = "" if most is None else f", <= {percent(float(most))} exposed"
    return f"{_wanted(parameters)} within {seconds(float(parameters['within']))}{exposed}"


def _wanted(parameters: Mapping[str, Any]) -> str:
    return next((one for one in OUTCOMES if parameters.get(one)), ROLLED_BACK)


def _judged(history: History, fault: FaultRecord, parameters: Mapping[str, Any]) -> Finding:
    wanted, within, most = _wanted(parameters), float(parameters["within"]), parameters.get("max-exposed")
    begin = fault.injected or 0.0
    end = history.end if fault.undone is None else fault.undone
    course = _follow(history, fault, begin, end)
    until = end if course.decided is None else course.decided
    exposed = _exposed(history, course, (begin, until))
    took = until - begin
    detail = {"release": course.release, "outcome": course.outcome, "took": took}
    detail |= {"exposed": exposed.least, "exposed_at_most": exposed.most, "operations": exposed.of}

    def finding(state: State, summary: str) -> Finding:
        share = percent(exposed.least) + (f" to {percent(exposed.most)}" if exposed.unsaid else "")
        at = course.outcome or f"at {course.weight:g} %"
        shown = f"{at}, {share} exposed" if exposed.of and course.release else course.outcome
        target = _target(parameters)
        return Finding("canary", state, summary, target, in_fault=shown or "no data", detail=detail)

    starved = starvation.seconds_taken(history, (begin, until))
    doubt = f", but {machine.told(history, (begin, until))}: nobody knows why" if starved else ""
    if not course.outcome:
        at = f"it was still at {course.weight:g} % of the traffic"
        if course.unseen or took < within:
            return finding(State.UNKNOWN, course.unseen or f"{at} when it was taken back after {seconds(took)}")
        summary = f"{at} after {seconds(took)}"
        return finding(State.UNKNOWN if took - starved <= within else State.BROKEN, summary + doubt)
    summary = f"{course.outcome.replace('-', ' ')} after {seconds(took, beside=within)}"
    if course.why:
        summary += f": {course.why}"
    if lacking := _unproven(course, wanted):
        return finding(State.UNKNOWN, lacking)
    if course.outcome != wanted:
        # What a machine made slow may have failed an analysis of latency; it makes nothing pass that fails.
        return finding(State.UNKNOWN if starved and course.outcome != PROMOTED else State.BROKEN, summary + doubt)
    if took > within:
        return finding(State.UNKNOWN if took - starved <= within else State.BROKEN, summary + doubt)
    if most is None:
        return finding(State.HELD, summary)
    if exposed.of < census.MINIMUM:
        return finding(State.UNKNOWN, f"{exposed.of} operations were seen meanwhile, {census.MINIMUM} are needed")
    met = f"{percent(exposed.least)} of {exposed.of} operations met it"
    if exposed.least > float(most):
        return finding(State.BROKEN, f"{met}; {summary}")
    if exposed.most > float(most):
        return finding(State.UNKNOWN, f"of {exposed.unsaid} operations nobody knows whether they met it; {summary}")
    bound = f", {percent(exposed.most)} at the most" if exposed.unsaid else ""
    return finding(State.HELD, f"{summary}; {met}{bound}")


def _unproven(course: Course, wanted: str) -> str:
    """Say that a release was taken back and no analysis was seen that proves why, as promised."""
    if PROMOTED in (wanted, course.outcome) or course.found == FOUND_BAD or (course.found and wanted == GIVEN_UP):
        return ""
    return f"it was given up, but no analysis was seen {PROOF[wanted]}: {course.why or 'nobody said why'}"


def _follow(history: History, fault: FaultRecord, begin: float, end: float) -> Course:
    """Find the release among what was seen of its Rollout, and what became of it before its undo."""
    seen = sorted(
        (one for one in history.samples if one.series == f"release/{fault.workload}"), key=lambda one: one.time
    )
    before = [one for one in seen if one.time <= begin and one.labels.get("stable")]
    after = [one for one in seen if begin < one.time <= end]
    if not before:
        return Course(unseen=f"nothing was seen of {fault.workload} as a Rollout: is it one, and may it be watched?")
    stable, release, weight = before[-1].labels["stable"], "", 0.0
    for sample in after:
        newest = sample.labels.get("newest", "")
        release = release or (newest if newest not in ("", stable) else "")
        if not release or newest != release:
            continue
        if sample.labels.get("stable") == release:
            return Course(release, stable, sample.time, PROMOTED, 100.0)
        if sample.labels.get("aborted") == "yes":
            return _taken_back(history, fault, sample, Course(release, stable, sample.time, ROLLED_BACK, weight))
        weight = sample.value or 0.0
    if not release:
        return Course(unseen="no new release was seen")
    blind = "the Rollout was out of sight meanwhile" if after[-1].value is None else ""
    return Course(release, stable, weight=weight, unseen=blind)


def _taken_back(history: History, fault: FaultRecord, sample: Sample, course: Course) -> Course:
    """Say why a release was taken back: an analysis found it bad, or could not measure; else nobody knows."""
    name = fault.workload.partition("/")[2]
    phases = {
        one.series: one.labels
        for one in history.samples
        if one.series.startswith("analysis/")
        and one.labels.get("release") == course.release
        and one.labels.get("rollout") == name
    }
    ended = {str(labels.get("phase", "")): labels for labels in phases.values()}
    found = next((phase for phase in (FOUND_BAD, UNMEASURED) if phase in ended), "")
    why = ended[found].get("message", "") if found else sample.labels.get("message", "")
    return replace(course, outcome=GIVEN_UP if found == UNMEASURED else ROLLED_BACK, why=why, found=found)


def _exposed(history: History, course: Course, span: tuple[float, float]) -> Exposure:
    """Count the operations that met a release, and those of which nobody knows whom they met."""
    begin, until = span
    operations = [one for one in history.operations if begin <= one.finished and one.intended <= until and one.punctual]
    release_of = dict(_pods(history.samples))
    met = unsaid = 0
    for one in operations:
        release = release_of.get(_answered(one, history.addresses))
        met += bool(release) and release == course.release
        # Of earlier attempts only their number is told; another service's pod says nothing of whom that asked.
        unsaid += release != course.release and (release != course.stable or _may_have_been_retried(one))
    return Exposure(met, unsaid, len(operations))


def _may_have_been_retried(operation: Operation) -> bool:
    return operation.attempts > 1 or (operation.attempts < 1 and not operation.direct)


def _pods(samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    for sample in samples:
        if sample.series.startswith("pod/") and (release := sample.labels.get("release")):
            yield sample.series.rpartition("/")[2], release


def _answered(operation: Operation, addresses: Mapping[str, str]) -> str:
    """Name the pod that an operation met last; empty where nobody knows."""
    return operation.served_by or addresses.get(operation.tried_host, "")


def missed(parameters: Mapping[str, Any], _: Sequence[tuple[FaultSpec, bool]]) -> Missed | None:
    """Say that a release cannot be several, or that nothing is promised."""
    # Where none could be read, whoever read them has said so.
    stated = [one for one in OUTCOMES if one in parameters]
    if not stated or sum(bool(parameters[one]) for one in stated) == 1:
        return None
    return Missed(stated[0], f"a release is to be one of these: {', '.join(f'{one}: true' for one in OUTCOMES)}")


OBJECTIVE = ObjectiveKind(
    name="canary",
    place=45,
    summary="A release is promoted, rolled back because its analysis found it bad, or given up because nothing could be"
    " measured, in time, and few meet a bad one.",
    broken="another came of it, it took longer, or more operations than that met the release",
    unknown="no Rollout was seen, the run ended before it was decided, it was taken back without an analysis that says"
    " why, too few operations were seen, or of too many nobody knows whom they met",
    parameters=(
        Parameter(PROMOTED, Type.BOOLEAN, "true: the release is promoted."),
        Parameter(ROLLED_BACK, Type.BOOLEAN, "true: its analysis has it rolled back."),
        Parameter(GIVEN_UP, Type.BOOLEAN, "true: its analysis cannot measure, and it is not promoted."),
        Parameter("within", Type.DURATION, "In which time, from its start.", required=True),
        Parameter("max-exposed", Type.RATIO, "The largest share of operations, from start to end, that meet it."),
    ),
    exercised_by=frozenset({Disturbance.RELEASE}),
    check=check,
    missed=missed,
    needs_load=False,
    one_of=OUTCOMES,
)
