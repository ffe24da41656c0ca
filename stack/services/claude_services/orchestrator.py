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

from fastapi import FastAPI, HTTPException, Request, Response

from claude_services import breaker, metrics
from claude_services.agents import Agent, AgentCache, wait
from claude_services.breaker import CircuitOpen, State
from claude_services.client import DependencyFailed, Overloaded, ServiceClient
from claude_services.recording import Recorder
from claude_services.room import OVERLOADED
from claude_services.settings import Settings
from claude_services.transport import Connections, SendFailed
from claude_services.web import Service, received

REGISTRY, ROUTER = "agent-registry", "tool-router"
AWAY = (CircuitOpen, DependencyFailed, Overloaded)
log = logging.getLogger("orchestrator")


class Orchestrator:
    """Execute agents through the registry and the router."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._observer = metrics.PrometheusObserver()
        self.recorder = Recorder()
        self._http = {
            REGISTRY: Connections(settings.registry_url),
            ROUTER: Connections(settings.router_url),
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
        send, client = self._http[dependency].send, self._settings.client
        return ServiceClient(dependency, send, guard, client, self._observer, recorder=self.recorder)

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
                    answer = await self._http[REGISTRY].send("GET", "/v1/snapshot", {}, None, 2)
                    self.agents.learn(answer.json()["agents"])
                except (SendFailed, ValueError, KeyError) as error:
                    log.warning("no list of agents", extra={"data": {"why": repr(error)}})
            self._asked_once = True
            await asyncio.sleep(self._settings.snapshot_seconds if self.agents.all() else 1)

    async def agent(self, agent_id: str, request_id: str, response: Response) -> Agent:
        """Return the agent's record, or its last known one while the registry is away."""
        try:
            answer = await self.registry.call("GET", f"/v1/agents/{agent_id}", request_id=request_id)
        except AWAY as error:
            known = self.agents.get(agent_id)
            if known is None:
                raise unavailable(error) from error
            metrics.DEGRADED.labels(REGISTRY).inc()
            response.headers["x-degraded"] = "registry"
            return known
        if answer.status == 404:
            self.agents.forget(agent_id)
        if answer.status != 200:
            raise HTTPException(answer.status, f"the registry has no agent {agent_id}")
        record: Agent = answer.json()
        self.agents.learn([record])
        return record

    async def route(self, body: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Return the router's choice of a tool."""
        try:
            answer = await self.router.call("POST", "/v1/route", request_id=request_id, body=body)
        except AWAY as error:
            raise unavailable(error) from error
        if answer.status != 200:
            raise HTTPException(answer.status, "the router refused the task")
        chosen: dict[str, Any] = answer.json()
        return chosen

    def work(self, agent: Agent) -> None:
        """Do what an execution costs this process: as in any computation, it does nothing else meanwhile."""
        if seconds := agent["configuration"].get("workSeconds", 0):
            # Slept and not computed, so that a pod's capacity does not depend on the machine.
            time.sleep(seconds)

    async def close(self) -> None:
        for http in self._http.values():
            await http.close()


def unavailable(error: CircuitOpen | DependencyFailed | Overloaded) -> HTTPException:
    """Answer 503 at once and say which dependency is away or full, and how that was learnt."""
    match error:
        case CircuitOpen():
            told = {"x-breaker": "open"}
        case Overloaded():
            told = OVERLOADED
        case DependencyFailed():
            told = {"x-failure": error.why}
    return HTTPException(503, str(error), headers={"x-dependency": error.dependency, **told})


def build(settings: Settings) -> Service:
    """Return the orchestrator, its clients and its list of known agents."""
    orchestrator = Orchestrator(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(orchestrator.keep_agents())
        yield
        keeping.cancel()
        await orchestrator.close()

    service = Service(settings, lifespan=lifespan, ready=orchestrator.ready, recorder=orchestrator.recorder)

    async def execute(agent_id: str, request: Request, response: Response) -> dict[str, Any]:
        received(settings.name)
        outcome = "failed"
        with metrics.QUEUE.track_inprogress():
            try:
                agent = await orchestrator.agent(agent_id, request.state.request_id, response)
                orchestrator.work(agent)
                await wait(agent)
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
        except AWAY as error:
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
