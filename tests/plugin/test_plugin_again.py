"""What other plugins and options do to a session leaves its verdicts and its exit code what they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from harness.errors import UsageError
from harness.model.verdict import Verdict
from harness.pytest_plugin.unread import Patient
from tests.plugin.documents import write

pytest_plugins = ["pytester"]

Door = Callable[..., list[object]]
AGAIN = ["-p", "pytest_rerunfailures", "--reruns"]
WRONG, RIGHT = Verdict.DEVIATED, Verdict.PASS


@pytest.mark.parametrize(
    ("turns", "code", "runs"),
    [
        ([WRONG, RIGHT], 0, 2),
        ([WRONG, WRONG, WRONG], 1, 3),
        ([Verdict.INCONCLUSIVE, RIGHT], 0, 2),
        ([Verdict.ABORTED, Verdict.INCONCLUSIVE, WRONG], 1, 3),
        ([Verdict.DIRTY, RIGHT], 6, 1),
    ],
)
def test_of_an_experiment_that_is_run_again_the_last_time_counts(
    pytester: pytest.Pytester, door: Door, turns: list[Verdict], code: int, runs: int
) -> None:
    calls = door(kill=list(turns))
    write(pytester, "kill")
    result = pytester.runpytest_inprocess(*AGAIN, "2", "experiments")
    assert (result.ret, len(calls)) == (code, runs)
    for verdict in turns[:runs]:
        assert str(verdict) in result.stdout.str()
    assert result.stdout.str().count("(run again)") == (0 if code == 6 else runs - 1)


def test_one_that_could_not_begin_and_then_passes_has_passed(pytester: pytest.Pytester, door: Door) -> None:
    door(kill=[UsageError("the lever is on"), RIGHT])
    write(pytester, "kill")
    assert pytester.runpytest_inprocess(*AGAIN, "1", "experiments").ret == 0


@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--exitfirst"])
def test_a_session_that_stops_early_ends_with_the_code_of_what_it_ran(
    pytester: pytest.Pytester, door: Door, option: str
) -> None:
    calls = door(a=WRONG, b=RIGHT)
    write(pytester, "a")
    write(pytester, "b")
    assert pytester.runpytest_inprocess(option, "experiments").ret == 1
    assert len(calls) == 1


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_session_without_a_terminal_ends_with_its_verdict(
    pytester: pytest.Pytester, door: Door, verdict: Verdict
) -> None:
    door(kill=verdict)
    write(pytester, "kill")
    assert pytester.runpytest_inprocess("-p", "no:terminal", "experiments").ret == int(verdict.exit)


@pytest.mark.case(
    25,
    "a pod of a namespace outside the blast radius is on the node to be drained, in a set",
    "that run is refused and says so; the set goes on, and the worst verdict counts",
)
@pytest.mark.parametrize(("last", "code"), [(RIGHT, 2), (WRONG, 1)])
def test_a_run_that_never_began_does_not_end_the_set(
    pytester: pytest.Pytester, door: Door, last: Verdict, code: int
) -> None:
    calls = door(a=RIGHT, b=Verdict.INCONCLUSIVE, c=last)
    for name in "abc":
        write(pytester, name)
    assert (pytester.runpytest_inprocess("experiments").ret, len(calls)) == (code, 3)


def test_a_reader_who_leaves_ends_neither_the_writer_nor_its_process() -> None:
    program = (
        "import sys; from harness.pytest_plugin.unread import Patient\n"
        "out = Patient(sys.stdout); sys.stdin.readline()\n"
        "for _ in range(3): out.write('x' * 100000); out.flush()\n"
        "sys.exit(3)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout
    writer.stdout.close()
    writer.communicate(b"\n")
    assert writer.returncode == 3


STAND_IN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from harness.cluster.host import machine
from harness.engine.options import Outcome
from harness.model.verdict import Verdict

machine.warning = lambda: ""
ENDING = Outcome(Verdict.INCONCLUSIVE, 2, False, "r", Path("r"), "VERDICT\\n  籠 of r", 1.0, 0.1, "籠")
# The engine itself takes longer to import than the session takes.
sys.modules["harness.engine.run"] = SimpleNamespace(run=lambda experiment, options: ENDING)
"""


def prepare(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:cov -p no:anyio")
    pytester.makeconftest(STAND_IN)
    write(pytester, "kill")


def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    prepare(pytester, monkeypatch)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "experiments"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_session_whose_reader_leaves_at_once_ends_with_its_verdict(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = session(pytester, monkeypatch)
    assert running.stdout
    running.stdout.close()
    assert running.stderr
    with running.stderr:
        assert running.stderr.read() == b""
    assert running.wait(60) == 2


@pytest.mark.parametrize("streams", ["<&- 2>&-", ">&-", "<&- >&- 2>&-", ">/dev/full"])
def test_a_session_that_can_tell_nobody_ends_with_its_verdict(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, streams: str
) -> None:
    prepare(pytester, monkeypatch)
    argv = ["sh", "-c", f'"$0" -m pytest experiments {streams}', sys.executable]
    assert subprocess.run(argv, cwd=pytester.path, capture_output=True, check=False).returncode == 2


@pytest.mark.case(
    17,
    "the terminal's encoding cannot hold a pod's name or a title",
    "the characters are replaced, the exit code is the verdict's",
)
def test_what_a_sessions_terminal_cannot_show_is_replaced_and_lines_stay_lines(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    running = session(pytester, monkeypatch)
    out, _ = running.communicate(timeout=60)
    assert "VERDICT\n  ? of r\n" in out.decode("latin-1")
    assert running.returncode == 2


def test_a_patient_terminal_is_otherwise_the_one_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    out = Patient(sys.stdout)
    assert out.write("seen") == 4
    assert (out.isatty(), capsys.readouterr().out) == (sys.stdout.isatty(), "seen")
