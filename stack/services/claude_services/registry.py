"""The agent registry: which agents exist and what they can do."""

from __future__ import annotations

from fastapi import HTTPException, Response
from fastapi.responses import JSONResponse

from claude_services.agents import catalogue
from claude_services.settings import Settings
from claude_services.web import Service, received


def build(settings: Settings) -> Service:
    """Return the registry with its catalogue of agents."""
    service = Service(settings)
    # The catalogue never changes: what is answered is written once.
    agents = {agent_id: bytes(JSONResponse(agent).body) for agent_id, agent in catalogue(settings.agents).items()}
    everyone = b'{"agents":[' + b",".join(agents.values()) + b"]}"

    @service.app.get("/v1/agents", response_class=Response)
    async def list_agents() -> Response:
        received(settings.name)
        return Response(everyone, media_type="application/json")

    @service.app.get("/v1/agents/{agent_id}", response_class=Response)
    async def get_agent(agent_id: str) -> Response:
        received(settings.name)
        if agent_id not in agents:
            raise HTTPException(404, f"no agent {agent_id}")
        return Response(agents[agent_id], media_type="application/json")

    @service.app.get("/v1/snapshot", response_class=Response)
    async def snapshot() -> Response:
        # Orchestrators copy the catalogue now and then; that is upkeep, not a request that anyone waits for.
        return Response(everyone, media_type="application/json")

    return service
