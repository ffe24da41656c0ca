"""The plan: what is missing, misspelt or wrong is told with its line; what is meant has a hash, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import documents
from harness.cli.gameday import command
from harness.engine import run
from harness.errors import HarnessError, UsageError
from harness.gameday import plan
from tests.unit.gameday.conftest import Go, planned, write

ROOT = Path(__file__).parents[3]


def refused(folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> str:
    found = planned()
    if change:
        change(found)
        write(folder, found)
    with pytest.raises(UsageError) as caught:
        plan.read(folder)
    return str(caught.value)


def line(folder: Path, text: str) -> int:
    lines = (folder / "gameday.yaml").read_text().splitlines()
    return next(number for number, one in enumerate(lines, 1) if text in one)


def test_a_plan_is_read_with_its_experiments(folder: Path) -> None:
    found = plan.read(folder)
    assert [step.name for step in found.steps] == ["shop/cart", "shop/web"]
    assert found.role("ada") == "owner"
    assert found.steps[1].before == "the scribe is ready"
    assert found.seed == plan.read(folder).seed


def test_a_new_day_is_made_once_and_says_what_is_missing(folder: Path) -> None:
    assert CliRunner().invoke(command, ["new", "other", "shop/cart.yaml"]).exit_code == 0
    other = Path("other")
    said = refused(other)
    keys = ("title", "goals", "owner", "coordinator", "driver", "scribe", "risks", "abort-when", "rollback", "expected")
    for key in keys:
        assert f"other/gameday.yaml:{line(other, f'{key}:')}: " in said, key
    assert "'owner': nothing stands there: who answers for the day" in said
    assert "shop/cart.yaml" in (other / "gameday.yaml").read_text()
    again = CliRunner().invoke(command, ["new", "other"])
    assert isinstance(again.exception, UsageError)


@pytest.mark.parametrize(
    ("key", "wrong"), [("goals", "gaols"), ("roles", "rolls"), ("window", "windw"), ("experiments", "experiment")]
)
def test_a_misspelt_key_is_one_problem_with_its_line_and_what_was_meant(folder: Path, key: str, wrong: str) -> None:
    said = refused(folder, lambda found: found.update({wrong: found.pop(key)}))
    assert f"day/gameday.yaml:{line(folder, f'{wrong}:')}: unknown key '{wrong}' in the game day" in said
    assert f"did you mean '{key}'?" in said
    assert f"needs '{key}'" not in said


@pytest.mark.parametrize("role", ["owner", "driver", "author"])
def test_whoever_stands_behind_the_plan_is_no_approver(folder: Path, role: str) -> None:
    said = refused(folder, lambda found: found["roles"].update({role: "ken "}))
    assert f"'Ken' is the {role} and cannot approve" in said
    assert f":{line(folder, '- Ken')}: " in said


@pytest.mark.parametrize(
    ("approvers", "what"),
    [(["Barbara"], "needs 2 approvers"), (["Ken", "ken"], "'ken' is here more than once"), ([], "needs 2")],
)
def test_two_people_approve(folder: Path, approvers: list[str], what: str) -> None:
    assert what in refused(folder, lambda found: found["roles"].update(approvers=approvers))


@pytest.mark.parametrize(
    ("window", "what"),
    [
        ({"from": "2026-12-03 10:00", "to": "2026-12-03 09:00", "timezone": "UTC"}, "must end after it begins"),
        ({"from": "2026-12-03", "to": "2026-12-03 09:00", "timezone": "UTC"}, "'from': '2026-12-03' is not a time"),
        ({"from": "2026-12-03 10:00", "to": "2026-12-13 09:00", "timezone": "UTC"}, "within 7 days"),
        ({"from": "2026-12-03 10:00", "to": "2026-12-03 11:00"}, "'window' needs 'timezone'"),
        ({"from": "2026-12-03 10:00", "to": "2026-12-03 11:00", "timezone": "Berlin"}, "not the name of a time zone"),
        ({"from": "2027-03-28 02:30", "to": "2027-03-28 05:00", "timezone": "Europe/Berlin"}, "is never in"),
        ("tomorrow", "'window' must be a mapping"),
    ],
)
def test_a_window_that_is_none_is_refused(folder: Path, window: object, what: str) -> None:
    assert what in refused(folder, lambda found: found.update(window=window))


def test_what_is_wrong_with_an_experiment_is_told_with_its_own_line_and_beside_the_plans(folder: Path) -> None:
    Path("shop/cart.yaml").write_text(Path("shop/cart.yaml").read_text().replace("pods: 1}}}}", "pdos: 1}}}}"))
    said = refused(folder, lambda found: found.update(title=""))
    assert "shop/cart.yaml:5: " in said
    assert "did you mean 'pods'?" in said
    assert "day/gameday.yaml:1: 'title'" in said


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("gone.yaml", "", "there is no experiment shop/gone.yaml"),
        ("plain.yaml", "{title: x, description: x, method: []}", "shop/plain.yaml states no blast radius"),
        (
            "acts.yaml",
            "{title: x, description: x, method: [{type: action, name: a, provider: {type: process, path: 'true'}}],"
            " extensions: [{name: harness, uncovered: true, objectives: {recovery: {within: 5s}},"
            " blast-radius: {namespaces: [shop]}}]}",
            "nothing undoes what shop/acts.yaml changes: step 'a', by process true",
        ),
    ],
)
def test_an_experiment_that_a_game_day_cannot_answer_for_is_refused(
    folder: Path, file: str, text: str, what: str
) -> None:
    if text:
        Path("shop", file).write_text(text)
    said = refused(folder, lambda found: found["experiments"][0].update(file=f"../shop/{file}"))
    assert what in said
    assert f"day/gameday.yaml:{line(folder, file)}: " in said


def test_a_folder_without_a_plan_is_told_how_to_get_one(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no game day here"):
        plan.read(Path("shop"))


@pytest.mark.parametrize("text", ["- a\n", "", "# nothing\n"])
def test_what_is_no_mapping_is_no_plan(folder: Path, text: str) -> None:
    (folder / "gameday.yaml").write_text(text)
    assert "a game day is a mapping" in refused(folder)


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] if isinstance(value, str) else [leaf for key, one in inside for leaf in leaves(one, (*place, key))]


PLACES = [place for place in leaves(planned()) if place[0] != "window" and place[-1] != "file"]


@given(place=st.sampled_from(PLACES), word=st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), order=st.randoms())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_any_edit_of_what_is_meant_is_another_plan_and_layout_is_none(folder: Path, place, word, order) -> None:
    found = planned()
    write(folder, found)
    before = plan.read(folder)
    keys = list(found)
    order.shuffle(keys)
    text = yaml.safe_dump({key: found[key] for key in keys}, sort_keys=False, default_flow_style=order.random() < 0.5)
    (folder / "gameday.yaml").write_text(f"# {word}\n{text}")
    assert plan.read(folder).hash == before.hash
    inside = found
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] += f" {word}"
    write(folder, found)
    after = plan.read(folder)
    assert after.hash != before.hash
    (changed,) = [name for name in after.parts if after.parts[name] != before.parts[name]]
    assert changed == place[0] or (place[0] == "experiments" and changed.startswith(f"experiment {place[1] + 1}, "))


@pytest.mark.parametrize("file", ["shop/cart.yaml", "stack/slo.yaml"])
def test_an_edit_of_an_experiment_or_of_what_it_inherits_is_another_plan(folder: Path, file: str) -> None:
    path = Path("shop/cart.yaml")
    path.write_text(
        path.read_text().replace("name: harness,", "name: harness, load: {workload: execute-agent, rate: 1/s},")
    )
    before = plan.read(folder)
    Path(file).write_text(Path(file).read_text().replace("5s", "6s").replace("1s", "2s"))
    assert [name for name, digest in plan.read(folder).parts.items() if digest != before.parts[name]] == [
        "experiment 1, shop/cart"
    ]


def test_the_example_is_one_and_is_no_experiment() -> None:
    found = plan.read(ROOT / "docs" / "gameday")
    assert len(found.steps) == 3
    with pytest.raises(HarnessError, match="no experiment here"):
        documents.load([ROOT / "docs" / "gameday"])


def test_check_shows_who_and_what_without_a_cluster(folder: Path, gameday: Go) -> None:
    done = gameday("check", "--offline")
    assert done.exit_code == 0
    assert "at most 1 pods and 0 nodes at a time, in shop" in done.stdout
    assert "coordinator Grace" in done.stdout


def test_check_shows_the_plan_of_each_experiment_and_counts_what_has_none(
    folder: Path, gameday: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dry_run(experiment: Any, options: Any) -> str:
        if experiment.path.stem == "web":
            raise UsageError("3 pods wanted, 2 exist")
        return f"{experiment.name}  seed {options.seed}"

    monkeypatch.setattr(run, "dry_run", dry_run)
    done = gameday("check")
    assert done.exit_code == 4
    assert f"1 shop/cart  seed {plan.read(folder).seed}" in done.stdout
    assert "error: 3 pods wanted, 2 exist" in done.stderr
