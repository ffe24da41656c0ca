"""What those are told who do not take part."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.gameday import announcing, plan
from tests.unit.gameday.conftest import Go, planned, write

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def unfolded(text: str) -> list[str]:
    assert text.endswith("\r\n")
    return text.replace("\r\n ", "").removesuffix("\r\n").split("\r\n")


@given(st.text())
def test_a_folded_line_is_short_enough_and_whole(text: str) -> None:
    parts = list(announcing.folded(text))
    assert all(len(part.encode(errors="surrogatepass")) <= 75 for part in parts)
    assert all(part.startswith(" ") for part in parts[1:])
    assert parts[0] + "".join(part[1:] for part in parts[1:]) == text


def test_the_event_is_in_utc_and_stays_the_same_event(folder: Path) -> None:
    window = {"from": "2026-12-03 10:00", "to": "2026-12-03 11:30", "timezone": "Europe/Berlin"}
    write(folder, planned() | {"window": window, "title": "a; b, c\\d"})
    lines = unfolded(announcing.event(plan.read(folder), NOW))
    assert "DTSTART:20261203T090000Z" in lines
    assert "DTEND:20261203T103000Z" in lines
    assert "DTSTAMP:20261130T120000Z" in lines
    assert "SUMMARY:Game day: a\\; b\\, c\\\\d" in lines
    assert "UID:day@kube-chaos-harness" in lines
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-1] == "END:VCALENDAR"


def test_responders_are_not_told_what_will_be_broken(folder: Path, gameday: Go) -> None:
    done = gameday("announce")
    assert done.exit_code == 0
    assert "in #gameday" in done.stdout
    assert "harness gameday abort" in done.stdout
    assert "customers call" in done.stdout
    for told in (done.stdout, (folder / "gameday.ics").read_text()):
        assert "cart" not in told.lower().replace("carts and webs go", "")
