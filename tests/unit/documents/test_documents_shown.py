"""What the documentation shows of experiments is what the harness reads."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.checkers import OBJECTIVES
from harness.documents import document

ROOT = Path(__file__).parents[3]


def shown() -> dict[str, Any]:
    blocks = re.findall(r"(?:^    .*\n)+", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    (found,) = [textwrap.dedent(block) for block in blocks if block.startswith("    title: ")]
    written: dict[str, Any] = yaml.safe_load(found)
    return written


def promised() -> dict[str, Any]:
    """Return each objective of the page's table, with its example."""
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    table = text.partition("| objective | promises |")[2].partition("\n\n")[0]
    rows = [yaml.safe_load(row) for row in re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)]
    return {name: example for row in rows for name, example in row.items()}


def test_the_experiment_of_the_readme_loads() -> None:
    found = document.loads(yaml.safe_dump(shown()), Path("cart.yaml"), None, promised=True)
    assert (found.title, len(found.method)) == ("One cart is deleted", 1)


def test_every_objective_is_in_the_page_s_table() -> None:
    assert set(promised()) == set(OBJECTIVES)


@pytest.mark.parametrize("name", promised())
def test_the_example_of_an_objective_loads(name: str) -> None:
    written = shown()
    target = {"namespace": "shop", "selector": "app=cart"}
    func = {"canary": "workload_release", "disruption-budget": "pod_evict"}.get(name, "pod_kill")
    aimed = {"target": target | {"workloads" if func == "workload_release" else "pods": 1}}
    written["method"][0]["provider"] |= {"func": func, "arguments": aimed}
    # A release is decided only as long as it is not taken back.
    written["extensions"][0] |= {
        "objectives": {name: promised()[name]},
        "load": {"url": "/carts", "rate": "40/s"},
        "phases": {"hold": "90s"},
    }
    found = document.loads(yaml.safe_dump(written), Path("cart.yaml"), None, promised=True)
    assert name in [one.checker for one in found.objectives]
