"""What an effect on a resource is: the processes that make it, and what the kernel counts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect: each of `hogs` becomes a process of its own in the container's groups of these `controllers`.

    `told` returns what is counted outside of the hogs; what is under `did` there says that the effect is felt.
    """

    hogs: Sequence[Callable[[], None]]
    controllers: tuple[str, ...]
    told: Callable[[], Facts]
