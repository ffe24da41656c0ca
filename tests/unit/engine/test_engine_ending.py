"""A verdict that is not PASS is written down with its cause, which a run without failures does not have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.engine import ending
from harness.engine.preflight.scope import Scope
from harness.engine.watching import metrics
from harness.journal import operations, reader
from harness.journal.writer import Journal
from harness.model.experiment import BlastRadius, Experiment, LoadSpec, Phases
from harness.model.objective import Objective
from harness.model.verdict import Verdict
from tests.unit.engine.doubles import Kube

PLAN = {"faults": [{"id": "r-1", "kind": "pod_kill", "victim": {"namespace": "shop", "name": "web-1"}}]}
WHY = "availability 40 % below 80 % for 10 s"


class Pulled:
    """An abort that was pulled by a trigger, or by none."""

    def __init__(self, trigger: str) -> None:
        self.trigger, self.reason = trigger, WHY

    def __bool__(self) -> bool:
        return bool(self.trigger)


@pytest.fixture(autouse=True)
def without_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(session: Any) -> None:
        return None

    monkeypatch.setattr(metrics, "collect", nothing)


def ended(
    directory: Path, status: int, unwritten: str = "", cut: str = "", taken: float = 0.0
) -> tuple[dict[str, Any], Any]:
    """Judge a run of a hundred operations with one status; return its verdict as written down, and its outcome.

    `cut` is the trigger of an abort; `taken` the share of a machine with nothing idle that others took.
    """
    experiment = Experiment(
        path=Path("shop/x.yaml"), title="x", description="", tags=(), hypothesis="", probes=(), method=(), rollbacks=(),
        sets=frozenset(), load=LoadSpec("mixed", 10.0), phases=Phases(), abort_when=None, blast_radius=BlastRadius(),
        objectives=(Objective("availability", {"ratio": 0.9}),),
    )  # fmt: skip
    with Journal(directory, "r1") as journal:
        started = {"rate": 10.0, "origin_ns": journal.origin_ns, "record": operations.RECORD.size}
        for kind, data in (
            ("plan", PLAN),
            ("load.started", started),
            ("fault.injected", {"id": "r-1", "at": 0.0, "facts": {}}),
            ("fault.felt", {"id": "r-1"}),
            ("sample", {"series": "machine/others", "value": taken, "labels": {}, "time": 1.0}),
            ("sample", {"series": "machine/idle", "value": 0.0, "labels": {}, "time": 1.0}),
            *([("abort", {"trigger": cut, "why": WHY})] if cut else []),
            ("load.ended", {"operations": 100}),
        ):
            journal.write(kind, "hold", **data)
        with (directory / operations.FILE).open("wb") as file:
            for number in range(100):
                due = journal.origin_ns + number
                file.write(operations.RECORD.pack(due, due, due, status, 1, 0, b"web-2", b"", b"timeout: mail", 0, 0))
        journal.write("fault.healed", "heal", id="r-1")
        session: Any = SimpleNamespace(
            experiment=experiment,
            journal=journal,
            directory=directory,
            plan=SimpleNamespace(run="r1"),
            kube=Kube(),
            scope=Scope(),
            abort=Pulled(cut),
            spans={},
            unclean=[],
            unwritten=unwritten,
            cause="",
            begun=True,
            write=lambda kind, **data: journal.write(kind, "judge", **data),
        )
        verdict, reason = anyio.run(ending.judged, session, None)
        ending.close(session, verdict, reason, 0.0)
    written = next(dict(event.data) for event in reader.read(directory) if event.type == "verdict")
    return written, ending.draw(session, verdict, reason, 0.0)


def test_a_run_that_deviates_says_why_in_its_journal_and_in_its_outcome(tmp_path: Path) -> None:
    written, outcome = ended(tmp_path, 503)
    assert outcome.verdict is Verdict.DEVIATED
    assert written["cause"] == outcome.cause
    assert "all 100 failures came of calls to mail that timed out" in outcome.cause
    assert "why    after pod_kill on web-1" in outcome.text


def test_a_run_that_passes_has_no_cause(tmp_path: Path) -> None:
    written, outcome = ended(tmp_path, 200)
    assert outcome.verdict is Verdict.PASS
    assert (written["cause"], outcome.cause) == ("", "")


def test_a_journal_that_lacks_something_does_not_speak_for_the_run(tmp_path: Path) -> None:
    _, outcome = ended(tmp_path, 200, unwritten="undo could not be written: No space left on device")
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert outcome.text.startswith("VERDICT  INCONCLUSIVE  journal: undo could not be written")
    assert "nothing is left broken" in outcome.text
    assert "lacks something" in outcome.text


@pytest.mark.parametrize(
    ("cut", "taken", "verdict", "reason"),
    [
        ("lever", 0.0, Verdict.ABORTED, WHY),
        ("abort-when", 0.0, Verdict.DEVIATED, f"abort-when: {WHY}"),
        ("abort-when", 0.5, Verdict.INCONCLUSIVE, f"abort-when: {WHY}, but others took 50 % of the machine's CPU"),
    ],
)
def test_a_run_cut_short_by_its_own_rule_is_judged_by_it_and_one_that_others_end_is_aborted(
    tmp_path: Path, cut: str, taken: float, verdict: Verdict, reason: str
) -> None:
    written, outcome = ended(tmp_path, 200, cut=cut, taken=taken)
    assert outcome.verdict is verdict
    assert written["reason"].startswith(reason), written["reason"]
