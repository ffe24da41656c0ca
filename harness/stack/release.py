"""Release another template of a Rollout, and follow it until it is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.errors import ApiError, PreconditionFailed, UsageError, first
from harness.workloads import releases
from harness.workloads.releases import State


async def start(kube: Kube, namespace: str, name: str, image: str, settings: Mapping[str, str]) -> str:
    """Write image and environment into the template of a Rollout's first container; return whose place it takes.

    Raises UsageError where nothing would change, PreconditionFailed where there is no such Rollout at rest.
    """
    path = releases.rollouts(namespace, name)
    try:
        item = await kube.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
        hint = "harness up --parts delivery"
        raise PreconditionFailed(f"there is no Rollout {name}", where=namespace, why=str(error), hint=hint) from error
    if ref := item["spec"].get("workloadRef"):
        hint = f"change it there: kubectl -n {namespace} edit {ref['kind'].lower()}/{ref['name']}"
        other = f"{ref['kind']} {ref['name']}"
        raise PreconditionFailed(f"{name} takes its template from {other}", where=namespace, hint=hint)
    now = releases.state(item)
    if now.moving:
        hint = "wait for it, or take it back with `harness up --parts delivery`"
        raise PreconditionFailed(
            f"{name} is releasing already", where=namespace, why=now.message or now.phase, hint=hint
        )
    at = "/spec/template/spec/containers/0"
    container = item["spec"]["template"]["spec"]["containers"][0]
    wanted = {"image": image or container["image"], "env": releases.environment(container.get("env"), settings)}
    patch = [
        {"op": "add", "path": f"{at}/{key}", "value": value}
        for key, value in wanted.items()
        if _as_read(container.get(key)) != _as_read(value)
    ]
    if not patch:
        raise UsageError("nothing would change", where=f"{namespace}/{name}", why="its template says so already")
    # Between a look and a change somebody else may have released something.
    as_seen = {"op": "test", "path": at, "value": container}
    changed = await kube.patch(path, [as_seen, *patch], kind="json")
    if changed["spec"]["template"] == item["spec"]["template"]:
        raise PreconditionFailed(
            f"the template of {name} is as it was",
            where=namespace,
            why="the API server took the change, and something on its way there took it back",
            hint="`kubectl get mutatingwebhookconfigurations` says who may",
        )
    return now.newest


def _as_read(value: Any) -> Any:
    """Return an image, or an environment as a controller reads it: an empty value is none."""
    if isinstance(value, str):
        return value
    return [{key: told for key, told in one.items() if told != ""} for one in value or ()]


async def follow(kube: Kube, namespace: str, name: str, replaced: str, tell: Callable[[str], None]) -> State:
    """Tell of each step and measurement of the release after `replaced` until it is decided; return what came of it.

    Raises ClusterUnreachable and ApiError where nobody can see it any more.
    """
    last = State()

    async def analyses() -> None:
        try:
            async for kind, item in kube.watch(releases.analyses(namespace)):
                found = releases.analysis(item)
                ours = found.rollout == f"Rollout/{name}" and found.release == last.newest != replaced
                if kind != "DELETED" and ours and found.phase:
                    measured = found.measured or "nothing measured yet"
                    tell(" ".join(word for word in (found.phase, measured, found.message) if word))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            tell(f"what its analyses measure is out of sight: {error.what}")

    try:
        async with anyio.create_task_group() as together:
            together.start_soon(analyses)
            async for _, item in kube.watch(releases.rollouts(namespace), fields=f"metadata.name={name}"):
                now = releases.state(item)
                if not now.phase:
                    continue
                if (line := _shown(now, replaced)) != _shown(last, replaced):
                    tell(line)
                last = now
                # Where it is scaled at the same time, the controller says that it has seen the template while all
                # else that it says is still of the last release.
                if last.newest != replaced and last.outcome != releases.UNDER_WAY:
                    break
            together.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first(group) from group
    return last


def _shown(state: State, replaced: str) -> str:
    said = f"{state.phase}: {state.message}" if state.message else state.phase
    if state.newest in ("", replaced):
        return f"no new release yet, {said}"
    return f"{state.weight:g} % of the traffic, step {state.step} of {state.steps}, {said}"
