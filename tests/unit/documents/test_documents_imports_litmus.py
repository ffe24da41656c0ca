"""A pod-delete of Litmus becomes an experiment, or is refused with the line of what cannot be honoured."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.documents import document, imports
from harness.documents.imports import Wanted
from harness.errors import UsageError
from harness.model.fault import Filter
from harness.model.share import EVERYBODY, Share

SEED = Path(__file__).parents[3] / "stack" / "seed" / "chaos.yaml"
KEYS = (
    "name", "value", "valueFrom", "env", "args", "command", "spec", "template", "containers", "image", "experiments",
    "components", "appinfo", "appns", "applabel", "appkind", "definition", "statusCheckTimeouts", "timeout", "probe",
)  # fmt: skip
ENGINE: dict[str, Any] = {
    "apiVersion": "litmuschaos.io/v1alpha1",
    "kind": "ChaosEngine",
    "metadata": {"name": "shop-chaos", "namespace": "shop"},
    "spec": {
        "appinfo": {"appns": "shop", "applabel": "app=web", "appkind": "deployment"},
        "engineState": "active",
        "chaosServiceAccount": "pod-delete-sa",
        "experiments": [{"name": "pod-delete", "spec": {"components": {"env": []}}}],
    },
}


def engine(**values: object) -> dict[str, Any]:
    """Return an engine that gives its experiment these values."""
    made: dict[str, Any] = yaml.safe_load(yaml.safe_dump(ENGINE))
    listed = [{"name": name, "value": value} for name, value in values.items()]
    made["spec"]["experiments"][0]["spec"]["components"]["env"] = listed
    return made


@pytest.fixture
def imported(tmp_path: Path):
    def load(*objects: dict[str, Any], wanted: Wanted | None = None) -> Any:
        path = tmp_path / "litmus.yaml"
        path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
        (found,) = imports.read([path], wanted or Wanted())
        made = document.loads(found.text, Path(f"{found.name}.yaml"))
        return made, found.text

    return load


@pytest.fixture
def refused(imported):
    def told(*objects: dict[str, Any], wanted: Wanted | None = None) -> str:
        with pytest.raises(UsageError) as error:
            imported(*objects, wanted=wanted)
        return str(error.value)

    return told


def test_the_seeds_pod_delete_is_done_three_times_five_seconds_apart() -> None:
    named = Wanted(namespaces=("claude-ecosystem-prod",), selector="app=claude-orchestrator")
    monkey, found = imports.read([SEED], named)
    made = document.loads(found.text, Path("pod-delete.yaml"))
    assert (monkey.name, found.name) == ("chaos-monkey", "pod-delete")
    # Which has no labels of its own, and gets none.
    assert "selector" not in monkey.text.replace("--annotation-selector", "")
    (fault,) = made.faults
    assert (fault.kind, fault.times, fault.every, fault.parameters) == ("pod_kill", 3, 5, {"grace": None})
    assert (fault.target.within, fault.target.selector) == (("claude-ecosystem-prod",), "app=claude-orchestrator")
    assert made.blast_radius.pods == 1


def test_an_experiment_without_its_engine_does_not_say_to_whom() -> None:
    with pytest.raises(UsageError) as error:
        imports.read([SEED], Wanted(namespaces=("claude-ecosystem-prod",)))
    told = str(error.value)
    assert told.startswith(f"{SEED}:41: a ChaosExperiment says what is done, not to which pods")
    assert "--selector LABELS" in told


def test_an_engine_says_to_whom_and_its_values_go_before_those_of_its_experiment(imported) -> None:
    experiment = yaml.safe_load(SEED.read_text().split("\n---\n")[1])
    made, text = imported(engine(FORCE="true", CHAOS_INTERVAL=15), experiment)
    (fault,) = made.faults
    assert made.name.endswith("/shop-chaos") or made.path.name == "shop-chaos.yaml"
    assert fault.target.filter == Filter(kinds=("ReplicaSet",))
    # Once: 15 seconds, of the experiment, are one interval of the engine's.
    assert (fault.times, fault.parameters) == (1, {"grace": 0})
    assert "was not at hand" not in text


def test_what_is_left_out_is_what_the_runner_takes(imported) -> None:
    made, text = imported(engine())
    (fault,) = made.faults
    assert (fault.times, fault.every, fault.parameters, fault.target.pods) == (3, 10, {"grace": None}, 1)
    assert [one.parameters["within"] for one in made.objectives] == [180]
    assert "# Its ChaosExperiment was not at hand" in text
    assert "# Not taken over: chaosServiceAccount, which is about how Litmus runs." in text


def test_a_share_is_a_share_all_at_once_or_one_by_one(imported) -> None:
    made, _ = imported(engine(PODS_AFFECTED_PERC="50"), wanted=Wanted(pods=4))
    (fault,) = made.faults
    assert (fault.target.share, fault.target.at_once, fault.duration) == (Share("pod", 50.0), EVERYBODY, None)
    assert made.blast_radius.pods == 4
    made, _ = imported(engine(PODS_AFFECTED_PERC="50", SEQUENCE="serial"), wanted=Wanted(pods=4))
    (fault,) = made.faults
    assert (fault.target.at_once, fault.duration, fault.times) == (1, 10, 3)


def test_the_time_before_and_after_and_the_time_to_recover_are_phases_and_a_promise(imported) -> None:
    asked = engine(RAMP_TIME=20)
    asked["spec"]["experiments"][0]["spec"]["components"]["statusCheckTimeouts"] = {"delay": 2, "timeout": 90}
    made, _ = imported(asked)
    assert (made.phases.baseline, made.phases.hold, made.phases.recovery) == (20, 20, 90)
    assert [one.parameters["within"] for one in made.objectives] == [90]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"TARGET_PODS": "web-1"}, "TARGET_PODS=web-1 cannot be honoured"),
        ({"NODE_LABEL": "zone=a"}, "NODE_LABEL=zone=a cannot be honoured"),
        ({"KILL_COUNT": "2"}, "KILL_COUNT=2 cannot be honoured"),
        ({"RANDOMNESS": "true"}, "RANDOMNESS: intervals of chance cannot be honoured"),
        ({"CHAOS_INTERVAL": "5-10"}, "CHAOS_INTERVAL: '5-10' is not a whole number"),
        ({"CHAOS_INTERVAL": "0"}, "CHAOS_INTERVAL: an interval of nothing"),
        ({"TOTAL_CHAOS_DURATION": "3600", "CHAOS_INTERVAL": "1"}, "3600 rounds in 3600 s are more than 100"),
        ({"PODS_AFFECTED_PERC": "50"}, "PODS_AFFECTED_PERC: what 50 % comes to is not known here"),
        ({"PODS_AFFECTED_PERC": "150"}, "is not a whole number up to 100"),
        ({"SEQUENCE": "random"}, "SEQUENCE: 'random' is neither parallel nor serial"),
        ({"FORCE": "perhaps"}, "FORCE: 'perhaps' is not true or false"),
        ({"NETWORK_LATENCY": "10"}, "NETWORK_LATENCY is not known"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused_with_its_line(refused, value, why) -> None:
    told = refused(engine(**value))
    assert why in told
    lines = yaml.safe_dump_all([engine(**value)], sort_keys=False).splitlines()
    last = list(value)[-1]
    number = next(place for place, line in enumerate(lines, 1) if line.strip() == f"- name: {last}")
    assert f"litmus.yaml:{number}: " in told


def change(key: str, value: object, *path: str) -> dict[str, Any]:
    made = engine()
    place = made["spec"]
    for one in path:
        place = place[one]
    place[key] = value
    return made


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (change("engineState", "stop"), "this engine is stopped"),
        (change("annotationCheck", "true"), "annotationCheck is about the workload's annotation"),
        (change("auxiliaryAppInfo", "shop:app=db"), "'auxiliaryAppInfo' cannot be honoured"),
        (change("selectors", {"pods": [{"names": "a"}]}), "'selectors' cannot be honoured"),
        (change("surprise", 1), "'surprise' of a ChaosEngine is not known"),
        (change("experiments", []), "this engine has no experiment"),
        (change("experiments", [{"name": "pod-cpu-hog"}]), "'pod-cpu-hog' is not read"),
        (change("applabel", "", "appinfo"), "no pods are named"),
        (change("applabel", "app:web", "appinfo"), "is not a label selector"),
        (change("appns", "", "appinfo"), "no namespace is named"),
        (change("appkind", "pod", "appinfo"), "'pod' is not a kind that is known"),
        (
            change("experiments", [{"name": "pod-delete", "spec": {"probe": [{"name": "x"}]}}]),
            "probes of Litmus are not read",
        ),
    ],
)
def test_an_engine_that_asks_for_more_than_pods_of_one_app_is_refused(refused, asked, why) -> None:
    assert why in refused(asked)


def test_a_value_that_is_kept_elsewhere_is_refused(refused) -> None:
    asked = engine()
    env = [{"name": "FORCE", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]
    asked["spec"]["experiments"][0]["spec"]["components"]["env"] = env
    assert "what FORCE holds is not known here" in refused(asked)


@pytest.mark.parametrize("inside", ["rank", "surprise"])
def test_what_an_engine_says_of_its_experiment_beyond_values_is_refused(refused, inside) -> None:
    asked = engine()
    asked["spec"]["experiments"][0]["spec"][inside] = 1
    assert f"'{inside}' of an engine's experiment cannot be honoured" in refused(asked)


@pytest.mark.parametrize("name", ["../shop", "a/b", "Shop", "."])
def test_a_name_that_is_no_name_of_a_file_is_refused(refused, name) -> None:
    assert "cannot be the name of an experiment" in refused(engine() | {"metadata": {"name": name}})


def test_two_of_one_name_are_refused(refused) -> None:
    assert "two objects have it" in refused(engine(), engine())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("a:/-", max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)


@given(
    kind=st.sampled_from(["ChaosEngine", "ChaosExperiment", "Deployment"]),
    metadata=ANYTHING,
    spec=ANYTHING,
    image=st.sampled_from(["chaoskube", "other"]),
)
def test_a_file_of_any_shape_is_an_experiment_or_an_error(kind, metadata, spec, image) -> None:
    if kind == "Deployment":
        inside = spec if isinstance(spec, dict) else {}
        spec = {"template": {"spec": {"containers": [{**inside, "image": image}]}}}
    asked = {"apiVersion": "litmuschaos.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_text(yaml.safe_dump(asked))
        with contextlib.suppress(UsageError):
            imports.read([path], Wanted(("shop",), "app=web", 3))
