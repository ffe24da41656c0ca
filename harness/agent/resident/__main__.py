"""Start the agent: heal what the one before it left, then do what this node's faults ask for."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from harness.agent.resident import belonging, metrics
from harness.agent.resident.api import Api
from harness.agent.resident.fault import GROUP
from harness.agent.resident.following import FAULTS, LEASE_NAME, LEASES, NODE_FAULTS, Follower, Runs, Wanted
from harness.agent.resident.healing import TICK_SECONDS, Agent, say
from harness.agent.resident.leases import SECONDS, Leases
from harness.agent.resident.ledger import Ledger
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups
from harness.agent.resident.statuses import Statuses

PORT = 9320
GOODBYE_SECONDS = 3.0
OFFERS_SECONDS = 60.0


def main() -> None:
    """Run until SIGTERM, which heals everything."""
    environment, over = os.environ, threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    # Before anything is done: an agent that does not know its own pod could freeze it, and would undo it never.
    try:
        groups.stay_outside()
    except Refused as refused:
        sys.exit(str(refused))
    statuses = Statuses(_api(environment.get("AGENT_API", "")))
    ledger = Ledger(Path(environment.get("AGENT_LEDGER", "/ledger/ledger.json")))
    agent = Agent(ledger, Leases(float(environment.get("AGENT_LEASE", SECONDS))), statuses.tell)
    agent.recover()
    followers = _followers(agent, statuses, _api(environment.get("AGENT_API", "")), environment["NODE_NAME"])
    threading.Thread(target=statuses.write, daemon=True).start()
    for one in followers:
        threading.Thread(target=one.follow, args=(over,), daemon=True).start()
    offers: dict[str, Any] = {}
    threading.Thread(target=lambda: offers.update(_offers()), daemon=True).start()
    port = int(environment.get("AGENT_PORT", PORT))
    served = metrics.server(port, agent, lambda: all(one.answers for one in followers), lambda: offers)
    # How often it looks whether it was told to end, which nobody does.
    threading.Thread(target=served.serve_forever, args=(3600.0,), daemon=True).start()
    say(f"the agent of {environment['NODE_NAME']} is at work")
    while not over.wait(TICK_SECONDS):
        agent.tick()
    agent.end()
    # Whoever waits for a fault of an agent that is replaced hears of its end from that one.
    statuses.written(GOODBYE_SECONDS)


def _offers() -> dict[str, Any]:
    """Try in a process of its own what this node lets an agent do."""
    argv = [sys.executable, "-m", "harness.agent.resident.offers"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=OFFERS_SECONDS, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        found = {"packets": {"ok": False, "said": f"it could not be tried: {error}"}}
    say(f"this node offers {json.dumps(found)}")
    return found


def _api(address: str) -> Api:
    if not address:
        return Api.of_this_pod()
    host, _, port = address.partition(":")
    return Api(host, int(port), None)


def _followers(agent: Agent, statuses: Statuses, api: Api, node: str) -> list[Follower]:
    check = functools.partial(belonging.check, api)
    mine = {"labelSelector": f"{GROUP}/node={node}"}
    return [
        Follower(api, LEASES, {"fieldSelector": f"metadata.name={LEASE_NAME}"}, Runs(agent)),
        Follower(api, FAULTS, mine, Wanted(agent, "faults", statuses.tell, check)),
        Follower(api, NODE_FAULTS, mine, Wanted(agent, "nodefaults", statuses.tell, check)),
    ]


if __name__ == "__main__":
    main()
