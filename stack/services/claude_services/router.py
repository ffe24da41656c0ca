"""The tool router: which tool a task of an agent goes to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, HTTPException
from fastapi.responses import JSONResponse

from claude_services.agents import TOOLS
from claude_services.settings import Settings
from claude_services.web import Service, received


def build(settings: Settings) -> Service:
    """Return the router."""
    service = Service(settings)

    @service.app.post("/v1/route", response_model=None)
    async def route(request: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        received(settings.name)
        category = request.get("category", "")
        if category not in TOOLS:
            raise HTTPException(422, f"no tool for category {category!r}")
        return JSONResponse({"tool": TOOLS[category], "category": category, "routed_by": settings.pod})

    return service
