"""The agents of this ecosystem: the registry's catalogue, and the copy an orchestrator keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CATEGORIES = ("research", "coding", "analysis", "writing")
TOOLS = {"research": "web-search", "coding": "code-runner", "analysis": "table-reader", "writing": "editor"}

Agent = Mapping[str, Any]


def catalogue(count: int) -> dict[str, Agent]:
    """Return `count` agents, the same ones in every replica: agent-1, agent-2, and so on."""
    return {agent["id"]: agent for agent in (_agent(number) for number in range(1, count + 1))}


def _agent(number: int) -> Agent:
    category = CATEGORIES[number % len(CATEGORIES)]
    return {
        "id": f"agent-{number}",
        "name": f"{category} agent {number}",
        "category": category,
        "status": "AGENT_STATUS_ACTIVE",
        "capabilities": [TOOLS[category]],
        "configuration": {},
    }


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
