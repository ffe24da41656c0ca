"""Remove the chains that dead workers left in network namespaces: clear NETNS[,NETNS...] [CHAIN...], or all of ours."""

from __future__ import annotations

import json
import sys

from harness.agent.resident.packets import namespace, rules
from harness.agent.resident.refused import Refused


def main(arguments: list[str]) -> int:
    """Print the chains that were removed; 4 when that failed in any of the namespaces, the others are cleared then."""
    places, *named = arguments
    removed: list[str] = []
    failed = 0
    for place in places.split(","):
        try:
            namespace.enter(place)
            removed += rules.remove(lambda chain: chain.startswith(tuple(named)) if named else True)
        except Refused as refused:
            print(refused, file=sys.stderr)
            failed = 4
    print(json.dumps(removed))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
