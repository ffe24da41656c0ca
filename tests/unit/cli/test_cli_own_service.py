"""What the README tells the owner of another service to type and to copy is what the harness takes."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.cli import documents, group
from harness.documents.document import is_experiment
from harness.engine.planning import rights
from harness.model.experiment import Experiment
from tests.readme import ROOT, commands

FOLDER = ROOT / "docs" / "own-service"
COMMANDS = [said for said, _ in commands("Your own service")]
OURS = [part.strip() for said in COMMANDS for part in said.split("|") if part.strip().startswith("harness ")]


@pytest.fixture
def shop() -> dict[tuple[str, str], dict[str, Any]]:
    found = yaml.safe_load_all((FOLDER / "shop.yaml").read_text())
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def experiments() -> dict[str, Experiment]:
    return {one.path.stem: one for one in documents.load([FOLDER])}


def test_the_section_installs_asks_for_rights_looks_runs_and_shows_a_weakness() -> None:
    verbs = [shlex.split(one)[1] for one in OURS]
    begun, shown = ["crds", "plan", "doctor", "fingerprint", "plan", "run"], ["report", "undo", "fingerprint"]
    assert verbs == [*begun, *shown, "run", "run"]
    assert COMMANDS[:3] == ["make install", ". .venv/bin/activate", "cp -r docs/own-service ../shop && cd ../shop"]
    assert "\ninstall: " in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("said", OURS)
def test_a_command_of_ours_is_one_that_there_is_and_takes_its_options(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(FOLDER, tmp_path / "shop"))
    for made in ("db_hurry.yaml", "before.json"):
        Path(made).touch()
    _, name, *rest = shlex.split(said)
    command = group.get_command(click.Context(group), name)
    assert command, f"harness has no command {name}"
    with command.make_context(name, rest) as made:
        assert not made.args


def test_every_file_that_a_command_names_is_there() -> None:
    named = {word for said in COMMANDS for word in said.split() if word.endswith(".yaml")}
    assert {name for name in named if not (FOLDER / name).is_file()} == {"db_hurry.yaml"}
    assert len(named) > 1


def test_every_experiment_to_copy_is_about_what_is_in_the_shop(shop: dict[tuple[str, str], dict[str, Any]]) -> None:
    found = experiments()
    assert {file.stem for file in FOLDER.glob("*.yaml") if is_experiment(file)} == set(found)
    template = {
        name: item["spec"].get("jobTemplate", item)["spec"]["template"]["metadata"]["labels"]["app"]
        for (_, name), item in shop.items()
        if item["kind"] in ("Deployment", "StatefulSet", "CronJob")
    }
    assert {spec.target.selector for one in found.values() for spec in one.faults} == {
        f"app={app}" for app in template.values()
    }
    budgets = [o.parameters["name"] for one in found.values() for o in one.objectives if o.checker.startswith("disr")]
    assert all(("PodDisruptionBudget", name) in shop for name in budgets)
    assert budgets


def test_the_rights_that_are_printed_are_a_role_with_the_loads_way_to_its_service(
    shop: dict[tuple[str, str], dict[str, Any]],
) -> None:
    (role,) = rights.roles_for(list(experiments().values()))
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "shop")
    (way,) = [rule for rule in role["rules"] if rule["resources"] == ["services/proxy"]]
    service, _, port = way["resourceNames"][0].partition(":")
    assert (way["verbs"], int(port)) == (["get"], shop["Service", service]["spec"]["ports"][0]["port"])


def test_the_shops_promises_are_its_own_and_not_the_reference_stacks() -> None:
    promised = {one.checker: one.parameters for one in experiments()["web_kill"].objectives}
    assert promised["availability"]["ratio"] == 0.95
    assert promised["latency"]["p95"] == 3.0


def test_the_promise_that_is_made_too_short_is_there_to_be_found() -> None:
    (edit,) = [said for said in COMMANDS if said.startswith("sed ")]
    _, before, after, _ = shlex.split(edit)[1].split("/")
    text = (FOLDER / "db_kill.yaml").read_text()
    assert text.count(before) == 1
    ready = yaml.safe_load_all((FOLDER / "shop.yaml").read_text())
    (db,) = [item for item in ready if item["kind"] == "StatefulSet"]
    probe = db["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["initialDelaySeconds"] > int(after.removeprefix("within: ").removesuffix("s"))
