"""An action of a plain `chaos run`: what it names is its whole blast radius."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine import single_action
from harness.errors import UsageError

SHOP: dict[str, Any] = {"namespace": "shop", "selector": "app=web"}


@pytest.mark.parametrize(
    ("kind", "target", "namespaces"),
    [
        ("pod_kill", {**SHOP, "pods": 2}, ("shop",)),
        ("pod_kill", {"namespaces": ["shop", "cart"], "annotations": "chaos=yes", "pods": 1}, ("shop", "cart")),
        ("workload_scale", {**SHOP, "workloads": 1}, ("shop",)),
        ("node_cordon", {"nodes": 1, "hosting": "shop/app=web"}, ("shop",)),
        ("zone_outage", {"zones": 1, "hosting": "shop/app=web"}, ("shop",)),
    ],
)
def test_an_action_may_touch_the_namespaces_that_it_names(kind: str, target: dict[str, Any], namespaces) -> None:
    made = single_action._experiment(kind, {"target": target})
    assert made.blast_radius.namespaces == namespaces
    (step,) = made.method
    assert step.fault


def test_an_action_by_itself_picks_its_targets_when_it_is_called() -> None:
    made = single_action._experiment("pod_kill", {"target": {**SHOP, "pods": 1}, "late": True})
    assert made.method[0].fault
    assert not made.method[0].fault.late
    with pytest.raises(UsageError, match="'tomorrow' is not true or false"):
        single_action._experiment("pod_kill", {"target": {**SHOP, "pods": 1}, "late": "tomorrow"})
