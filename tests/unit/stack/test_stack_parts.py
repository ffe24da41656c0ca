"""The stack's parts: what belongs to which, what each needs, and that they go without taking others along."""

from __future__ import annotations

import pytest
import yaml

from harness.cluster.build import gobuild
from harness.cluster.cache import project_root
from harness.errors import UsageError
from harness.stack import apply, overlays, parts, source

SEED = project_root() / "stack" / "seed" / "canary.yaml"
DELIVERY = parts.folder() / "delivery"


def test_the_core_is_a_part_and_comes_first() -> None:
    assert parts.names()[0] == parts.CORE
    assert "delivery" in parts.names()


def test_every_part_says_what_it_is_for_and_what_it_costs() -> None:
    for part in map(parts.read, parts.names()):
        assert part.summary
        assert part.cost
        assert min(part.cost.mebibytes, part.cost.millicores) > 0


def test_what_a_part_needs_comes_with_it_and_before_it() -> None:
    assert parts.closed([]) == ("core",)
    assert parts.closed(["delivery"]) == parts.closed(["delivery", "core"]) == ("core", "delivery")


def test_parts_go_and_others_stay() -> None:
    assert parts.without(("core", "delivery"), ["delivery"]) == ("core",)
    assert parts.without(("core",), ["delivery"]) == ("core",)


def test_the_core_does_not_go_by_itself() -> None:
    with pytest.raises(UsageError, match="does not go by itself"):
        parts.without(("core", "delivery"), ["core"])


def test_an_unknown_part_is_the_user_s_mistake() -> None:
    with pytest.raises(UsageError, match="one of core"):
        parts.closed(["delivry"])


def test_other_parts_are_another_stack() -> None:
    assert source.key("kind") == source.key("kind", ("core",)) != source.key("kind", ("core", "delivery"))


def test_the_core_alone_is_as_it_was_before_there_were_parts() -> None:
    assert source.images(("core",)) == source.IMAGES | source.ISTIO


def test_a_weakening_of_a_part_brings_it_along() -> None:
    assert overlays.part_names("weak-no-analysis") == ("delivery",)
    assert overlays.part_names("kind") == ()


def test_each_image_of_a_part_is_built_from_a_recipe_here() -> None:
    for name in parts.names():
        for folder in parts.read(name).images.values():
            assert (project_root() / "images" / folder / "Dockerfile").is_file()


def test_the_parts_that_came_up_whole_are_those_there_are() -> None:
    assert apply.parts({}) == ()
    assert apply.parts({"key": "", "parts": "core,delivery"}) == ()
    assert apply.parts({"key": "k"}) == ("core",)
    assert apply.parts({"key": "k", "parts": "core,delivery"}) == ("core", "delivery")


def test_what_the_controller_s_module_replaces_is_repeated_here() -> None:
    text = (gobuild.sources("argo-rollouts") / "go.mod").read_text()
    assert "tool github.com/argoproj/argo-rollouts/cmd/rollouts-controller" in text
    assert "k8s.io/client-go => k8s.io/client-go" in text


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_the_rollout_takes_the_seed_s_steps_at_a_twentieth_of_its_times() -> None:
    seed = next(yaml.safe_load_all(SEED.read_text()))["spec"]["strategy"]["canary"]
    ours = yaml.safe_load((DELIVERY / "rollout" / "rollout.yaml").read_text())["spec"]["strategy"]["canary"]
    assert ours["trafficRouting"] == seed["trafficRouting"]
    assert (ours["canaryService"], ours["stableService"]) == (seed["canaryService"], seed["stableService"])
    assert [[*step] for step in ours["steps"]] == [[*step] for step in seed["steps"]]
    for step, told in zip(ours["steps"], seed["steps"], strict=True):
        if "setWeight" in step:
            assert step == told
        elif "pause" in step:
            assert seconds(step["pause"]["duration"]) * 20 == seconds(told["pause"]["duration"])
        else:
            assert step["analysis"]["templates"] == told["analysis"]["templates"]


def test_a_release_is_measured_as_often_as_the_seed_says() -> None:
    seed = [item for item in yaml.safe_load_all(SEED.read_text()) if item["kind"] == "AnalysisTemplate"]
    (told,) = seed[0]["spec"]["metrics"]
    for item in yaml.safe_load_all((DELIVERY / "analysis.yaml").read_text()):
        (metric,) = item["spec"]["metrics"]
        assert {key: metric[key] for key in ("count", "failureLimit")} == {
            key: told[key] for key in ("count", "failureLimit")
        }
        assert seconds(metric["interval"]) * 20 == seconds(told["interval"])
    assert {item["metadata"]["name"] for item in yaml.safe_load_all((DELIVERY / "analysis.yaml").read_text())} == {
        "success-rate",
        "latency",
    }


def test_what_is_still_there_of_the_rollout_can_be_gone_back_to_without_its_steps() -> None:
    ours = yaml.safe_load((DELIVERY / "rollout" / "rollout.yaml").read_text())["spec"]
    assert ours["rollbackWindow"]["revisions"] > ours["revisionHistoryLimit"]


def test_pods_that_a_release_is_done_with_serve_for_as_long_however_it_ended() -> None:
    canary = yaml.safe_load((DELIVERY / "rollout" / "rollout.yaml").read_text())["spec"]["strategy"]["canary"]
    assert canary["abortScaleDownDelaySeconds"] == canary["scaleDownDelaySeconds"]
