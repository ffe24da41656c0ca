"""Remove the chains that dead workers left in one network namespace: clear NETNS [CHAIN...], or all of ours."""

from __future__ import annotations

import json
import sys

from harness.agent.resident import namespace, rules
from harness.agent.resident.refused import Refused


def main(arguments: list[str]) -> int:
    """Print the chains that were removed; 4 when that cannot be done."""
    netns, *named = arguments
    try:
        namespace.enter(netns)
        removed = rules.remove(lambda chain: chain.startswith(tuple(named)) if named else True)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 4
    print(json.dumps(removed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
