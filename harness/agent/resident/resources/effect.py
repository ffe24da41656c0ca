"""What an effect on a resource is: the processes that make it, and what the kernel counts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]


def lasts() -> str:
    """Say nothing: it may go on."""
    return ""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect: each of `hogs` becomes a process of its own in the container's groups of these `controllers`.

    `told` returns what is counted outside of the hogs; what is under `did` there says that the effect is felt. `ends`
    says why it must not go on, nothing as long as it may. Where memory runs out the kernel ends hogs before anything
    else, but for those that are `spared`.
    """

    hogs: Sequence[Callable[[], None]]
    controllers: tuple[str, ...]
    told: Callable[[], Facts]
    ends: Callable[[], str] = lasts
    spared: bool = False
