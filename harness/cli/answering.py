"""Who answers what a canary's judge asks: a Prometheus, now or about the past, or the folder of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from harness.analysis import recorded
from harness.analysis.course import Ask, Clock, Virtual
from harness.analysis.measuring import Answer
from harness.analysis.template import LONGEST_SECONDS, Question
from harness.errors import ObservationFailed, UsageError
from harness.model import units
from harness.model.history import History
from harness.probes import answers
from harness.source.closed import nearest


@dataclass(frozen=True, slots=True)
class Source:
    """Whom to ask, the clock to go by, and when there is nothing more to be asked, in seconds since it began."""

    ask: Ask
    clock: Clock
    end: float = math.inf


class Live:
    """Seconds since the analysis began, on a clock that goes by itself."""

    def __init__(self) -> None:
        self.origin = time.monotonic()

    def now(self) -> float:
        """Return seconds since it began."""
        return time.monotonic() - self.origin

    def wait(self, until: float) -> None:
        """Sleep until then."""
        time.sleep(max(0.0, until - self.now()))


def prometheus(url: str, at: str | None) -> Source:
    """Ask a server as time goes by, or about what it knows since `at`; raises UsageError for what is no address."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise click.UsageError(f"--prometheus: {url!r} is not an address, like http://HOST:PORT")
    begun = None if at is None else moment(at)

    def ask(question: Question, after: float) -> Answer:
        try:
            when = None if begun is None else begun + after
            return Answer(answers.ask(url, question.query, at=when, timeout=question.timeout))
        except ObservationFailed as error:
            return Answer(None, error.what)

    return Source(ask, Live()) if begun is None else Source(ask, Virtual(), time.time() - begun)


def run(name: str, runs: Path, at: str | None, chosen: Mapping[str, str], metrics: Sequence[str]) -> Source:
    """Ask what a run recorded, from its first fault on or from `at`; `chosen` says which series answers a metric."""
    seen = history(name, runs)
    check(seen, chosen, metrics)
    first = seen.window[0] if seen.window else seen.start
    begun = first if at is None else duration(at, "--at")
    if begun > seen.end:
        why, since = f"what it recorded ends after {seen.end:.1f} s", "the first fault" if seen.window else "the run"
        hint = f"an earlier time, or none: it then begins with {since}, after {first:.1f} s"
        raise UsageError("the run had ended by then", where=f"--at {at}", why=why, hint=hint)

    def ask(question: Question, after: float) -> Answer:
        over = question.over or recorded.OVER_SECONDS
        return recorded.answer(seen, chosen[question.name], begun + after, over)

    return Source(ask, Virtual(), seen.end - begun)


def check(seen: History, chosen: Mapping[str, str], metrics: Sequence[str]) -> None:
    """Refuse with UsageError what a run did not record, and a metric that nothing answers."""
    known = recorded.names(seen)
    for metric in chosen:
        if metric not in metrics:
            raise UsageError(f"--series: there is no metric '{metric}'", hint=nearest(metric, metrics))
    for metric in metrics:
        if chosen.get(metric) not in known:
            said = f"the run did not record '{chosen[metric]}'" if metric in chosen else f"nothing answers '{metric}'"
            hint = f"--series {metric}=NAME" if metric not in chosen else nearest(chosen[metric], known)
            raise UsageError(said, why=f"it recorded {_listed(known)}", hint=hint)


def _listed(names: Sequence[str]) -> str:
    """List series, those of many subjects once."""
    heads = {name.partition("/")[0] + ("/..." if "/" in name else ""): None for name in names}
    return ", ".join(heads) or "nothing that answers"


def history(name: str, runs: Path) -> History:
    """Read what a run saw."""
    from harness.engine import judge
    from harness.journal import operations, reader
    from harness.journal.runs import find

    found = find(runs, name)
    events, seen = reader.begun(found.dir), operations.read(found.dir)
    if lacking := operations.lacking(events, seen):
        click.echo(f"note: {found.dir}: {lacking}", err=True)
    return judge.history(events, seen)


def duration(text: str, option: str) -> float:
    """Read an option that is a duration, in seconds."""
    try:
        return units.bounded(units.duration, LONGEST_SECONDS)(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def moment(text: str) -> float:
    """Read a time that has come, in seconds since 1970."""
    try:
        found = float(text) if text.replace(".", "", 1).isdecimal() else _iso(text)
    except ValueError:
        raise click.UsageError(f"--at: {text!r} is not a time, like 2026-11-29T10:00:00Z") from None
    if found > time.time():
        raise click.UsageError(f"--at: {text} has not come yet")
    return found


def _iso(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
