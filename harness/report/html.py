"""Draw the page of a run: one file, no network, no script, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from harness.model.units import percent, seconds
from harness.report import machine, timeline, words
from harness.report.inert import brief
from harness.report.values import View

TEMPLATES = Path(__file__).parent / "templates"
MOST_LINES = 3000


def draw(view: View, place: str = "") -> str:
    """Return the page; `place` is the run's folder, where commands about it have to name that."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "percent": percent, "brief": brief, "moment": _moment, "signs": _signs}
    return environment.get_template("report.html").render(
        view=view,
        place=place,
        words=words,
        facts=list(_facts(view)),
        drawing=timeline.lay_out(view),
        description=describe(view),
        most=MOST_LINES,
    )


def describe(view: View) -> str:
    """Tell in sentences what the timeline shows."""
    told = [f"The run took {seconds(view.end)}."]
    if view.phases:
        told.append("Phases: " + ", ".join(f"{item.name} from {item.start:.1f} s" for item in view.phases) + ".")
    if view.window:
        told.append(f"The fault window lasted from {view.window[0]:.1f} s to {view.window[1]:.1f} s.")
    told += [f"{fault.kind} on {fault.victim}: {words.fault_state(fault)}." for fault in view.faults]
    told += [f"{mark.title} at {mark.time:.1f} s." for mark in view.aborts]
    told += [f"From {one.start:.1f} s to {one.end:.1f} s {machine.told(one)}." for one in view.machine if one.starved]
    told += [f"{mark.title} at {mark.time:.1f} s ({mark.text})." for mark in view.kubernetes if mark.grave]
    told += [
        f"Host {track.name} was ejected from {next(time for time, on in track.points if on):.1f} s."
        for track in view.ejections
    ]
    seen = [bucket for bucket in view.buckets if bucket.availability is not None]
    if seen:
        worst = min(seen, key=lambda bucket: bucket.availability or 0.0)
        slowest = max(seen, key=lambda bucket: bucket.p99 or 0.0)
        told.append(
            f"Availability was lowest at {worst.start:g} s with {percent(worst.availability or 0.0)}; "
            f"p99 was highest at {slowest.start:g} s with {seconds(slowest.p99 or 0.0)}."
        )
    if view.buckets:
        gaps = ", ".join(f"{start:g} s to {end:g} s" for start, end in view.gaps)
        told.append(f"There is no data from {gaps}." if gaps else "The data has no gap.")
    return " ".join(told)


def _facts(view: View) -> Iterable[tuple[str, str, str]]:
    """Return the tiles below the banner: a name, a value, a note."""
    judged = words.score(view)
    yield "objectives", judged, "baseline, fault window and recovery" if view.findings else ""
    yield (
        "evidence",
        words.evidence(view).removeprefix("evidence "),
        f"{len(view.faults)} fault{'s' * (len(view.faults) != 1)} planned",
    )
    yield "undo", words.undo(view), _slowest(view)
    recovery = next((item for item in view.findings if item.checker == "recovery"), None)
    if recovery:
        yield "recovery", recovery.recovery or "no data", f"promised {_signs(recovery.target)}"
    if view.load:
        total = sum(bucket.operations for bucket in view.buckets)
        failed = sum(bucket.failed for bucket in view.buckets)
        rates = [view.load.get("rate", 0), *(stage["rate"] for stage in view.load.get("stages", ()))]
        pace = f"{min(rates):g}/s" + (f" to {max(rates):g}/s" if max(rates) > min(rates) else "")
        rate = f"{view.load.get('workload', 'load')} at {pace}"
        yield "load", f"{total:,} operations", f"{failed:,} failed, {rate}"
    yield "duration", seconds(view.duration), words.date(view)


def _slowest(view: View) -> str:
    return f"slowest {seconds(max(item.seconds for item in view.undo))}" if view.undo else ""


def _moment(time: Any) -> str:
    return "-" if time is None else f"{float(time):.2f} s"


def _signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤")
