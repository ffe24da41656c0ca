"""Variables of a document are given to pytest as they are to `harness run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engine import run as engine
from harness.engine.options import Options, Outcome
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from tests.plugin.documents import DOCUMENT

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("_light")


@pytest.fixture
def selected(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note whom each experiment that is run would aim at; there is a document that aims at a variable."""
    seen: list[str] = []

    def run(experiment: Experiment, options: Options) -> Outcome:
        seen.append(experiment.faults[0].target.selector)
        return Outcome(Verdict.PASS, 0, True, "r", Path("r"), "VERDICT PASS", 1.0, 0.1)

    monkeypatch.setattr(engine, "run", run)
    text = DOCUMENT.format(sets="local", more="configuration: {app: cart}")
    (pytester.path / "kill.yaml").write_text(text.replace("app=cart", "'app=${app}'"))
    return seen


@pytest.mark.parametrize(
    ("words", "aimed"),
    [
        ([], "app=cart"),
        (["--chaos-var", "app=mail"], "app=mail"),
        (["--chaos-var=app:str=mail"], "app=mail"),
        (["--chaos-var-file", "values.yaml"], "app=file"),
        (["--chaos-var", "app=cart", "--chaos-var", "app=mail"], "app=mail"),
    ],
)
def test_a_variable_replaces_what_the_document_states(
    pytester: pytest.Pytester, selected: list[str], words: list[str], aimed: str
) -> None:
    (pytester.path / "values.yaml").write_text("configuration: {app: file}\n")
    pytester.runpytest("kill.yaml", *words).assert_outcomes(passed=1)
    assert selected == [aimed]


def test_one_that_no_document_states_is_a_usage_error(pytester: pytest.Pytester, selected: list[str]) -> None:
    result = pytester.runpytest("kill.yaml", "--chaos-var", "ap=mail")
    assert (result.ret, selected) == (4, [])
    result.stderr.fnmatch_lines(["*--chaos-var ap: no document states it*", "*did you mean 'app'?*"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--chaos-var", "app"], ["*a variable cannot be read*", "*--chaos-var name?:type?=value*"]),
        (["--chaos-var", "app:what=x"], ["*a variable cannot be read*", "*--chaos-var name?:type?=value*"]),
        (["--chaos-var-file", "none.yaml"], ["*none.yaml: cannot read the file of variables*"]),
    ],
)
def test_one_that_cannot_be_read_is_a_usage_error(
    pytester: pytest.Pytester, selected: list[str], words: list[str], told: list[str]
) -> None:
    result = pytester.runpytest("kill.yaml", *words)
    assert (result.ret, selected) == (4, [])
    result.stdout.fnmatch_lines(told)
