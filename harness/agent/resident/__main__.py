"""Start the agent: heal what the one before it left, then do what this node's faults ask for."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from harness.agent.resident import metrics
from harness.agent.resident.api import Api
from harness.agent.resident.fault import GROUP
from harness.agent.resident.following import FAULTS, LEASE_NAME, LEASES, NODE_FAULTS, Follower, Runs, Wanted
from harness.agent.resident.healing import TICK_SECONDS, Agent, say
from harness.agent.resident.leases import SECONDS, Leases
from harness.agent.resident.ledger import Ledger
from harness.agent.resident.statuses import Statuses

PORT = 9320
GOODBYE_SECONDS = 3.0


def main() -> None:
    """Run until SIGTERM, which heals everything."""
    environment, over = os.environ, threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    statuses = Statuses(_api(environment.get("AGENT_API", "")))
    ledger = Ledger(Path(environment.get("AGENT_LEDGER", "/ledger/ledger.json")))
    agent = Agent(ledger, Leases(float(environment.get("AGENT_LEASE", SECONDS))), statuses.tell)
    agent.recover()
    followers = _followers(agent, statuses, _api(environment.get("AGENT_API", "")), environment["NODE_NAME"])
    threading.Thread(target=statuses.write, daemon=True).start()
    for one in followers:
        threading.Thread(target=one.follow, args=(over,), daemon=True).start()
    served = metrics.server(int(environment.get("AGENT_PORT", PORT)), agent, lambda: all(o.answers for o in followers))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    say(f"the agent of {environment['NODE_NAME']} is at work")
    while not over.wait(TICK_SECONDS):
        agent.tick()
    agent.end()
    # Whoever waits for a fault of an agent that is replaced hears of its end from that one.
    statuses.written(GOODBYE_SECONDS)


def _api(address: str) -> Api:
    if not address:
        return Api.of_this_pod()
    host, _, port = address.partition(":")
    return Api(host, int(port), None)


def _followers(agent: Agent, statuses: Statuses, api: Api, node: str) -> list[Follower]:
    mine = {"labelSelector": f"{GROUP}/node={node}"}
    return [
        Follower(api, LEASES, {"fieldSelector": f"metadata.name={LEASE_NAME}"}, Runs(agent)),
        Follower(api, FAULTS, mine, Wanted(agent, "faults", statuses.tell)),
        Follower(api, NODE_FAULTS, mine, Wanted(agent, "nodefaults", statuses.tell)),
    ]


if __name__ == "__main__":
    main()
