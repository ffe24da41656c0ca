"""How long the machine takes for something is its own affair in these tests: only what hangs is to fail."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

PACKAGE = "harness.agent.resident"
SECONDS = 30.0
# What the agent waits for, and looks again after a pause, or has others wait for it.
LIMITS: dict[str, dict[str, float]] = {
    "supervising": {"READY_SECONDS": SECONDS, "END_SECONDS": SECONDS},
    "effecting": {"WORKER_LEASE_SECONDS": 10 * SECONDS},
    "healing": {"SILENT_SECONDS": SECONDS},
    "resources.left": {"KILL_SECONDS": SECONDS},
    "resources.hogs": {"KILL_SECONDS": SECONDS},
    "processes.crashing": {"END_SECONDS": SECONDS},
    "processes.descriptors": {"SECONDS": SECONDS},
    "processes.freezer": {"TRIES": 1500},
    "processes.signals": {"SEEN_SECONDS": SECONDS},
    "__main__": {"GOODBYE_SECONDS": SECONDS},
}


def limits() -> Iterator[tuple[ModuleType, str, float]]:
    """Go through the limits of time, and what each is here."""
    for name, values in LIMITS.items():
        module = importlib.import_module(f"{PACKAGE}.{name}")
        yield from ((module, key, value) for key, value in values.items())


if __name__ == "__main__":
    for one in limits():
        setattr(*one)
    sys.modules[f"{PACKAGE}.__main__"].main()
