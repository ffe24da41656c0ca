"""`harness analyse` judges anybody's template without a cluster: lines, a phase, an exit code, no traceback."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import analyse
from harness.errors import ObservationFailed, UsageError
from harness.journal.writer import Journal
from harness.probes import answers

SEED = Path(__file__).parents[3] / "stack" / "seed" / "canary.yaml"
PAST = ("--prometheus", "http://p:9090", "--at", "2026-01-01T00:00:00Z")
ARG = ("--arg", "service-name=claude-orchestrator-canary")
ENDLESS = """\
kind: AnalysisTemplate
metadata: {name: t}
spec:
  metrics:
  - name: up
    interval: 10s
    successCondition: result[0] >= 1
    failureLimit: 1
    provider: {prometheus: {query: up}}
"""
FLAGGERS = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: cart}
spec:
  analysis:
    interval: 10s
    threshold: 1
    stepWeight: 50
    metrics: [{name: up, thresholdRange: {max: 0.05}, query: up}]
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(analyse.command, [str(word) for word in words])


def saying(monkeypatch: pytest.MonkeyPatch, values: Sequence[float | str | list[float]]) -> list[float | None]:
    """Let Prometheus answer these in turn, a text as its refusal, and keep the moments it was asked about."""
    moments: list[float | None] = []

    def ask(url: str, query: str, *, at: float | None, timeout: float) -> float | list[float]:
        found = values[min(len(moments), len(values) - 1)]
        moments.append(at)
        if isinstance(found, str):
            raise ObservationFailed(found)
        return found

    monkeypatch.setattr(answers, "ask", ask)
    return moments


def test_the_seeds_template_is_judged_over_what_prometheus_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = saying(monkeypatch, [[0.99], [0.9], [0.99]])
    done = run(SEED, *PAST, *ARG)
    assert done.exit_code == 0, done.output
    assert [round(at or 0) - 1767225600 for at in moments] == [0, 60, 120, 180, 240]
    lines = done.output.splitlines()
    assert len(lines) == 6
    assert lines[1].split() == ["60.0", "s", "success-rate", "Failed", "[0.9]"]
    assert lines[-1] == "Successful"


def test_a_failed_analysis_is_1_with_the_controllers_message(monkeypatch: pytest.MonkeyPatch) -> None:
    saying(monkeypatch, [[0.9]])
    done = run(SEED, *PAST, *ARG)
    assert done.exit_code == 1
    said = 'Failed: Metric "success-rate" assessed Failed due to failed (3) > failureLimit (2)'
    assert done.output.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("dialect", "said"),
    [("1.10", "no data returned from the metric provider"), ("1.9", "reflect: slice index out of range")],
)
def test_an_analysis_without_data_is_2_in_the_words_of_the_dialect(
    monkeypatch: pytest.MonkeyPatch, dialect: str, said: str
) -> None:
    saying(monkeypatch, [[]])
    done = run(SEED, *PAST, *ARG, "--dialect", dialect)
    assert done.exit_code == 2
    assert "consecutiveErrors (5) > consecutiveErrorLimit (4)" in done.output
    assert said in done.output


def test_a_success_without_data_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(ENDLESS.replace("successCondition: result[0] >= 1", "failureCondition: result[0] < 1"))
    saying(monkeypatch, [[math.nan], [1.0]])
    done = run(path, *PAST, "--for", "15s")
    assert done.exit_code == 0
    assert done.output.splitlines()[-2] == "note: up was Successful without data in 1 of 2 measurements"


UNMEASURED = {
    "errors only": ("", ["refused"], "0s"),
    "errors only until the end": ("", ["refused"], "25s"),
    "misspelt": ("", [[]], "15s"),
    "never": ("initialDelay: 1h", [[1.0]], "15s"),
    "no number": ("failureCondition: result[0] < 1", [[math.nan]], "15s"),
    "dry runs only": ("", ["refused"], "15s"),
}


@pytest.mark.parametrize("case", UNMEASURED)
@pytest.mark.parametrize("dialect", ["1.9", "1.10"])
def test_a_success_of_which_nothing_was_measured_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, dialect: str
) -> None:
    line, values, lasting = UNMEASURED[case]
    text = ENDLESS.replace("    failureLimit: 1\n", f"    {line}\n" if line else "")
    if "failureCondition" in line:
        text = text.replace("    successCondition: result[0] >= 1\n", "")
    path = tmp_path / "t.yaml"
    path.write_text(text + ("  dryRun: [{metricName: up}]\n" if case.startswith("dry") else ""))
    saying(monkeypatch, values)
    done = run(path, *PAST, "--for", lasting, "--dialect", dialect)
    assert done.exit_code == 2, done.output
    *_, phase, last = done.output.splitlines()
    assert phase == "Successful: Run Terminated"
    assert last == "nothing was measured of up: no evidence, whatever the controller makes of it"


def test_one_metric_that_was_measured_does_not_speak_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.yaml"
    other = "  - name: down\n    initialDelay: 1h\n    provider: {prometheus: {query: down}}\n"
    path.write_text(ENDLESS + other)
    saying(monkeypatch, [[1.0]])
    done = run(path, *PAST, "--for", "15s")
    assert done.exit_code == 2, done.output
    assert "nothing was measured of down: " in done.output
    path.write_text(ENDLESS + other + "  dryRun: [{metricName: down}]\n")
    assert run(path, *PAST, "--for", "15s").exit_code == 0


def test_a_canary_of_flagger_without_metrics_is_no_pass(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FLAGGERS.replace("    metrics: [{name: up, thresholdRange: {max: 0.05}, query: up}]\n", ""))
    done = run(path, *PAST)
    assert done.exit_code == 2, done.output
    *_, phase, last = done.output.splitlines()
    assert phase == "Succeeded"
    assert last.startswith("nothing was measured of c.yaml, which has no metric")


def test_a_server_that_refuses_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    saying(monkeypatch, ["bad_data: \x1b[2J\nSuccessful"])
    done = run(SEED, *PAST, *ARG)
    assert done.exit_code == 2
    assert all(line.isprintable() for line in done.output.splitlines())
    assert "Successful" not in done.output.splitlines()


def test_an_endless_analysis_wants_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(ENDLESS)
    done = run(path, "--prometheus", "http://p:9090")
    assert isinstance(done.exception, UsageError)
    assert "--for" in done.exception.hint
    saying(monkeypatch, [[1.0]])
    done = run(path, *PAST, "--for", "25s")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "Successful: Run Terminated"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--prometheus or --run"),
        (("--prometheus", "http://p", "--run", "latest"), "--prometheus or --run"),
        (("--prometheus", "p:9090"), "is not an address"),
        (("--prometheus", "http://[::"), "is not an address"),
        (("--prometheus", "http://p:port"), "is not an address"),
        (("--prometheus", "http://p:99999"), "is not an address"),
        (("--prometheus", "http://p", "--at", "yesterday"), "is not a time"),
        (("--prometheus", "http://p", "--at", ""), "'' is not a time"),
        (("--prometheus", "http://p", "--for", ""), "'' is not a duration"),
        (("--prometheus", "http://p", "--at", "2126-01-01T00:00:00Z"), "has not come yet"),
        (("--prometheus", "http://p", "--for", "long"), "is not a duration"),
        (("--prometheus", "http://p", "--series", "a=b"), "with --run"),
        (("--prometheus", "http://p", "--arg", "nothing"), "is not NAME=VALUE"),
    ],
)
def test_a_wrong_option_is_told(words: tuple[str, ...], said: str) -> None:
    done = run(SEED, *ARG, *words)
    assert done.exit_code == 2  # click's own; the command line makes 4 of it
    assert said in done.output


def test_a_template_that_is_refused_has_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(ENDLESS.replace("result[0] >= 1", "sum(result) >= 1"))
    done = run(path, *PAST)
    assert isinstance(done.exception, UsageError)
    assert f"{path}:7" in str(done.exception)
    assert "'sum'" in str(done.exception)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run of a minute that settles in 12 s; its error ratio rises while a fault lasts, from 20 s to 40 s."""
    with Journal(tmp_path / "runs" / "r1", "r1") as journal:
        journal.write("run.start", "preflight")
        journal.write("phase.start", "baseline")
        journal.write("fault.injecting", "inject", id="f")
        journal.write("fault.injected", "inject", id="f")
        journal.write("fault.healed", "heal", id="f")
        values = [0.2 + second / 1000 if 20 <= second < 40 else second / 10000 for second in range(60)]
        name = "prometheus/error-ratio"
        journal.write("series", "judge", series=name, labels={}, start=0.0, step=1, values=values)
    path = tmp_path / "runs" / "r1" / "journal.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event, at in zip(events, (0.0, 12.0, 20.0, 20.0, 40.0, 60.0), strict=True):
        event["t"] = at
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return tmp_path / "runs"


def test_a_run_answers_from_what_it_recorded(tmp_path: Path, recorded: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(ENDLESS.replace("result[0] >= 1", "result[0] < 0.05"))
    words = (path, "--run", "r1", "--runs", recorded, "--series", "up=prometheus/error-ratio")
    done = run(*words, "--at", "0s", "--for", "15s")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Successful: Run Terminated")
    done = run(*words)
    assert done.exit_code == 1
    assert [line.split()[3] for line in done.output.splitlines()[:-1]] == ["Failed", "Failed"]
    done = run(*words, "--at", "45s")
    assert (done.exit_code, done.output.splitlines()[-1]) == (2, "Running: what was recorded ends after 15.0 s")


@pytest.mark.parametrize("text", [ENDLESS, FLAGGERS])
def test_a_time_when_the_run_had_ended_is_refused(tmp_path: Path, recorded: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    words = (path, "--run", "r1", "--runs", recorded, "--series", "up=prometheus/error-ratio")
    done = run(*words, "--at", "61s")
    assert isinstance(done.exception, UsageError), done.output
    told = str(done.exception).splitlines()
    assert told[0] == "--at 61s: the run had ended by then"
    assert told[1].endswith("what it recorded ends after 60.0 s")
    assert "begins with the first fault, after 20.0 s" in told[2]
    assert run(*words, "--at", "60s").exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--series up=NAME"),
        (("--series", "up=prometheus/error-ratios"), "did you mean 'prometheus/error-ratio'?"),
        (("--series", "down=x"), "there is no metric 'down'"),
    ],
)
def test_what_a_run_did_not_record_is_refused_by_name(
    tmp_path: Path, recorded: Path, words: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(ENDLESS)
    done = run(path, "--run", "r1", "--runs", recorded, *words)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_a_canary_of_flagger_is_judged_by_a_run(tmp_path: Path, recorded: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FLAGGERS)
    words = (path, "--run", "r1", "--runs", recorded, "--series", "up=prometheus/error-ratio")
    done = run(*words)
    assert done.exit_code == 1
    assert "Halt advancement up 0.23 > 0.05" in done.output
    assert done.output.splitlines()[-1] == "Failed"
    done = run(*words, "--at", "40s", "--for", "9s")
    assert (done.exit_code, done.output.splitlines()[-1]) == (2, "Progressing: --for ends it after 9.0 s")
    done = run(*words, "--at", "45s")
    assert (done.exit_code, done.output.splitlines()[-1]) == (2, "Progressing: what was recorded ends after 15.0 s")


def test_a_canary_of_flagger_that_is_ended_while_time_goes_by_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FLAGGERS)
    saying(monkeypatch, [[0.0]])
    done = run(path, "--prometheus", "http://p:9090", "--for", "1s")
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        "      0.0 s  weight  50  failed 0  Advance canary weight 50",
        "Progressing: --for ends it after 1.0 s",
    ]


def test_a_runs_fault_is_compared_with_what_was_before_it_from_when_it_had_settled(
    tmp_path: Path, recorded: Path
) -> None:
    path = tmp_path / "c.json"
    metric = {"name": "errors", "groups": ["g"], "analysisConfigurations": {"canary": {"direction": "increase"}}}
    limits = {"groupWeights": {"g": 100}, "scoreThresholds": {"pass": 95, "marginal": 75}}
    path.write_text(json.dumps({"metrics": [metric], "classifier": limits}))
    done = run(path, "--run", "r1", "--runs", recorded, "--series", "errors=prometheus/error-ratio")
    assert done.exit_code == 1, done.output
    first, last = done.output.splitlines()
    assert first.startswith("errors  High")
    assert first.endswith("  8 values before, 20 with the fault")
    assert last == "Fail: score 0"
    metric["analysisConfigurations"] = {"canary": {"direction": "decrease"}}
    path.write_text(json.dumps({"metrics": [metric], "classifier": limits}))
    done = run(path, "--run", "r1", "--runs", recorded, "--series", "errors=prometheus/error-ratio")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Pass: score 100")


def test_a_comparison_wants_a_run(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({
        "metrics": [{"name": "m"}], "classifier": {"scoreThresholds": {"pass": 95, "marginal": 75}},
    }))  # fmt: skip
    done = run(path, "--prometheus", "http://p:9090")
    assert isinstance(done.exception, UsageError)
    assert "--run" in done.exception.hint
