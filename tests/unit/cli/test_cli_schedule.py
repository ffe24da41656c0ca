"""`harness schedule` and `harness import` from the outside."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.cli import documents
from harness.cli.schedule import command
from harness.engine import run
from harness.engine.planning.rights import roles_for
from harness.errors import HarnessError, UsageError
from harness.schedule import bell, log, manifest

ROOT = Path(__file__).parents[3]
DOCUMENT = """\
title: x
description: x
method:
  - {type: action, name: kill one, provider: {type: python, module: harness.chaostoolkit.actions, func: pod_kill,
      arguments: {target: {namespace: shop, annotations: chaos=yes, pods: 1}}}}
extensions:
  - {name: harness, objectives: {recovery: {within: 5s}}, blast-radius: {namespaces: [shop], pods: 1},
     schedule: {every: 10m}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "slo.yaml").write_text("latency: {p99: 1s}\n")
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "kill.yaml").write_text(DOCUMENT)
    (folder / "other.yaml").write_text(DOCUMENT.replace(",\n     schedule: {every: 10m}", ""))
    return folder


def invoke(*words: object) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    return result


def objects(result: Result) -> dict[str, dict]:
    assert result.exit_code == 0, result.output
    return {one["kind"]: one for one in yaml.safe_load_all(result.stdout)}


def mounted(found: dict[str, dict], folder: Path) -> Path:
    """Lay the files down as the scheduler finds them."""
    volume = found["Deployment"]["spec"]["template"]["spec"]["volumes"][0]["configMap"]
    for item in volume["items"]:
        path = folder / "mounted" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["ConfigMap"]["data"][item["key"]])
    return folder / "mounted"


def test_the_manifest_grants_the_least_and_runs_one_scheduler(shop: Path) -> None:
    found = objects(invoke(shop, "--manifest", "--seed", "7", "--image", "harness:1"))
    (least,) = roles_for(documents.load([shop / "kill.yaml"]))
    assert found["Role"]["rules"] == json.loads(json.dumps(least["rules"]))
    assert found["Role"]["metadata"]["namespace"] == "shop"
    assert found["RoleBinding"]["subjects"][0]["name"] == found["ServiceAccount"]["metadata"]["name"]
    assert "ClusterRole" not in found
    spec = found["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert pod["securityContext"]["runAsNonRoot"]


def test_the_command_of_the_manifest_is_one_that_there_is_and_its_files_are_there(shop: Path, tmp_path: Path) -> None:
    found = objects(invoke(shop, "--manifest", "--seed", "7"))
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    there = mounted(found, tmp_path)
    words = [word.replace(manifest.PLACE, str(there), 1) for word in container["command"]]
    assert words[1] == "schedule"
    with command.make_context("schedule", words[2:]) as made:
        (file,) = made.params["files"]
        assert (made.params["context"], made.params["seed"]) == ("in-cluster", 7)
    (loaded,) = documents.load([file])
    assert loaded.name == "shop/kill"
    # What it promises without saying so comes along.
    assert (there / "stack" / "slo.yaml").is_file()
    assert {"name": "HARNESS_CONTEXTS", "value": "in-cluster"} in container["env"]


def with_load(workload: object) -> str:
    """Return the document with a load of this workload."""
    return DOCUMENT.replace("{name: harness,", f"{{name: harness, load: {{workload: {workload}, rate: 1/s}},")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("flow", "workloads/flow.yaml"),
        ("flow", "workloads/flow.yml"),
        ("flow", "workloads/flow.json"),
        ("flow.yaml", "flow.yaml"),
        ("flows/of/mine.json", "flows/of/mine.json"),
    ],
)
def test_a_workload_comes_along_from_wherever_its_document_finds_it(shop: Path, tmp_path, name: str, file: str) -> None:
    (shop / file).parent.mkdir(parents=True, exist_ok=True)
    (shop / file).write_text(json.dumps({"url": "/mine"}))
    (shop / "kill.yaml").write_text(with_load(name))
    there = mounted(objects(invoke(shop, "--manifest")), tmp_path)
    (found,) = documents.load([there / "shop" / "kill.yaml"])
    assert found.load
    assert [call.url for call in found.load.calls] == ["/mine"]


def test_a_workload_of_the_project_is_there_already(shop: Path) -> None:
    (shop / "kill.yaml").write_text(with_load("mixed"))
    assert set(objects(invoke(shop, "--manifest"))["ConfigMap"]["data"]) == {"shop..kill.yaml", "stack..slo.yaml"}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_workload_elsewhere_would_not_be_found_and_is_refused(shop: Path, absolute: bool) -> None:
    (shop.parent / "flow.yaml").write_text("url: /mine\n")
    (shop / "kill.yaml").write_text(with_load(shop.parent / "flow.yaml" if absolute else "../flow.yaml"))
    with pytest.raises(UsageError, match=r"flow.yaml does not lie below the experiment's folder"):
        invoke(shop, "--manifest")


def test_a_file_is_read_for_the_manifest_as_for_a_run(shop: Path, tmp_path: Path) -> None:
    (shop / "kill.yaml").write_bytes(DOCUMENT.encode("utf-16"))
    there = mounted(objects(invoke(shop / "kill.yaml", "--manifest")), tmp_path)
    assert [one.name for one in documents.load([there / "shop" / "kill.yaml"])] == ["shop/kill"]


def test_experiments_that_leave_their_namespace_need_a_cluster_role(shop: Path) -> None:
    wider = DOCUMENT.replace("namespace: shop", "namespaces: [shop, cart]").replace(
        "[shop], pods", "[shop, cart], pods"
    )
    (shop / "kill.yaml").write_text(wider)
    found = objects(invoke(shop, "--manifest"))
    assert found["ClusterRoleBinding"]["roleRef"]["kind"] == "ClusterRole"
    assert "namespace" not in found["ClusterRole"]["metadata"]


def test_one_that_says_nothing_of_when_is_refused(shop: Path) -> None:
    with pytest.raises(UsageError, match="no experiment here says when it is due") as refused:
        invoke(shop / "other.yaml")
    assert "schedule: {every: 10m}" in refused.value.hint


def test_what_is_never_due_is_refused_before_anything_is_waited_for(shop: Path) -> None:
    never = "{cron: '0 23 * * *', excluded-times-of-day: ['22:00-08:00']}"
    (shop / "kill.yaml").write_text(DOCUMENT.replace("{every: 10m}", never))
    with pytest.raises(UsageError, match="never due"):
        invoke(shop)


def test_an_end_is_no_end_where_a_cluster_begins_it_anew(shop: Path) -> None:
    assert "--for would end" in invoke(shop, "--manifest", "--for", "1h").output


def test_an_image_without_a_manifest_begins_no_schedule(shop: Path) -> None:
    assert "--image is for --manifest" in invoke(shop, "--image", "registry/harness:1", "--for", "0s").output


class Impatient(bell.Bell):
    """A clock on which every wait is over at once, and which is asked to end after some."""

    waits = 45

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def now(self):
        from datetime import timedelta

        return bell.datetime(2026, 11, 30, 10, 5, tzinfo=bell.UTC) + timedelta(seconds=self.seconds)

    def passed(self) -> float:
        return self.seconds

    def wait(self, seconds: float | None) -> str:
        self.waits -= 1
        self.seconds += seconds or 0.0
        self.asked = "SIGTERM" if self.waits <= 0 else ""
        return self.asked


def test_a_schedule_tells_and_writes_down_what_became_of_each_time(shop: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bell, "Bell", Impatient)
    monkeypatch.setattr(run, "dry_run", lambda one, options: f"plan of {one.name} with seed {options.seed}")
    result = invoke(shop, "--dry-run", "--seed", "7", "--runs", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    said = result.output.splitlines()
    assert said[0] == "seed 7"
    assert said[1] == "shop/kill  every 600 s, UTC; first at 2026-11-30T10:10:00Z"
    assert said[-1] == "SIGTERM: the schedule has ended"
    (kept,) = [json.loads(line) for line in (tmp_path / "runs" / log.FILE).read_text().splitlines()]
    assert (kept["state"], kept["due"]) == (log.PLANNED, "2026-11-30T10:10:00Z")
    assert f"plan of shop/kill with seed {kept['seed']}" in said


def test_a_schedule_that_comes_to_its_end_has_the_worst_code(shop: Path, tmp_path: Path, monkeypatch) -> None:
    class Patient(Impatient):
        waits = 1000

    def refuse(*_: object) -> str:
        raise UsageError("namespace 'shop' does not exist")

    monkeypatch.setattr(bell, "Bell", Patient)
    monkeypatch.setattr(run, "dry_run", refuse)
    words = (shop, "--dry-run", "--for", "20m", "--runs", tmp_path / "runs")
    assert invoke(*words).exit_code == 4
    assert len((tmp_path / "runs" / log.FILE).read_text().splitlines()) == 2
    # Nothing was due.
    assert invoke(shop, "--dry-run", "--for", "4m", "--runs", tmp_path / "others").exit_code == 5


def test_import_prints_or_writes_each_experiment(tmp_path: Path) -> None:
    asked = importlib.import_module("harness.cli.import").command
    seed = tmp_path / "chaos.yaml"
    seed.write_text((ROOT / "stack" / "seed" / "chaos.yaml").read_text().split("\n---\n")[0])
    words = [str(seed), "--namespace", "shop"]
    printed = CliRunner().invoke(asked, words)
    written = CliRunner().invoke(asked, [*words, "--into", str(tmp_path / "made")])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert (tmp_path / "made" / "chaos-monkey.yaml").read_text() == printed.output
    again = CliRunner().invoke(asked, [*words, "--into", str(tmp_path / "made")])
    assert isinstance(again.exception, UsageError)
    assert "there already" in str(again.exception)
