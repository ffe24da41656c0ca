"""Draw the page over all experiments and nights: one file, no network, no script, every text escaped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import jinja2

from harness.faults import FAULTS
from harness.model.units import seconds
from harness.nightly import comparison, repeats, text
from harness.nightly.interval import ALLOWED
from harness.nightly.nights import Night
from harness.nightly.sheet import Row, Sheet
from harness.nightly.state import MEANS, State
from harness.report.axis import Scale
from harness.report.html import TEMPLATES as SHARED

TEMPLATES = Path(__file__).parent / "templates"
# So many nights fit side by side; the history has them all.
SHOWN = 30
SIGNS = {State.RIGHT: "✓", State.FLIP: "~", State.REGRESSION: "✗", State.WRONG: "✗", State.UNPROVEN: "?"}
STRIP_WIDTH, STRIP_HEIGHT, EDGE = 430.0, 40.0, 8.0
FAR = 3.0
# Flip rates are drawn on the first of these axes that holds every interval.
AXES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One experiment in one night; `href` is empty where no report lies."""

    state: State | None
    title: str
    href: str = ""

    @property
    def sign(self) -> str:
        """Return the sign."""
        return SIGNS[self.state] if self.state else ""


@dataclass(frozen=True, slots=True)
class Bar:
    """How many experiments of one night came to one state, as a stretch of a column of 100."""

    y: float
    height: float
    state: State
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """One experiment's recovery times on an axis of its own, in seconds and in pixels."""

    row: Row
    dots: tuple[tuple[float, float, str, bool], ...]
    box: tuple[float, float] | None
    middle: float
    limit: float | None
    promised: str
    end: str
    said: str
    tonight: str


def draw(sheet: Sheet, folder: Path, runs: Path) -> str:
    """Return the page for `folder`; a run's report is linked where it lies below `runs` now."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATES, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "share": repeats.percent, "between": repeats.between}
    shown = sheet.nights[-SHOWN:]
    by_name = sorted(sheet.rows, key=lambda row: row.experiment)
    return environment.get_template("night.html").render(
        sheet=sheet,
        shown=shown,
        labels=list(_labels(shown)),
        rows=by_name,
        grid={row.experiment: [_cell(sheet, night, row, folder, runs) for night in shown] for row in by_name},
        bars=[list(_bars(sheet, night, max(len(one.tried) for one in shown))) for night in shown],
        strips=[strip for row in by_name if (strip := _strip(sheet, row))],
        facts=list(_facts(sheet)),
        compared=text.compared(sheet),
        details=[(comparison.title(one.reference), one) for one in sheet.compared],
        comparison=comparison,
        unread=text.unread(sheet) if sheet.unread else "",
        faults=list(FAULTS),
        signs=SIGNS,
        means=MEANS,
        allowed=ALLOWED,
        none=repeats.NONE,
        spelled=repeats.spelled,
        tone=_tone(sheet),
        stamp=_stamp(sheet),
        date=_date,
        axis=next(end for end in AXES if all(row.interval[1] <= end for row in sheet.rows if row.nights)),
        strip_width=STRIP_WIDTH,
        strip_height=STRIP_HEIGHT,
    )


def _tone(sheet: Sheet) -> str:
    if not sheet.code and sheet.counts.get(State.FLIP):
        # It passes, but not in silence.
        return "inconclusive"
    return {0: "pass", 1: "deviated", 2: "inconclusive", 3: "aborted", 6: "dirty"}.get(sheet.code, "unfinished")


def _stamp(sheet: Sheet) -> str:
    if not sheet.code:
        return SIGNS[State.FLIP if sheet.counts.get(State.FLIP) else State.RIGHT]
    return {2: "?", 3: "!"}.get(sheet.code, "✗")


def _facts(sheet: Sheet) -> Iterable[tuple[str, str, str]]:
    """Return the tiles below the banner: a name, a value, a note."""
    night, green = sheet.night, sheet.green
    total, flips = sum(row.nights for row in sheet.rows), sum(row.flipped for row in sheet.rows)
    yield "as declared", f"{night.right} of {len(night.tried)}", f"{sheet.counts.get(State.RIGHT, 0)} at once"
    yield "flips, all nights", f"{flips} of {total}", f"allowed {repeats.percent(ALLOWED)}"
    yield "last green night", _date(green.started) if green else "none", green.name if green else "before this one"
    same = [one for one in sheet.nights[:-1] if one.code == night.code]
    yield "nights on this code", str(len(same) + 1), f"last {same[-1].name}" if same else "this is the first"
    yield "nights", str(len(sheet.nights)), f"since {_date(sheet.nights[0].started)}"
    yield "runs took", _long(night.seconds), _date(night.started)


def _long(time: float) -> str:
    return seconds(time) if time < 120 else f"{time / 60:.0f} min"


def _date(started: float) -> str:
    return datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d")


def _labels(shown: Sequence[Night]) -> Iterable[str]:
    """Name the columns by their day, and by the time where a day has several."""
    days = [_date(night.started) for night in shown]
    for night, day in zip(shown, days, strict=True):
        time = datetime.fromtimestamp(night.started, UTC).strftime(" %H:%M") if days.count(day) > 1 else ""
        yield f"{day[5:]}{time}"


def _cell(sheet: Sheet, night: Night, row: Row, folder: Path, runs: Path) -> Cell:
    tried = night.tried.get(row.experiment)
    if tried is None:
        return Cell(None, f"{row.experiment}, night {night.name}: not run")
    state = sheet.states[night.name][row.experiment]
    shown = ", then ".join(run.verdict or repeats.NONE for run in tried.runs)
    why = next((f": {run.reason}" for run in tried.runs if not run.right and run.reason), "")
    report = runs / tried.last.run / "index.html" if tried.last.run else None
    href = os.path.relpath(report, folder) if report and report.is_file() else ""
    return Cell(state, f"{row.experiment}, night {night.name}: {state}, {shown}{why}", href)


def _bars(sheet: Sheet, night: Night, most: int) -> Iterable[Bar]:
    """Stack a night's states; all nights stand on the same scale."""
    scale, states, done = Scale(0, most, 0.0, 100.0), list(sheet.states[night.name].values()), 0
    for state in State:
        if count := states.count(state):
            done += count
            yield Bar(round(100 - scale(done), 1), scale(count), state, f"night {night.name}: {count} {state}")


def _strip(sheet: Sheet, row: Row) -> Strip | None:
    """Lay out the recovery times of one experiment; None when none was ever seen."""
    runs = [
        (night, run)
        for night in sheet.nights
        if row.experiment in night.tried
        for run in night.tried[row.experiment].runs
        if run.recovery is not None
    ]
    if not runs:
        return None
    times = [float(run.recovery or 0.0) for _, run in runs]
    within = next((run.within for _, run in reversed(runs) if run.within is not None), None)
    # A promise far away would press all that was seen into a corner; it stands in its own column then.
    slowest = max(*times, 0.1)
    near = within is not None and within <= FAR * slowest
    scale = Scale(0.0, max(slowest * 1.15, within if near and within else 0.0), EDGE, STRIP_WIDTH - EDGE)
    lower, middle, upper = quantiles(times, n=4, method="inclusive") if len(times) > 1 else (times[0],) * 3
    dots = []
    for number, ((night, _), time) in enumerate(zip(runs, times, strict=True)):
        # Spread over the height, so that equal times do not hide each other; the same each time it is drawn.
        y = STRIP_HEIGHT / 2 + ((number * 7) % 13 - 6) * 1.3
        dots.append((scale(time), round(y, 1), f"night {night.name}: {seconds(time)}", night is sheet.night))
    tonight = [time for (night, _), time in zip(runs, times, strict=True) if night is sheet.night]
    spread = f" of {len(times)}"
    if len(times) > 3:
        spread = f", half of {len(times)} from {seconds(lower)} to {seconds(upper)}"
    return Strip(
        row=row,
        dots=tuple(dots),
        box=(scale(lower), scale(upper)) if len(times) > 3 else None,
        middle=scale(middle),
        limit=scale(within) if near and within is not None else None,
        promised=seconds(within) if within is not None else "",
        end=seconds(scale.high),
        said=f"median {seconds(median(times))}{spread}",
        tonight=", ".join(seconds(time) for time in tonight) or "-",
    )
