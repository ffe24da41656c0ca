"""End a run: judge what was seen, write the verdict down, draw the report."""

from __future__ import annotations

import time

from harness import report
from harness.checkers import cause, machine
from harness.engine import contexts, judge
from harness.engine.options import Outcome
from harness.engine.session import Session
from harness.engine.watching import metrics, recording
from harness.errors import Exit, HarnessError
from harness.journal import calls, operations, reader
from harness.model.objective import ABORT_WHEN
from harness.model.verdict import Finding, State, Verdict, fold

WAITING = ("settle", "baseline", "inject", "hold", "heal", "recovery")


async def judged(session: Session, failure: HarnessError | None) -> tuple[Verdict, str]:
    await metrics.collect(session)
    if session.begun:
        await recording.collect(session)
    events = reader.read(session.directory)
    recorded = calls.read(session.directory, events)
    seen = judge.history(events, operations.read(session.directory), recorded)
    # Of a run that touched nothing no promise can be judged; why it did not begin is all there is to say.
    findings = judge.findings(session.experiment, seen, events) if session.begun else [machine.check(seen)]
    if failure:
        never = "" if session.begun else "never begun: "
        findings.append(
            Finding("run", State.UNKNOWN, never + failure.what + (f": {failure.why}" if failure.why else ""))
        )
    if session.unwritten:
        findings.append(Finding("journal", State.UNKNOWN, session.unwritten))
    for finding in findings:
        session.write(
            "finding",
            checker=finding.checker,
            state=finding.state,
            summary=finding.summary,
            target=finding.target,
            baseline=finding.baseline,
            in_fault=finding.in_fault,
            recovery=finding.recovery,
            detail=dict(finding.detail),
        )
    # What the document itself asks to be cut short for is a promise like another: broken, or nobody knows.
    promised = any(finding.checker == ABORT_WHEN for finding in findings)
    verdict = fold(findings, undone=not session.unclean, aborted=bool(session.abort) and not promised)
    session.cause = cause.why(seen, findings) if verdict is not Verdict.PASS else ""
    return verdict, _reason(session, verdict, findings, machine.told(seen, (seen.start, seen.end)))


def _reason(session: Session, verdict: Verdict, findings: list[Finding], taken: str) -> str:
    """Say what the verdict rests on; `taken` is what others had of the machine, which may be why nothing is known."""
    match verdict:
        case Verdict.DIRTY:
            return "; ".join(session.unclean)
        case Verdict.ABORTED:
            return session.abort.reason
        case Verdict.DEVIATED:
            return "; ".join(f"{item.checker}: {item.summary}" for item in findings if item.state is State.BROKEN)
        case Verdict.INCONCLUSIVE:
            unknown = "; ".join(f"{item.checker}: {item.summary}" for item in findings if item.state is State.UNKNOWN)
            return f"{unknown}; {taken}" if taken and "machine's CPU" not in unknown else unknown
        case Verdict.PASS:
            return ""


def close(session: Session, verdict: Verdict, reason: str, began: float) -> None:
    declared = session.experiment.expect
    seconds = time.monotonic() - began
    session.write(
        "verdict",
        verdict=verdict,
        begun=session.begun,
        expected=declared.verdict,
        right=verdict is declared.verdict,
        reason=reason,
        cause=session.cause,
        exit=_exit(session, verdict),
        seconds=seconds,
        overhead=seconds - _waited(session),
    )
    session.write("run.end")


def draw(session: Session, verdict: Verdict, reason: str, began: float) -> Outcome:
    try:
        text = report.write(session.directory).text
    except OSError as error:
        text = f"VERDICT  {verdict}  {reason}\nthe report could not be written: {error.strerror or error}"
    if session.unwritten:
        # What is drawn from a journal without an end says neither how the run ended nor that it was undone.
        text = (
            f"VERDICT  {verdict}  {reason}\nundo   {'; '.join(session.unclean) or 'nothing is left broken'}\n"
            f"error  the journal in {session.directory} lacks something, and so does what is drawn from it"
        )
    seconds = time.monotonic() - began
    right = verdict is session.experiment.expect.verdict
    return Outcome(
        verdict=verdict,
        exit=_exit(session, verdict),
        right=right,
        run=session.plan.run,
        dir=session.directory,
        text=text,
        seconds=seconds,
        overhead=seconds - _waited(session),
        reason=reason,
        begun=session.begun,
        cause=session.cause,
        heal=contexts.command(session.kube, "harness", "undo", *session.scope.words),
    )


def _waited(session: Session) -> float:
    return sum(session.spans.get(phase, 0.0) for phase in WAITING)


def _exit(session: Session, verdict: Verdict) -> int:
    """Return the exit code: a run that ends as declared passes, one that passes although it should not deviates."""
    if session.abort.trigger.startswith("SIG") and verdict is not Verdict.DIRTY:
        return int(Exit.INTERRUPTED)
    if verdict is session.experiment.expect.verdict:
        return int(Exit.PASS)
    return int(Exit.DEVIATED if verdict is Verdict.PASS else verdict.exit)
