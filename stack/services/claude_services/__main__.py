"""Run one service: `python -m claude_services orchestrator|registry|router|discovery|caller`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from claude_services import caller, discovery, orchestrator, registry, router, settings
from claude_services.web import Service

SERVICES: dict[str, tuple[str, Callable[[settings.Settings], Service]]] = {
    "orchestrator": ("claude-orchestrator", orchestrator.build),
    "registry": ("claude-agent-registry", registry.build),
    "router": ("claude-tool-router", router.build),
    "discovery": ("claude-prometheus", discovery.build),
    "caller": ("claude-caller", caller.build),
}


def main(arguments: list[str]) -> int:
    """Start the service that the first argument names."""
    if len(arguments) != 1 or arguments[0] not in SERVICES:
        print(f"usage: python -m claude_services {'|'.join(SERVICES)}", file=sys.stderr)
        return 2
    name, build = SERVICES[arguments[0]]
    told = settings.from_environment(name)
    # What a model or a cache costs at a real start; nothing listens until then.
    time.sleep(told.warm_up_seconds)
    build(told).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
