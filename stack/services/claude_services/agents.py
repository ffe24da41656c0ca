"""The agents of this ecosystem: the registry's catalogue, and the copy an orchestrator keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

CATEGORIES = ("research", "coding", "analysis", "writing")
TOOLS = {"research": "web-search", "coding": "code-runner", "analysis": "table-reader", "writing": "editor"}

# Executing one of these keeps its orchestrator busy for this long: so one pod can do 50 a second, on any machine.
HEAVY, HEAVY_SECONDS = 10, 0.02
# One of these waits, as for a model that thinks: it costs nothing but a place among those under way.
SLOW, SLOW_SECONDS = 10, 0.6

Agent = Mapping[str, Any]


def catalogue(count: int) -> dict[str, Agent]:
    """Return the same agents in every replica: agent-1 to agent-`count`, heavy-1 to heavy-10, slow-1 to slow-10."""
    light = [_agent("agent", number, {}) for number in range(1, count + 1)]
    heavy = [_agent("heavy", number, {"workSeconds": HEAVY_SECONDS}) for number in range(1, HEAVY + 1)]
    slow = [_agent("slow", number, {"waitSeconds": SLOW_SECONDS}) for number in range(1, SLOW + 1)]
    return {agent["id"]: agent for agent in (*light, *heavy, *slow)}


def _agent(kind: str, number: int, configuration: dict[str, Any]) -> Agent:
    category = CATEGORIES[number % len(CATEGORIES)]
    return {
        "id": f"{kind}-{number}",
        "name": f"{category} agent {number}",
        "category": category,
        "status": "AGENT_STATUS_ACTIVE",
        "capabilities": [TOOLS[category]],
        "configuration": configuration,
    }


async def wait(agent: Agent) -> None:
    """Wait as an execution of this agent does for others; meanwhile all else goes on."""
    await asyncio.sleep(agent["configuration"].get("waitSeconds", 0))


class AgentCache:
    """Remember the last known record of each agent, for the time the registry is away."""

    def __init__(self) -> None:
        self._known: dict[str, Agent] = {}

    def learn(self, agents: Iterable[Agent]) -> None:
        self._known.update((agent["id"], agent) for agent in agents)

    def forget(self, agent_id: str) -> None:
        self._known.pop(agent_id, None)

    def get(self, agent_id: str) -> Agent | None:
        return self._known.get(agent_id)

    def all(self) -> list[Agent]:
        return list(self._known.values())
