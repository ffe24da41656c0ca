"""What the load asks for: one function per workload, from a seeded random source to one request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

AGENTS = 20
HEAVY_AGENTS = 10
USERS = 200
CATEGORIES = ("research", "coding", "analysis", "writing")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `user` spreads requests where a gateway hashes by user."""

    method: str
    path: str
    user: str
    body: bytes = b""


def execute_agent(random: Random) -> Request:
    """Ask the orchestrator to execute an agent: it asks the registry, then the router."""
    body = json.dumps({"input": f"task {random.randrange(1000)}"}).encode()
    return Request("POST", f"/api/v1/agents/{_agent(random)}/execute", _user(random), body)


def heavy_agent(random: Random) -> Request:
    """Ask the orchestrator to execute an agent that keeps it busy for 20 ms: a pod can do 50 a second."""
    body = json.dumps({"input": f"task {random.randrange(1000)}"}).encode()
    agent = f"heavy-{random.randint(1, HEAVY_AGENTS)}"
    return Request("POST", f"/api/v1/agents/{agent}/execute", _user(random), body)


def list_agents(random: Random) -> Request:
    """Read the registry through the orchestrator: mostly one agent, now and then the whole list."""
    if random.random() < 0.1:
        return Request("GET", "/api/v1/agents", _user(random))
    return Request("GET", f"/api/v1/agents/{_agent(random)}", _user(random))


def route_tool(random: Random) -> Request:
    """Ask which tool a task goes to."""
    body = json.dumps({"agent_id": _agent(random), "category": random.choice(CATEGORIES)}).encode()
    return Request("POST", "/api/v1/route", _user(random), body)


def mixed(random: Random) -> Request:
    """Ask as users do: six of ten execute, three read, one routes."""
    kind = random.random()
    if kind < 0.6:
        return execute_agent(random)
    return list_agents(random) if kind < 0.9 else route_tool(random)


def _agent(random: Random) -> str:
    return f"agent-{random.randint(1, AGENTS)}"


def _user(random: Random) -> str:
    return f"user-{random.randint(1, USERS)}"


WORKLOADS: Mapping[str, Callable[[Random], Request]] = {
    "execute-agent": execute_agent,
    "heavy-agent": heavy_agent,
    "list-agents": list_agents,
    "route-tool": route_tool,
    "mixed": mixed,
}
