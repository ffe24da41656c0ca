"""Draw who had the machine's CPU below the run: cluster and harness, others on top of them, the rest idle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.checkers.machine import Reading
from harness.model.units import rounded
from harness.report.axis import Scale
from harness.report.drawing import LEFT, RIGHT, Drawing, Path, Rect, Text

HEIGHT = 56.0
Layer = tuple[float, float, float, float]  # from, to, bottom share, top share


def lane(drawing: Drawing, readings: Sequence[Reading]) -> None:
    """Draw the lane, and mark the seconds in which the machine was taken away from the cluster."""
    if not readings:
        return
    top, bottom = drawing.y + 12, drawing.y + 12 + HEIGHT
    scale = Scale(0.0, 1.0, bottom, top)
    drawing.label(top + 9, "machine")
    drawing.label(top + 23, "CPU, of all cores", "soft")
    drawing.back.append(Rect(LEFT, top, RIGHT - LEFT, bottom - top, "plot"))
    for part in (0.0, 0.5, 1.0):
        drawing.rail(scale(part))
        drawing.texts.append(Text(LEFT - 6, scale(part) + 4, rounded(part), "tick end"))
    for number, (name, layers) in enumerate((("cluster", _ours(readings)), ("others", _theirs(readings)))):
        y = top + 38 + 15 * number
        drawing.rects.append(Rect(0, y - 9, 22, 9, f"cpu {name}"))
        drawing.texts.append(Text(28, y, name, "soft"))
        for run in _runs(layers):
            drawing.paths.append(Path(_area(drawing.time, scale, run), f"cpu {name}", _summed(name, run)))
    for reading in readings:
        # What is left white was idle, so what nobody knows must not be.
        if reading.cluster is None or reading.taken is None:
            title = f"from {reading.start:.1f} s to {reading.end:.1f} s nobody knows who had the CPU"
            drawing.span(reading.start, reading.end, top, bottom - top, "gap", title)
        if reading.starved:
            title = f"{reading.start:.1f} s to {reading.end:.1f} s: {told(reading)}"
            drawing.span(reading.start, reading.end, top - 8, 5, "starved", title)
    drawing.y = bottom + 12


def told(reading: Reading) -> str:
    """Say in a few words who had what."""
    named = [name for name, _ in sorted(reading.names.items(), key=lambda item: -item[1])][:3]
    by = f" ({', '.join(named)})" if named else ""
    return f"others took {rounded(reading.taken or 0.0)}{by}, {rounded(reading.idle or 0.0)} was idle"


def _ours(readings: Iterable[Reading]) -> list[Layer]:
    return [(one.start, one.end, 0.0, _used(one)) for one in readings if one.cluster is not None]


def _theirs(readings: Iterable[Reading]) -> list[Layer]:
    return [
        (one.start, one.end, _used(one), min(1.0, _used(one) + one.taken)) for one in readings if one.taken is not None
    ]


def _used(reading: Reading) -> float:
    return min(1.0, (reading.cluster or 0.0) + (reading.harness or 0.0))


def _runs(layers: Iterable[Layer]) -> list[list[Layer]]:
    """Cut into unbroken runs: nothing is drawn where nothing was seen."""
    runs: list[list[Layer]] = []
    for layer in layers:
        if runs and runs[-1][-1][1] == layer[0]:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return runs


def _area(time: Scale, scale: Scale, run: Sequence[Layer]) -> str:
    there = "".join(f"V{scale(top)}H{time(end)}" for _, end, _, top in run)
    back = "".join(f"V{scale(below)}H{time(start)}" for start, _, below, _ in reversed(run))
    return f"M{time(run[0][0])} {scale(run[0][2])}{there}{back}Z"


def _summed(name: str, run: Sequence[Layer]) -> str:
    whole = sum(end - start for start, end, _, _ in run)
    mean = sum((end - start) * (top - below) for start, end, below, top in run) / whole
    most = max(top - below for _, _, below, top in run)
    who = "cluster and harness" if name == "cluster" else name
    return (
        f"{who} used {rounded(mean)} of the CPU from {run[0][0]:.1f} s to {run[-1][1]:.1f} s, at most {rounded(most)}"
    )
