"""Lay the run out on one time axis: phases, faults, events, and a small chart for each indicator below them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.model.units import percent, seconds
from harness.report import axis, words
from harness.report.axis import Scale
from harness.report.drawing import BOLD, LEFT, LETTER, RIGHT, Drawing, Path, Rect, Text
from harness.report.inert import brief
from harness.report.values import Bucket, Fault, Mark, Track, View

MOST_FAULTS, MOST_TRACKS = 16, 6
BREAKER = {1.0: ("half", "half-open"), 2.0: ("open", "open")}
EJECTED = {1.0: ("ejected", "ejected")}
PATTERNS = {"pod": "diagonal", "node": "cross", "container": "dots"}


def lay_out(view: View) -> Drawing:
    """Return the drawing of a run."""
    drawing = Drawing(Scale(0.0, max(view.end, 1.0), LEFT, RIGHT))
    _phases(drawing, view)
    begin = drawing.y
    _aborts(drawing, view.aborts)
    _faults(drawing, view.faults, view.end)
    _kubernetes(drawing, view.kubernetes)
    for track in view.breakers[:MOST_TRACKS]:
        _states(drawing, track, view.end, "breaker", BREAKER)
    for track in view.ejections[:MOST_TRACKS]:
        _states(drawing, track, view.end, "host", EJECTED)
    for track in view.ready[:MOST_TRACKS]:
        _ready(drawing, track, view.end)
    if view.buckets:
        _availability(drawing, view)
        _latency(drawing, view)
    _grid(drawing, view, begin)
    return drawing


def _phases(drawing: Drawing, view: View) -> None:
    y, height = drawing.y, 22.0
    drawing.label(y + 15, "phases")
    for number, span in enumerate(view.phases):
        title = f"{span.name}: {span.start:.1f} s to {span.end:.1f} s"
        rect = drawing.span(span.start, span.end, y, height, f"phase phase{number % 2}", title)
        if rect.width > len(span.name) * LETTER + 8:
            drawing.texts.append(Text(rect.x + rect.width / 2, y + 15, span.name, "middle"))
    drawing.y = y + height + 10


def _aborts(drawing: Drawing, marks: Sequence[Mark]) -> None:
    if not marks:
        return
    drawing.label(drawing.y + 11, "aborts")
    for mark in marks:
        x = drawing.time(mark.time)
        late = x > (LEFT + RIGHT) / 2
        style = "abort-text end" if late else "abort-text"
        drawing.texts.append(Text(x - 5 if late else x + 5, drawing.y + 11, mark.title, style))
    drawing.y += 20


def _faults(drawing: Drawing, faults: Sequence[Fault], end: float) -> None:
    for fault in faults[:MOST_FAULTS]:
        y, told = drawing.y, brief(f"{fault.victim} · {words.fault_state(fault)}", int((RIGHT - LEFT) / LETTER))
        drawing.label(y + 19, fault.kind)
        start = fault.injected if fault.injected is not None else fault.heal_requested or 0.0
        room = RIGHT - len(told) * LETTER
        drawing.texts.append(Text(round(max(LEFT, min(drawing.time(start), room)), 1), y + 10, told, "note"))
        if fault.injected is not None:
            asked = end if fault.heal_requested is None else fault.heal_requested
            until = end if fault.healed is None else fault.healed
            title = f"{fault.kind} on {fault.victim}: requested from {fault.injected:.1f} s to {asked:.1f} s"
            drawing.span(fault.injected, asked, y + 14, 12, "asked", title)
            if fault.undone is None and fault.healed is None:
                drawing.span(asked, end, y + 14, 12, "owed", f"{fault.kind} on {fault.victim}: not seen undone")
            if fault.felt is not None:
                pattern = PATTERNS.get(fault.kind.partition("_")[0], "dots")
                title = f"{fault.kind} on {fault.victim}: felt at {fault.felt:.1f} s, healed at {until:.1f} s"
                drawing.span(fault.felt, max(until, fault.felt), y + 16, 8, f"fault {pattern}", title)
        drawing.y = y + 32
    if len(faults) > MOST_FAULTS:
        drawing.label(drawing.y + 10, f"and {len(faults) - MOST_FAULTS} more", "lane soft")
        drawing.y += 18


def _kubernetes(drawing: Drawing, marks: Sequence[Mark]) -> None:
    if not marks:
        return
    y = drawing.y + 4
    drawing.label(y + 11, "cluster events")
    drawing.rail(y + 7)
    groups: list[list[Mark]] = []
    for mark in marks:
        if groups and drawing.time(mark.time) - drawing.time(groups[-1][0].time) < 4:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    for group in groups:
        told = "; ".join(f"{mark.time:.1f} s {mark.title}" for mark in group[:8])
        more = f"; and {len(group) - 8} more" if len(group) > 8 else ""
        height = min(14.0, 6.0 + 2.0 * len(group))
        style = "event grave" if any(mark.grave for mark in group) else "event"
        drawing.rects.append(Rect(drawing.time(group[0].time), y + 7 - height / 2, 3, height, style, told + more))
    drawing.y = y + 22


def _states(drawing: Drawing, track: Track, end: float, what: str, known: Mapping[float, tuple[str, str]]) -> None:
    """Draw the stretches in which a breaker was not closed, or a host was not asked."""
    y, room = drawing.y, int((LEFT - 8) / BOLD) - len(what) - 1
    # Of a pod's long name the end tells it from the others.
    drawing.label(y + 11, f"{what} {track.name if len(track.name) <= room else '…' + track.name[1 - room :]}")
    drawing.rail(y + 7, drawing.time(track.points[0][0]))
    following = [*(time for time, _ in track.points[1:]), end]
    for (time, value), until in zip(track.points, following, strict=True):
        if value is not None and value in known:
            style, word = known[value]
            title = f"{what} {track.name} {word} from {time:.1f} s to {until:.1f} s"
            rect = drawing.span(time, until, y, 14, f"state {style}", title)
            if rect.width > len(word) * LETTER + 6:
                drawing.texts.append(Text(rect.x + rect.width / 2, y + 11, word, "middle inverse"))
    drawing.y = y + 22


def _ready(drawing: Drawing, track: Track, end: float) -> None:
    y, height = drawing.y + 4, 26.0
    known = [value for _, value in track.points if value is not None]
    wanted = track.wanted if track.wanted is not None else max(known, default=1.0)
    scale = Scale(0, max([1.0, wanted, *known]), y + height, y)
    drawing.label(y + 12, track.name.rpartition("/")[2])
    fewest = f"{min(known):g} to {max(known):g}" if known else "no data"
    drawing.label(y + 25, f"{fewest} ready of {wanted:g}", "soft")
    drawing.paths.append(Path(f"M{LEFT} {scale(wanted)}H{RIGHT}", "limit"))
    path, previous = "", None
    following = [*(time for time, _ in track.points[1:]), end]
    for (time, value), until in zip(track.points, following, strict=True):
        if value is not None:
            move = "V" if previous is not None else f"M{drawing.time(time)} "
            path += f"{move}{scale(value)}H{drawing.time(until)}"
        previous = value
    drawing.paths.append(Path(path, "steps", f"ready pods of {track.name}: {fewest}, {wanted:g} wanted"))
    drawing.y = y + height + 8


def _availability(drawing: Drawing, view: View) -> None:
    top, bottom = drawing.y + 12, drawing.y + 82
    shares = [bucket.availability for bucket in view.buckets if bucket.availability is not None]
    limit = view.limits.get("ratio")
    scale, ticks = axis.availability(min([*shares, *([limit] if limit is not None else [])]), top, bottom)
    drawing.label(top + 9, "availability")
    drawing.label(top + 23, _every(view), "soft")
    _frame(drawing, scale, ticks, top, bottom)
    _hatch_gaps(drawing, view, top, bottom)
    runs = _runs(drawing.time, view, lambda bucket: bucket.availability, scale)
    for run in runs:
        drawing.paths.append(Path(f"{_line(run)}V{bottom}H{run[0][0]}Z", "area"))
    drawing.paths += [Path(_line(run), "line good") for run in runs]
    for bucket in view.buckets:
        if bucket.failed and bucket.availability is not None:
            x, y = drawing.time(bucket.start + view.bucket_seconds / 2), scale(bucket.availability)
            told = f"{bucket.start:g} s: {bucket.failed} of {bucket.operations} failed"
            drawing.front.append(Rect(round(x - 3.5, 1), round(y - 3.5, 1), 7, 7, "bad", told))
    if limit is not None:
        _limit(drawing, scale(limit), f"at least {percent(limit)}")
    drawing.y = bottom + 12


def _latency(drawing: Drawing, view: View) -> None:
    top, bottom = drawing.y + 12, drawing.y + 112
    limits = {name: view.limits[name] for name in ("p50", "p95", "p99") if name in view.limits}
    values = [value for bucket in view.buckets for value in (bucket.p50, bucket.p99) if value is not None]
    scale, ticks = axis.latency(min([*values, *limits.values()]), max([*values, *limits.values()]), top, bottom)
    drawing.label(top + 9, "latency")
    drawing.label(top + 23, "log scale", "soft")
    _frame(drawing, scale, ticks, top, bottom)
    _hatch_gaps(drawing, view, top, bottom)
    getters: dict[str, Callable[[Bucket], float | None]] = {
        "p99": lambda bucket: bucket.p99, "p95": lambda bucket: bucket.p95, "p50": lambda bucket: bucket.p50,
    }  # fmt: skip
    for number, (name, get) in enumerate(getters.items()):
        y = top + 40 + 15 * number
        drawing.paths.append(Path(f"M0 {y}H22", f"line {name}"))
        drawing.texts.append(Text(28, y + 4, name, "soft"))
        runs = _runs(drawing.time, view, get, scale)
        drawing.paths += [Path(_line(run), f"line {name}", f"latency {name}") for run in runs]
    for name, limit in limits.items():
        below = limit < max(limits.values())
        _limit(drawing, scale(limit), f"{name} at most {seconds(limit)}", below=below)
    drawing.y = bottom + 8


def _every(view: View) -> str:
    return "each second" if view.bucket_seconds == 1 else f"each {seconds(view.bucket_seconds)}"


def _frame(drawing: Drawing, scale: Scale, ticks: Sequence[tuple[float, str]], top: float, bottom: float) -> None:
    drawing.back.append(Rect(LEFT, top, RIGHT - LEFT, bottom - top, "plot"))
    for value, label in ticks:
        drawing.rail(scale(value))
        drawing.texts.append(Text(LEFT - 6, scale(value) + 4, label, "tick end"))


def _hatch_gaps(drawing: Drawing, view: View, top: float, bottom: float) -> None:
    for start, end in view.gaps:
        drawing.span(start, end, top, bottom - top, "gap", f"no data from {start:g} s to {end:g} s")
        middle = (drawing.time(start) + drawing.time(end)) / 2
        drawing.texts.append(Text(round(middle, 1), (top + bottom) / 2 + 4, "no data", "middle note"))


def _limit(drawing: Drawing, y: float, text: str, *, below: bool = False) -> None:
    drawing.paths.append(Path(f"M{LEFT} {y}H{RIGHT}", "limit", text))
    drawing.texts.append(Text(RIGHT - 4, round(y + (12 if below else -4), 1), text, "end limit-text"))


def _runs(
    time: Scale, view: View, get: Callable[[Bucket], float | None], scale: Scale
) -> list[list[tuple[float, float]]]:
    """Cut a series into unbroken runs of points: what lies on two sides of a gap is never joined."""
    runs: list[list[tuple[float, float]]] = [[]]
    for bucket in view.buckets:
        value = get(bucket)
        if value is None:
            runs.append([])
        else:
            runs[-1].append((time(bucket.start + view.bucket_seconds / 2), scale(value)))
    return [run for run in runs if run]


def _line(run: Sequence[tuple[float, float]]) -> str:
    # A point alone is drawn as a dot: a line of no length with a round end.
    points = run if len(run) > 1 else [*run, run[0]]
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _grid(drawing: Drawing, view: View, begin: float) -> None:
    bottom = drawing.y + 2
    for time, label in axis.time_ticks(view.end):
        x = drawing.time(time)
        drawing.back.append(Rect(x, begin, 1, bottom - begin, "grid"))
        drawing.texts.append(Text(x, bottom + 14, label, "tick middle"))
    if view.window:
        start, end = (drawing.time(time) for time in view.window)
        title = f"fault window: {view.window[0]:.1f} s to {view.window[1]:.1f} s"
        drawing.back.append(
            Rect(start, begin - 6, max(2.0, round(end - start, 1)), bottom - begin + 6, "window", title)
        )
    for mark in view.aborts:
        x = drawing.time(mark.time)
        drawing.paths.append(
            Path(f"M{x} {begin - 6}V{bottom}", "abort", f"{mark.time:.1f} s {mark.title}: {mark.text}")
        )
    drawing.y = bottom + 22
