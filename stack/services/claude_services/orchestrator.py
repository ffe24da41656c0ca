"""The orchestrator: executes agents by asking the registry who they are and the router which tool they need.

An agent whose record is known from before is executed although the registry is away (`x-degraded: registry`). Nothing
stands in for the router: without it an execution fails fast with 503 (`x-breaker: open` when its breaker refused).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request, Response

from claude_services import breaker, metrics
from claude_services.agents import Agent, AgentCache
from claude_services.breaker import CircuitOpen, State
from claude_services.client import DependencyFailed, ServiceClient
from claude_services.settings import Settings
from claude_services.web import Service, received

REGISTRY, ROUTER = "agent-registry", "tool-router"
log = logging.getLogger("orchestrator")


class Orchestrator:
    """Execute agents through the registry and the router."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._observer = metrics.PrometheusObserver()
        self._http = {
            REGISTRY: httpx.AsyncClient(base_url=settings.registry_url, timeout=settings.client.attempt_timeout),
            ROUTER: httpx.AsyncClient(base_url=settings.router_url, timeout=settings.client.attempt_timeout),
        }
        self.registry, self.router = self._client(REGISTRY), self._client(ROUTER)
        self.agents = AgentCache()
        self._asked_once = False

    def _client(self, dependency: str) -> ServiceClient:
        metrics.prepare(dependency)
        guard = breaker.build(
            self._settings.breaker_mode,
            dependency,
            self._settings.limits,
            clock=time.monotonic,
            moved=partial(self._moved, dependency),
        )
        return ServiceClient(dependency, self._http[dependency], guard, self._settings.client, self._observer)

    def _moved(self, dependency: str, was: State, to: State) -> None:
        self._observer.moved(dependency, was, to)
        data = {"dependency": dependency, "from": was.label, "to": to.label}
        log.warning("breaker moved", extra={"data": data})

    async def ready(self) -> str:
        """Say why this replica should get no request yet; a registry that is away is no reason."""
        return "" if self._asked_once else "waiting for the first answer about agents"

    async def keep_agents(self) -> None:
        """Refresh the known agents now and then, but leave a registry alone that is in trouble."""
        while True:
            if self.registry.breaker.state is State.CLOSED:
                try:
                    async with asyncio.timeout(2):
                        answer = await self._http[REGISTRY].get("/v1/snapshot", timeout=2)
                    self.agents.learn(answer.raise_for_status().json()["agents"])
                except (httpx.HTTPError, TimeoutError, ValueError, KeyError) as error:
                    log.warning("no list of agents", extra={"data": {"why": repr(error)}})
            self._asked_once = True
            await asyncio.sleep(self._settings.snapshot_seconds if self.agents.all() else 1)

    async def agent(self, agent_id: str, request_id: str, response: Response) -> Agent:
        """Return the agent's record, or its last known one while the registry is away."""
        try:
            answer = await self.registry.call("GET", f"/v1/agents/{agent_id}", request_id=request_id)
        except (CircuitOpen, DependencyFailed) as error:
            known = self.agents.get(agent_id)
            if known is None:
                raise unavailable(error) from error
            metrics.DEGRADED.labels(REGISTRY).inc()
            response.headers["x-degraded"] = "registry"
            return known
        if answer.status_code == 404:
            self.agents.forget(agent_id)
        if answer.status_code != 200:
            raise HTTPException(answer.status_code, f"the registry has no agent {agent_id}")
        record: Agent = answer.json()
        self.agents.learn([record])
        return record

    async def route(self, body: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Return the router's choice of a tool."""
        try:
            answer = await self.router.call("POST", "/v1/route", request_id=request_id, body=body)
        except (CircuitOpen, DependencyFailed) as error:
            raise unavailable(error) from error
        if answer.status_code != 200:
            raise HTTPException(answer.status_code, "the router refused the task")
        chosen: dict[str, Any] = answer.json()
        return chosen

    async def close(self) -> None:
        for http in self._http.values():
            await http.aclose()


def unavailable(error: CircuitOpen | DependencyFailed) -> HTTPException:
    """Answer 503 at once and say which dependency is away, and whether its breaker or its last attempt said so."""
    told = {"x-breaker": "open"} if isinstance(error, CircuitOpen) else {"x-failure": error.why}
    headers = {"x-dependency": error.dependency, **told}
    return HTTPException(503, str(error), headers=headers)


def build(settings: Settings) -> Service:
    """Return the orchestrator, its clients and its list of known agents."""
    orchestrator = Orchestrator(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(orchestrator.keep_agents())
        yield
        keeping.cancel()
        await orchestrator.close()

    service = Service(settings, lifespan=lifespan, ready=orchestrator.ready)

    async def execute(agent_id: str, request: Request, response: Response) -> dict[str, Any]:
        received(settings.name)
        outcome = "failed"
        with metrics.QUEUE.track_inprogress():
            try:
                agent = await orchestrator.agent(agent_id, request.state.request_id, response)
                body = {"agent_id": agent_id, "category": agent["category"]}
                chosen = await orchestrator.route(body, request.state.request_id)
                outcome = "degraded" if "x-degraded" in response.headers else "completed"
            finally:
                metrics.EXECUTIONS.labels(outcome).inc()
        return {"execution_id": str(uuid.uuid4()), "agent_id": agent_id, "status": outcome, "tool": chosen["tool"]}

    async def list_agents(request: Request, response: Response) -> dict[str, Any]:
        received(settings.name)
        try:
            answer = await orchestrator.registry.call("GET", "/v1/agents", request_id=request.state.request_id)
        except (CircuitOpen, DependencyFailed) as error:
            if not orchestrator.agents.all():
                raise unavailable(error) from error
            metrics.DEGRADED.labels(REGISTRY).inc()
            response.headers["x-degraded"] = "registry"
            return {"agents": orchestrator.agents.all()}
        listed: dict[str, Any] = answer.json()
        return listed

    async def get_agent(agent_id: str, request: Request, response: Response) -> Agent:
        received(settings.name)
        return await orchestrator.agent(agent_id, request.state.request_id, response)

    async def route_tool(request: Request) -> dict[str, Any]:
        received(settings.name)
        return await orchestrator.route(await request.json(), request.state.request_id)

    for prefix in ("/api/v1", "/v1"):
        service.app.add_api_route(
            f"{prefix}/agents/{{agent_id}}/execute", execute, methods=["GET", "POST"], response_model=None
        )
        service.app.add_api_route(f"{prefix}/agents/{{agent_id}}", get_agent, methods=["GET"], response_model=None)
        service.app.add_api_route(f"{prefix}/agents", list_agents, methods=["GET"], response_model=None)
        service.app.add_api_route(f"{prefix}/route", route_tool, methods=["POST"], response_model=None)
    return service
