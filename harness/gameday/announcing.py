"""Tell those who do not take part: a text for a channel, an event for a calendar.

Neither says what will be broken: responders may be uninformed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from harness.gameday import text
from harness.gameday.plan import ONE, GameDay
from harness.report.inert import block

FILE = "gameday.ics"
# RFC 5545: a line has no more octets.
LONGEST = 75


def announcement(day: GameDay) -> str:
    """Return the text for a channel."""
    said = [
        f"Game day: {day.title}",
        f"When: {day.period}",
        f"Where: cluster {day.context or 'the local one'}; {text.reach(one.experiment for one in day.steps)}",
        f"Who: {'; '.join(f'{role} {day.roles[role][0]}' for role in ONE)}",
        "What for:",
        *(f"- {goal}" for goal in day.goals),
        day.communication,
        "Anybody may stop it, and needs nobody's leave, as soon as:",
        *(f"- {rule}" for rule in day.abort_when),
        'How: tell the coordinator, or `harness gameday abort --why "..."`, or `harness lever on` for the cluster',
    ]
    return block("\n".join(said))


def event(day: GameDay, now: datetime) -> str:
    """Return the event as a file for a calendar; the same folder's is the same event, whatever was edited."""
    start, end, stamp = (f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}" for moment in (*day.window, now))
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//kube-chaos-harness//gameday//EN", "BEGIN:VEVENT"),
        f"UID:{_escaped(day.folder.resolve().name)}@kube-chaos-harness",
        *(f"DTSTAMP:{stamp}", f"DTSTART:{start}", f"DTEND:{end}"),
        f"SUMMARY:{_escaped(f'Game day: {day.title}')}",
        f"DESCRIPTION:{_escaped(announcement(day))}",
        *("END:VEVENT", "END:VCALENDAR"),
    ]
    return "".join(f"{part}\r\n" for one in lines for part in folded(one))


def _escaped(value: str) -> str:
    for sign in "\\;,":
        value = value.replace(sign, f"\\{sign}")
    return block(value).replace("\n", "\\n")


def folded(value: str) -> Iterator[str]:
    """Break one line into those that are short enough, between letters; all but the first begin with a space."""
    part = ""
    for letter in value:
        if len((part + letter).encode()) > LONGEST:
            yield part
            part = " "
        part += letter
    yield part
