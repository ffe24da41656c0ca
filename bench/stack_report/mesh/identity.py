"""PeerAuthentication and AuthorizationPolicy, lines 964 to 995: who is heard, and for what."""

from __future__ import annotations

from collections.abc import Mapping

from bench.stack_report import site
from bench.stack_report.asking import AGENT, one_by_one, statuses
from bench.stack_report.mesh.behind import GATEWAY, Ground
from bench.stack_report.objects import CALL
from bench.stack_report.row import NotHere, Row, Seen, listed
from bench.stack_report.site import NAMESPACE
from harness.cluster import paths
from harness.probes import settings
from probes import mesh as callers

ROWS: list[Row] = []
CALLED = "let everybody call for 5 s: the dashboard, a stranger with a sidecar, one in plain text"
AGENTS = "http://claude-orchestrator/api/v1/agents/agent-1"


@listed(
    ROWS,
    "mesh/strict",
    "965-973",
    part="mesh",
    says="PeerAuthentication: mutual TLS, STRICT",
    done=f"{CALLED}, with the dashboard's account and label, of two services; and one pod address",
)
async def strict(ground: Ground) -> Seen:
    """Hear nobody who has proved nothing."""
    got = {key: found for key, found in (await ground.callers()).items() if key[0] == "claude-plain"}
    inside = {key: found for key, found in got.items() if GATEWAY not in key[1]}
    pods = await ground.site.kube.list(paths.pods(NAMESPACE), labels="app=claude-agent-registry")
    where = f"http://{pods[0]['status']['podIP']}:8080{AGENT}"
    plain = await _caller(ground, "plain")
    straight = await ground.site.inside(plain, CALL, where, "GET", namespace=NAMESPACE)
    good = len(inside) > 1 and all(set(found) == {"reset"} for found in inside.values()) and straight.startswith("0 ")
    return Seen(good, f"{_got(inside)}; a pod's address: {straight}")


@listed(
    ROWS,
    "mesh/authorization",
    "976-988",
    part="mesh",
    says="AuthorizationPolicy: the dashboard may ask the orchestrators",
    done=f"{CALLED}; the first two have the same label and differ in their account",
)
async def authorization(ground: Ground) -> Seen:
    """Let in whom the policy names and answer 403 to another."""
    calls = await ground.callers()
    named, other = (calls.get((name, AGENTS), {}) for name in ("claude-dashboard", "claude-stranger"))
    good = set(named) == {callers.ANSWERED} and set(other) == {"403"}
    return Seen(good, f"dashboard: {_counts(named)}; stranger: {_counts(other)}")


@listed(
    ROWS,
    "mesh/gateway-account",
    "989-990",
    part="mesh",
    says="AuthorizationPolicy: the gateway may ask the orchestrators",
    done="20 calls through the gateway, which proves its own account",
)
async def gateway_account(ground: Ground) -> Seen:
    """Let in the gateway."""
    answers = await one_by_one(ground.site.gateway, 20, AGENT, settings.GATEWAY_HOST)
    return Seen(all(one.status == 200 and one.by for one in answers), statuses(answers))


@listed(
    ROWS,
    "mesh/methods",
    "991-993",
    part="mesh",
    says="AuthorizationPolicy: GET, POST, PUT and DELETE",
    done="the dashboard asked with each method and with PATCH; 405 is the orchestrator's own, it was let in",
)
async def methods(ground: Ground) -> Seen:
    """Let in these methods and no other."""
    pod, got = await _caller(ground, "dashboard"), {}
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        said = await ground.site.inside(pod, CALL, AGENTS, method, namespace=NAMESPACE, container="caller")
        got[method] = said
    return let_in(got, {"GET", "POST", "PUT", "DELETE"})


def let_in(got: Mapping[str, str], may: set[str]) -> Seen:
    """Judge which methods a service answered itself, and that a proxy answered the others with 403."""
    inside = {method for method, said in got.items() if not said.endswith(" nobody") and not said.startswith("0 ")}
    good = inside == may and all(got[one].startswith("403 ") for one in got.keys() - may)
    return Seen(good, ", ".join(f"{method} {said.split()[0]}" for method, said in got.items()))


@listed(
    ROWS,
    "mesh/paths",
    "994",
    part="mesh",
    says="AuthorizationPolicy: /api/v1/* (and /v1/* here, which the VirtualService lets through)",
    done=f"{CALLED}; the dashboard asked for /debug, too",
)
async def allowed_paths(ground: Ground) -> Seen:
    """Let the dashboard ask for these paths and no other."""
    calls = await ground.callers()
    may, other = (calls.get(("claude-dashboard", url), {}) for url in (AGENTS, "http://claude-orchestrator/debug"))
    good = set(may) == {callers.ANSWERED} and set(other) == {"403"}
    return Seen(good, f"/api/v1: {_counts(may)}; /debug: {_counts(other)}")


async def _caller(ground: Ground, name: str) -> str:
    pods = await ground.site.kube.list(paths.pods(NAMESPACE), labels=f"caller={name}")
    there = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not there:
        raise NotHere(f"no caller {name} is up")
    return site.names(there)[0]


def _counts(got: Mapping[str, int]) -> str:
    return ", ".join(f"{count} times {what}" for what, count in sorted(got.items())) or "nothing"


def _got(calls: Mapping[tuple[str, str], Mapping[str, int]]) -> str:
    return "; ".join(
        f"{url.removeprefix('http://').partition('/')[0]}: {_counts(got)}" for (_, url), got in calls.items()
    )
