"""Ask the API server, through the official client."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterUnreachable, ObservationFailed, PreconditionFailed
from harness.probes import settings

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

TIMEOUT = (3.0, 10.0)
# It has more to answer than it takes on, and says nothing of what was asked.
BUSY = 429


def deployment(namespace: str, name: str, secrets: settings.Settings = None) -> Any:
    """Return one Deployment; raises ObservationFailed when there is none."""
    from kubernetes.client import AppsV1Api

    return _ask(AppsV1Api(client(secrets)).read_namespaced_deployment, name, namespace)


def replica_set(namespace: str, name: str, secrets: settings.Settings = None) -> Any:
    """Return one ReplicaSet; raises ObservationFailed when there is none."""
    from kubernetes.client import AppsV1Api

    return _ask(AppsV1Api(client(secrets)).read_namespaced_replica_set, name, namespace)


def budget(namespace: str, name: str, secrets: settings.Settings = None) -> Any:
    """Return one PodDisruptionBudget; raises ObservationFailed when there is none."""
    from kubernetes.client import PolicyV1Api

    return _ask(PolicyV1Api(client(secrets)).read_namespaced_pod_disruption_budget, name, namespace)


def pods(namespace: str, selector: str, secrets: settings.Settings = None) -> list[Any]:
    """Return the pods of a namespace that a label selector picks."""
    from kubernetes.client import CoreV1Api

    return list(_ask(CoreV1Api(client(secrets)).list_namespaced_pod, namespace, label_selector=selector).items)


def nodes(selector: str = "", secrets: settings.Settings = None) -> list[Any]:
    """Return the nodes a label selector picks."""
    from kubernetes.client import CoreV1Api

    return list(_ask(CoreV1Api(client(secrets)).list_node, label_selector=selector).items)


def custom(api: str, namespace: str, plural: str, name: str, secrets: settings.Settings = None) -> dict[str, Any]:
    """Return one custom resource; raises ObservationFailed when there is none."""
    from kubernetes.client import CustomObjectsApi

    group, _, version = api.partition("/")
    get = CustomObjectsApi(client(secrets)).get_namespaced_custom_object
    found: dict[str, Any] = _ask(functools.partial(get, group, version), namespace, plural, name)
    return found


def client(secrets: settings.Settings = None) -> ApiClient:
    """Return the client of the run's cluster; a worker keeps it from probe to probe."""
    return _client(*settings.cluster(secrets))


@functools.lru_cache(maxsize=4)
def _client(kubeconfig: str | None, context: str | None) -> ApiClient:
    from kubernetes.client import ApiClient, Configuration

    from harness.cluster import kubeconfig as kubeconfigs
    from harness.cluster.kubeconfig import official

    configuration = Configuration()
    try:
        official.install()
        official.configure(configuration, kubeconfigs.load(Path(kubeconfig) if kubeconfig else None, context))
    except PreconditionFailed as error:
        raise ObservationFailed(
            "no cluster to ask",
            where=kubeconfig or "the default kubeconfig",
            why=str(error),
            hint="`harness up`, or set HARNESS_KUBECONFIG and HARNESS_CONTEXT",
        ) from error
    # A second try would hide the failure that is being measured.
    configuration.retries = False
    return ApiClient(configuration)


def _ask(call: Any, *arguments: str, **options: Any) -> Any:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    where = "/".join(reversed(arguments))
    try:
        return call(*arguments, **options, _request_timeout=TIMEOUT)
    except ApiException as error:
        said = f"{error.status} {error.reason}"
        if not error.status or error.status >= 500 or error.status == BUSY:
            raise ClusterUnreachable("the API server has no answer", where=where, why=said) from error
        raise ObservationFailed(f"the API server refused: {said}", where=where) from error
    except HTTPError as error:
        raise ClusterUnreachable("the API server does not answer", where=where, why=str(error)) from error
