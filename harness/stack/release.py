"""Release another template of a Rollout, and follow it until it is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from harness.cluster.kube import Kube
from harness.errors import ApiError, PreconditionFailed, UsageError
from harness.workloads import releases
from harness.workloads.releases import State


async def start(kube: Kube, namespace: str, name: str, image: str, settings: Mapping[str, str]) -> None:
    """Write image and environment into the template of a Rollout's first container.

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
        if (container.get(key) or []) != value
    ]
    if not patch:
        raise UsageError("nothing would change", where=f"{namespace}/{name}", why="its template says so already")
    # Between a look and a change somebody else may have released something.
    as_seen = {"op": "test", "path": at, "value": container}
    await kube.patch(path, [as_seen, *patch], kind="json")


async def follow(kube: Kube, namespace: str, name: str, tell: Callable[[str], None]) -> State:
    """Tell of each step and measurement of the newest release until it is decided; return what came of it.

    Raises ClusterUnreachable and ApiError where nobody can see it any more.
    """
    last = State()

    async def analyses() -> None:
        async for kind, item in kube.watch(releases.analyses(namespace)):
            found = releases.analysis(item)
            if (
                kind != "DELETED"
                and found.rollout == f"Rollout/{name}"
                and found.release == last.newest
                and found.phase
            ):
                tell(
                    " ".join(
                        word for word in (found.phase, found.measured or "nothing measured yet", found.message) if word
                    )
                )

    async with anyio.create_task_group() as together:
        together.start_soon(analyses)
        async for _, item in kube.watch(releases.rollouts(namespace), fields=f"metadata.name={name}"):
            before, last = _shown(last), releases.state(item)
            if (now := _shown(last)) != before:
                tell(now)
            if last.outcome != releases.UNDER_WAY:
                break
        together.cancel_scope.cancel()
    return last


def _shown(state: State) -> str:
    said = f": {state.message}" if state.message else ""
    return (
        f"{state.weight:g} % of the traffic, step {state.step} of {state.steps}, {state.phase or 'not seen yet'}{said}"
    )
