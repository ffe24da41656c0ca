"""The experiments on releases fit what is released: its steps, its analyses, and how these take a Prometheus away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.analysis import course, reading
from harness.analysis.assessing import Verdict
from harness.analysis.course import Taken, Virtual
from harness.analysis.measuring import Answer, Phase
from harness.analysis.syntax import Dialect
from harness.analysis.template import Question
from harness.cluster.cache import project_root
from harness.documents import document
from harness.faults import FAULTS
from harness.model.disturbance import Disturbance
from harness.model.experiment import Experiment
from harness.model.units import duration
from harness.source import lines
from harness.stack import parts

DELIVERY = parts.folder() / "delivery"
FILES = sorted((project_root() / "experiments" / "delivery").glob("*.yaml"))
SLO = document.defaults(project_root() / document.SLO_FILE)
TEMPLATES = [*yaml.safe_load_all((DELIVERY / "analysis.yaml").read_text())]
STEPS = yaml.safe_load((DELIVERY / "rollout" / "rollout.yaml").read_text())["spec"]["strategy"]["canary"]["steps"]
# From the weight of 10 % to the first analysis, and from the fault that takes Prometheus away.
PAUSE, ACTS = 6.0, 2.0
# A start of Prometheus with its sidecar, its readiness and its first scrape: about 10 s on a quiet machine.
STARTS = (5.0, 10.0, 20.0)


def loaded(name: str) -> Experiment:
    return document.load(project_root() / "experiments" / "delivery" / f"{name}.yaml", SLO)


def canary(experiment: Experiment) -> dict[str, Any]:
    (found,) = [one for one in experiment.objectives if one.checker == "canary"]
    return dict(found.parameters)


def walked(item: Any, away: Callable[[float], bool]) -> tuple[Verdict, list[Taken]]:
    """Let the controller of the part analyse a good release whose Prometheus is away at times."""

    def ask(question: Question, at: float) -> Answer:
        return Answer(None, "connection refused") if away(at) else Answer([1.0 if question.name != "latency" else 0.1])

    source = lines.read(yaml.safe_dump(item, sort_keys=False), Path("analysis.yaml"))
    *taken, verdict = course.walk(reading.read(source, {"release": "new"}), ask, Virtual(), Dialect.V1_9)
    return verdict, taken  # type: ignore[return-value]


def errors(taken: list[Taken]) -> int:
    return sum(one.measurement.phase is Phase.ERROR for one in taken)


def pauses() -> float:
    return sum(duration(step["pause"]["duration"]) for step in STEPS if "pause" in step)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_release_has_the_time_that_its_steps_take(path: Path) -> None:
    experiment = document.load(path, SLO)
    promised = canary(experiment)
    analyses = sum(walked(item, lambda _: False)[1][-1].at for item in TEMPLATES)
    if promised.get("promoted"):
        assert promised["within"] > pauses() + analyses + 30
    waits = [step.provider["arguments"]["wait"] for step in experiment.method if step.name.endswith("decided")]
    assert waits > [promised["within"]]


@pytest.mark.parametrize("path", [one for one in FILES if not one.stem.endswith("release")], ids=lambda path: path.stem)
def test_a_fault_beside_a_release_begins_when_the_canary_has_the_first_weight(path: Path) -> None:
    experiment = document.load(path, SLO)
    release, until, fault, _ = experiment.method
    assert release.fault
    assert Disturbance.RELEASE in FAULTS[release.fault.kind].disturbs
    assert (until.provider["func"], until.provider["arguments"]["least"]) == ("weight", STEPS[0]["setWeight"])
    assert duration(STEPS[1]["pause"]["duration"]) == PAUSE
    assert fault.fault


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("item", TEMPLATES, ids=lambda item: item["metadata"]["name"])
def test_a_prometheus_that_is_away_for_a_moment_costs_an_analysis_time_and_no_failure(item: Any, start: float) -> None:
    (scaled,) = [one for one in loaded("prometheus_away").faults if one.kind == "workload_scale"]
    assert scaled.duration
    back = ACTS + scaled.duration + start - PAUSE
    verdict, taken = walked(item, lambda at: at < back)
    assert verdict.phase is Phase.SUCCESSFUL
    assert 1 <= errors(taken) <= 4
    assert taken[-1].at - walked(item, lambda _: False)[1][-1].at < canary(loaded("prometheus_away"))["within"] - 120


@pytest.mark.parametrize("item", TEMPLATES, ids=lambda item: item["metadata"]["name"])
def test_an_analysis_whose_prometheus_stays_away_ends_in_error_after_forty_seconds(item: Any) -> None:
    verdict, taken = walked(item, lambda _: True)
    assert verdict.phase is Phase.ERROR
    assert verdict.message.endswith('(5) > consecutiveErrorLimit (4): "Error Message: connection refused"')
    assert (errors(taken), round(taken[-1].at)) == (5, 40)
    promised = canary(loaded("prometheus_gone"))
    assert promised["given-up"] is True
    # The first pod of a release is ready after about ten seconds.
    assert promised["within"] > 10 + PAUSE + taken[-1].at + 30
