"""What a fault changes through the API server, as the plan names it."""

from __future__ import annotations

import pytest

from harness.model.plan import Victim
from harness.targets import objects


@pytest.mark.parametrize(
    ("kind", "path", "api"),
    [
        ("ReplicationController", "/api/v1/namespaces/shop/replicationcontrollers/web", "v1"),
        ("Deployment", "/apis/apps/v1/namespaces/shop/deployments/web", "apps/v1"),
        ("Rollout", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web", "argoproj.io/v1alpha1"),
    ],
)
def test_a_workload_is_of_the_api_that_its_path_leads_to(kind: str, path: str, api: str) -> None:
    victim = Victim("workload", "web", "uid-1", "shop", owner=f"{kind}/web", path=path)
    assert objects.workload(victim).api == api
