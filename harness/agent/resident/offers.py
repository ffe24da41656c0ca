"""Find out what this node lets an agent do, before a run depends on it: prints it as JSON.

It is tried in a network namespace of its own, which goes with this process.
"""

from __future__ import annotations

import json
import os
from typing import Any

from harness.agent.resident.packets import namespace, rules
from harness.agent.resident.packets.inject import Injector
from harness.agent.resident.packets.match import Match
from harness.agent.resident.packets.queue import Queue
from harness.agent.resident.packets.spec import MARK
from harness.agent.resident.processes import cgroups
from harness.agent.resident.refused import Refused

NAME = "offers"
Facts = dict[str, Any]


def found() -> dict[str, Facts]:
    """Return, by what may be wanted, whether it can be had (`ok`) and how, or why not (`said`)."""
    return {"packets": _packets(), "freezing": _freezing(), "resources": _resources()}


def _packets() -> Facts:
    try:
        namespace.leave()
        Injector(MARK, inwards=False).close()
        queue = Queue(0, copy=0, limit=1, large=False, opens=True)
        variants = rules.install(NAME, Match(), MARK, queue.number)
        queue.close()
    except Refused as refused:
        return {"ok": False, "said": str(refused)}
    return {"ok": True, "said": f"iptables-{variants['ipv4']}"}


def _freezing() -> Facts:
    top = cgroups.freezing(cgroups.ROOT)
    if top is None:
        return {"ok": False, "said": f"there are no control groups at {cgroups.ROOT} that freeze"}
    # The folders are nobody's to write, the files in them are.
    if os.statvfs(top).f_flag & os.ST_RDONLY:
        return {"ok": False, "said": f"the control groups at {top} are read-only"}
    second = cgroups.second(top)
    # The topmost group never has that file, and no group has it on a kernel before 5.2.
    if second and not any(top.glob("*/cgroup.freeze")):
        return {"ok": False, "said": "this kernel freezes no control groups of version 2"}
    return {"ok": True, "said": f"cgroup v{2 if second else 1}"}


def _resources() -> Facts:
    """Look for the controllers whose limits faults on resources meet."""
    lacks = [one for one in ("cpu", "memory", "pids") if not cgroups.has(cgroups.ROOT, one)]
    return {"ok": not lacks, "said": f"no control groups of {', '.join(lacks)}" if lacks else "cpu, memory, pids"}


if __name__ == "__main__":
    print(json.dumps(found()))
