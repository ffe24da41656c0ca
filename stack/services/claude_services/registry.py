"""The agent registry: which agents exist and what they can do."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException

from claude_services.agents import Agent, catalogue
from claude_services.settings import Settings
from claude_services.web import Service, received


def build(settings: Settings) -> Service:
    """Return the registry with its catalogue of agents."""
    service = Service(settings)
    agents = catalogue(settings.agents)

    @service.app.get("/v1/agents", response_model=None)
    async def list_agents() -> dict[str, Any]:
        received(settings.name)
        return {"agents": list(agents.values())}

    @service.app.get("/v1/agents/{agent_id}", response_model=None)
    async def get_agent(agent_id: str) -> Agent:
        received(settings.name)
        if agent_id not in agents:
            raise HTTPException(404, f"no agent {agent_id}")
        return agents[agent_id]

    @service.app.get("/v1/snapshot", response_model=None)
    async def snapshot() -> dict[str, Any]:
        # Orchestrators copy the catalogue now and then; that is upkeep, not a request that anyone waits for.
        return {"agents": list(agents.values())}

    return service
