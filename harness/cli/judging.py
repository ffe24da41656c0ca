"""Judge by one object of a file, whatever controller it is for: what to say line by line, and the exit code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.analysis import course, files, flagger, flagger_reading, kayenta, kayenta_reading, reading, recorded
from harness.analysis.course import Ask, Taken
from harness.analysis.measuring import Answer, Phase
from harness.analysis.syntax import Dialect
from harness.analysis.template import Question
from harness.cli import answering
from harness.errors import Exit, UsageError
from harness.model.history import History
from harness.source.lines import Source

# What is compared with a baseline is looked at second by second.
STEP_SECONDS = 1.0
# What of a load Flagger's own metrics are.
BUILTIN = {flagger.SUCCESS_RATE: recorded.AVAILABILITY, flagger.DURATION: "latency-p99"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of an analysis: who answers, since when, for how long, and in whose words."""

    prometheus: str | None
    run: str | None
    runs: Path
    chosen: Mapping[str, str]
    given: Mapping[str, str]
    dialect: Dialect
    at: str | None
    until: float

    def source(self, metrics: Sequence[str], defaults: Mapping[str, str]) -> answering.Source:
        """Return who answers these metrics; `defaults` are the run's series for those that nobody chose."""
        if self.run is not None:
            return answering.run(self.run, self.runs, self.at, {**defaults, **self.chosen}, metrics)
        return answering.prometheus(str(self.prometheus), self.at)


def argo(source: Source, _: Sequence[Source], asked: Asked, say: Say) -> Exit:
    """Judge by an AnalysisTemplate, as Argo Rollouts does."""
    template = reading.read(source, asked.given, asked.dialect)
    answers = asked.source([one.name for one in template.metrics], {})
    # A run ends by itself; a Prometheus could be asked for years.
    if template.endless and asked.run is None and asked.until == math.inf:
        hint = "--for 10m ends it, as the controller does when the rollout is over"
        raise UsageError("this analysis goes on until it has failed", where=str(source.path), hint=hint)
    blind, errors, taken = Counter[str](), Counter[str](), Counter[str]()
    walk = course.walk(template, answers.ask, answers.clock, asked.dialect, until=asked.until, end=answers.end)
    for step in walk:
        if isinstance(step, Taken):
            said = f"{step.measurement.value}  {step.measurement.message}".strip()
            dry = "  (dry run)" if step.metric.dry_run else ""
            taken[step.metric.name] += 1
            blind[step.metric.name] += step.measurement.blind
            errors[step.metric.name] += step.measurement.phase is Phase.ERROR
            say(f"{step.at:9.1f} s  {step.metric.name}  {step.measurement.phase:<12}  {said}{dry}")
            continue
        for name, times in blind.items():
            if times and step.phase is Phase.SUCCESSFUL:
                say(f"note: {name} was Successful without data in {times} of {taken[name]} measurements")
        unfinished = _unfinished(answers.end) if step.phase is Phase.RUNNING else ""
        say(f"{step.phase}: {step.message or unfinished}".removesuffix(": "))
        if step.phase is Phase.SUCCESSFUL:
            # What is a dry run counts only where nothing else does.
            deciding = [one for one in template.metrics if not one.dry_run] or template.metrics
            unseen = [one.name for one in deciding if taken[one.name] == blind[one.name] + errors[one.name]]
            return _proven(unseen, say)
        return Exit.DEVIATED if step.phase is Phase.FAILED else Exit.INCONCLUSIVE
    return Exit.INCONCLUSIVE


def _proven(unseen: Sequence[str], say: Say) -> Exit:
    """Pass by what was measured only: a controller promotes also where nothing was."""
    if not unseen:
        return Exit.PASS
    say(f"nothing was measured of {', '.join(unseen)}: no evidence, whatever the controller makes of it")
    return Exit.INCONCLUSIVE


def canary(source: Source, others: Sequence[Source], asked: Asked, say: Say) -> Exit:
    """Judge by a Canary, as Flagger does."""
    _refuse_arguments(source, asked)
    read = flagger_reading.read(source, others, queries=asked.prometheus is not None)
    names = [one.question.name for one in read.checks]
    answers = asked.source(names, {name: series for name, series in BUILTIN.items() if name in names})
    last = Phase.RUNNING.value
    end = min(answers.end, asked.until)
    ask = _in_flaggers_units(answers.ask) if asked.run is not None else answers.ask
    for tick in flagger.walk(read, ask, answers.clock, end=end):
        last = tick.phase.value
        say(f"{tick.at:9.1f} s  weight {tick.weight:3d}  failed {tick.failed}  {tick.said}")
    codes = {flagger.Phase.SUCCEEDED.value: Exit.PASS, flagger.Phase.FAILED.value: Exit.DEVIATED}
    if last == flagger.Phase.SUCCEEDED.value and not names:
        # A check that was asked and had no answer halts it; without any there is nothing to ask.
        say(last)
        return _proven([f"{source.path.name}, which has no metric"], say)
    unfinished = _unfinished(answers.end) if end == answers.end else f"--for ends it after {end:.1f} s"
    say(last if last in codes else f"{last}: {unfinished}")
    return codes.get(last, Exit.INCONCLUSIVE)


def compared(source: Source, _: Sequence[Source], asked: Asked, say: Say) -> Exit:
    """Judge a run's fault window against what was before it, as Kayenta does a canary against its baseline.

    What was before the system had settled says nothing.
    """
    _refuse_arguments(source, asked)
    if asked.at is not None or asked.until < math.inf:
        why = "the fault window is compared with what was before it, from when the system had settled"
        raise UsageError("neither --at nor --for is for a canary configuration", where=str(source.path), why=why)
    config = kayenta_reading.read(source)
    if asked.run is None:
        raise UsageError("a canary configuration is about two samples", where=str(source.path), hint="--run RUN")
    history = answering.history(asked.run, asked.runs)
    answering.check(history, asked.chosen, [rule.name for rule in config.rules])
    if history.window is None:
        raise UsageError("no fault was injected in this run", why="what was before it is compared with what was then")
    begin, end = history.window
    results = []
    for rule in config.rules:
        series = asked.chosen[rule.name]
        control, experiment = (
            _sampled(history, series, *span) for span in ((history.steady_from, begin), (begin, end))
        )
        found = kayenta.classify(rule, control, experiment)
        shift = found.shift
        moved = f"shift {shift.estimate:.6g} ({shift.low:.6g} to {shift.high:.6g})" if shift else ""
        counts = f"{len(control)} values before, {len(experiment)} with the fault"
        say(f"{rule.name}  {found.label:<16}  {moved}  {counts}".replace("    ", "  "))
        results.append(found)
    total = kayenta.score(config, results)
    say(f"{total.classification}: score {total.value:g}" + (f", {total.reason}" if total.reason else ""))
    return {"Pass": Exit.PASS, "Fail": Exit.DEVIATED}.get(total.classification, Exit.INCONCLUSIVE)


def _sampled(history: History, series: str, start: float, end: float) -> list[float]:
    times = [start + number * STEP_SECONDS for number in range(1, int((end - start) / STEP_SECONDS) + 1)]
    found = (recorded.answer(history, series, at, STEP_SECONDS).result for at in times)
    return [math.fsum(one) for one in found if isinstance(one, list) and one]


def _in_flaggers_units(ask: Ask) -> Ask:
    """Make per cent and milliseconds of what a run recorded for Flagger's own metrics."""
    factors = {flagger.SUCCESS_RATE: 100.0, flagger.DURATION: 1000.0}

    def scaled(question: Question, at: float) -> Answer:
        answer = ask(question, at)
        if not isinstance(answer.result, list):
            return answer
        return Answer([value * factors.get(question.name, 1.0) for value in answer.result])

    return scaled


def _refuse_arguments(source: Source, asked: Asked) -> None:
    if asked.given:
        raise UsageError("--arg is for an AnalysisTemplate", where=str(source.path))


def _unfinished(end: float) -> str:
    return f"what was recorded ends after {end:.1f} s"


JUDGES = {reading: argo, flagger_reading: canary, kayenta_reading: compared}
KINDS = tuple(kind for read in JUDGES for kind in read.KINDS)


def judge(sources: Sequence[Source], name: str, asked: Asked, say: Say) -> Exit:
    """Judge by the one object of these that says how, or by the one with a name."""

    def means(data: object) -> bool:
        return any(read.means(data) for read in JUDGES)

    source = files.choose(sources, name, means, KINDS)
    judged = next(judged for read, judged in JUDGES.items() if read.means(source.data))
    return judged(source, sources, asked, say)
