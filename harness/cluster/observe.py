"""Watch a few objects until a question about them is answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from harness.errors import ApiError, ClusterUnreachable

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

Objects = dict[str, dict[str, Any]]
Answer = TypeVar("Answer")
RELIST_SECONDS = 0.5


async def until(
    kube: Kube,
    path: str,
    judge: Callable[[Objects], Awaitable[Answer | None]],
    *,
    labels: str | None = None,
    fields: str | None = None,
) -> Answer:
    """Return the first answer that `judge` gives about the objects by UID, now or after any change.

    An API server that cannot be reached is asked again: the caller sets the deadline by cancelling.
    """
    async with aclosing(_states(kube, path, labels, fields)) as states:
        async for objects in states:
            with asked_again():
                answer = await judge(objects)
                if answer is not None:
                    return answer
    raise AssertionError("the states of a watch do not end")


def unanswered(error: ApiError | ClusterUnreachable) -> bool:
    """Say whether an API server did not answer, or not now; a refusal is an answer."""
    return isinstance(error, ClusterUnreachable) or error.status >= 500 or error.status == 429


@contextmanager
def asked_again() -> Iterator[None]:
    """Let pass that an API server does not answer, or not now: whoever waits asks it again. A refusal is raised."""
    try:
        yield
    except (ApiError, ClusterUnreachable) as error:
        if not unanswered(error):
            raise


async def _states(kube: Kube, path: str, labels: str | None, fields: str | None) -> AsyncGenerator[Objects, None]:
    while True:
        try:
            items, version = await kube.list_at(path, labels=labels, fields=fields)
            objects = {item["metadata"]["uid"]: item for item in items}
            yield objects
            watch = kube.watch(path, labels=labels, fields=fields, since=version)
            async with aclosing(cast(AsyncGenerator[tuple[str, dict[str, Any]], None], watch)) as changes:
                async for kind, item in changes:
                    if kind == "DELETED":
                        objects.pop(item["metadata"]["uid"], None)
                    else:
                        objects[item["metadata"]["uid"]] = item
                    yield objects
        except (ApiError, ClusterUnreachable) as error:
            # What is too old to be watched on is listed anew.
            if not unanswered(error) and not (isinstance(error, ApiError) and error.status == 410):
                raise
            await anyio.sleep(RELIST_SECONDS)
