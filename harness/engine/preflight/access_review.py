"""Ask the API server what this user may do, before it is tried."""

from __future__ import annotations

from collections.abc import Iterable

from harness.cluster.kube import Kube
from harness.faults.kind import Rule

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def missing(kube: Kube, rules: Iterable[Rule], namespace: str = "") -> list[str]:
    """Name what these rules are about and this user may not do, in one namespace or in the whole cluster.

    Raises ApiError or ClusterUnreachable where it cannot be asked.
    """
    return list(dict.fromkeys([lack for rule in rules for lack in await _lacking(kube, rule, namespace)]))


async def _lacking(kube: Kube, rule: Rule, namespace: str) -> list[str]:
    lacking = []
    for name in rule["resources"]:
        resource_name, _, sub = name.partition("/")
        for verb in rule["verbs"]:
            attributes = {"group": rule["apiGroups"][0], "resource": resource_name, "subresource": sub, "verb": verb}
            attributes |= {"namespace": namespace, "name": rule.get("resourceNames", [""])[0]}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            answer = await kube.create(REVIEWS, review)
            if not (answer.get("status") or {}).get("allowed"):
                lacking.append(f"{verb} {name}")
    return lacking
