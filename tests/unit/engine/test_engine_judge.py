"""A run is read back from its journal alone: window, faults, samples."""

from __future__ import annotations

from typing import Any

from harness.engine import judge
from harness.journal.event import Event

PLAN = {
    "faults": [
        {"id": "r-1", "kind": "pod_kill", "victim": {"namespace": "shop", "name": "web-1"}},
        {"id": "r-2", "kind": "node_cordon", "victim": {"namespace": "", "name": "n1"}},
    ]
}


def journal(*entries: tuple[float, str, dict[str, Any]]) -> list[Event]:
    """Number events as the writer does."""
    return [Event(n, 1000 + t, t, "inject", kind, data) for n, (t, kind, data) in enumerate(entries, 1)]


def test_the_window_runs_from_the_first_injection_to_the_last_healing() -> None:
    seen = judge.history(
        journal(
            (0, "plan", PLAN),
            (3, "fault.injected", {"id": "r-1", "at": 2.5, "facts": {"uid": "x"}}),
            (4, "fault.injected", {"id": "r-2", "at": 3.5, "facts": {}}),
            (5, "fault.felt", {"id": "r-1", "evidence": {"replacement": "y"}}),
            (7, "fault.healed", {"id": "r-2"}),
            (9, "fault.healed", {"id": "r-1"}),
            (12, "run.end", {}),
        ),
        [],
    )
    assert seen.window == (2.5, 9)
    assert [fault.victim for fault in seen.faults] == ["shop/web-1", "n1"]
    assert seen.faults[0].evidence == {"uid": "x", "replacement": "y"}
    assert seen.faults[1].felt is None


def test_a_fault_that_was_never_seen_healed_keeps_the_window_open_to_the_end() -> None:
    seen = judge.history(
        journal((0, "plan", PLAN), (3, "fault.injected", {"id": "r-1", "facts": {}}), (20, "run.end", {})), []
    )
    assert seen.window == (3, 20)


def test_a_run_without_injection_has_no_window() -> None:
    assert judge.history(journal((0, "plan", PLAN), (1, "run.end", {})), []).window is None


def test_a_sample_that_carries_its_own_time_keeps_it() -> None:
    seen = judge.history(journal((9, "sample", {"series": "breaker/x", "value": 2.0, "time": 4.0})), [])
    assert seen.samples[0].time == 4.0
