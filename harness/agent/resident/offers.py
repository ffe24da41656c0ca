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
from harness.agent.resident.processes import freezer
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
    first = (freezer.ROOT / "freezer").is_dir()
    root = freezer.ROOT / "freezer" if first else freezer.ROOT
    if not first and not (root / "cgroup.controllers").exists():
        return {"ok": False, "said": f"there are no control groups at {root}"}
    # The folders are nobody's to write, the files in them are.
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        return {"ok": False, "said": f"the control groups at {root} are read-only"}
    return {"ok": True, "said": f"cgroup v{1 if first else 2}"}


def _resources() -> Facts:
    """Look for the controllers whose limits faults on resources meet."""
    second = freezer.ROOT / "cgroup.controllers"
    there = second.read_text().split() if second.exists() else [one.name for one in freezer.ROOT.iterdir()]
    lacks = [one for one in ("cpu", "memory", "pids") if one not in there]
    return {"ok": not lacks, "said": f"no control groups of {', '.join(lacks)}" if lacks else "cpu, memory, pids"}


if __name__ == "__main__":
    print(json.dumps(found()))
