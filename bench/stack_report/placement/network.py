"""NetworkPolicy and Service, lines 729 to 750 and 816 to 856."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping

import anyio

from bench.dying.workload import until
from bench.stack_report import objects, site
from bench.stack_report.asking import ask
from bench.stack_report.objects import CALL
from bench.stack_report.placement.common import ORCHESTRATOR, REGISTRY, Ground, orchestrators
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import NAMESPACE
from harness.cluster import paths
from harness.errors import ApiError
from harness.workloads.pod import is_ready

ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/ingress",
    "816-841",
    says="NetworkPolicy: the gateway's namespace and the dashboard reach the orchestrators' 8080 (8000 serves nobody)",
    done="asked an orchestrator from a pod with the dashboard's label, one without, and one of another namespace",
)
async def ingress(ground: Ground) -> Seen:
    """Let in who is listed."""
    here = ground.site
    address = (await orchestrators(here.kube))[0]["status"]["podIP"]
    named, other = "stack-report-dashboard", "stack-report-stranger"
    # A sidecar would answer in the other's place.
    plain = {"sidecar.istio.io/inject": "false"}
    asked = {"resources": {"requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "100Mi"}}}
    got: dict[str, str] = {}

    async def connected() -> bool:
        got["claude-dashboard"] = await here.inside(named, KNOCK, address, "8080", namespace=NAMESPACE)
        return got["claude-dashboard"] == "connected"

    async def all_ready() -> bool:
        return all([is_ready(await here.kube.get(paths.pods(NAMESPACE, name))) for name in (named, other)])

    try:
        for name, app in ((named, "claude-dashboard"), (other, other)):
            pod = objects.idle(here.image, name, {**plain, "app": app}, container=asked)
            pod["metadata"]["namespace"] = NAMESPACE
            await here.put(pod)
        await here.put(objects.idle(here.image, "elsewhere"))
        await here.ready(1, "app=elsewhere")
        await until(all_ready, 60, "both pods in the stack's namespace")
        # A node hears of a new pod's address a moment later than of the pod.
        with contextlib.suppress(TimeoutError):
            await until(connected, 20)
        got["another pod there"] = await here.inside(other, KNOCK, address, "8080", namespace=NAMESPACE)
        got["another namespace"] = await here.inside("elsewhere", KNOCK, address, "8080")
    finally:
        with anyio.CancelScope(shield=True):
            for name in (named, other):
                with contextlib.suppress(ApiError):
                    await here.kube.delete(paths.pods(NAMESPACE, name), grace=0)
            await here.gone("elsewhere")
    routed = await ask(here.gateway)
    got["the gateway"] = "connected" if routed.by.startswith(ORCHESTRATOR) else f"answered {routed.status}"
    return knocked(got, {"claude-dashboard", "the gateway"})


# Anything else than a connection or silence is told as it is.
KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    print("connected")
except TimeoutError:
    print("silence")
except OSError as error:
    print(type(error).__name__)
"""


def knocked(got: Mapping[str, str], listed_in: set[str]) -> Seen:
    """Judge who got through: those that are listed, and for nobody else was there so much as a refusal."""
    good = all(said == ("connected" if name in listed_in else "silence") for name, said in got.items())
    return Seen(good, ", ".join(f"{name}: {said}" for name, said in got.items()))


@listed(
    ROWS,
    "placement/egress",
    "842-856",
    says="NetworkPolicy: orchestrators reach registry and router on port 8080 and nobody else (and DNS here: errata)",
    done="asked from inside an orchestrator for the registry, the router and a Service of the report's own",
)
async def egress(ground: Ground) -> Seen:
    """Let out to who is listed."""
    here, name = ground.site, "outside"
    await here.put(objects.echo(here.image, name), objects.service(name, {"app": name}))
    await here.ready(1, f"app={name}")
    # That it would answer is seen from a pod that nothing holds back.
    await here.put(objects.idle(here.image, "free"))
    await here.ready(1, "app=free")
    where = f"http://{name}.{here.namespace}.svc.cluster.local/"
    control = ""

    async def answers() -> bool:
        nonlocal control
        control = await here.inside("free", CALL, where, "GET")
        return control.startswith("200 ")

    # A node learns of a Service a moment after the API server.
    with contextlib.suppress(TimeoutError):
        await until(answers, 20)
    pod = site.names(await orchestrators(here.kube))[0]
    got = {}
    for what, url in (
        ("registry", f"http://{REGISTRY}/v1/agents/agent-1"),
        ("router", "http://claude-tool-router/v1/route"),
        ("outside", where),
    ):
        got[what] = await here.inside(pod, CALL, url, "GET", namespace=NAMESPACE, container=ORCHESTRATOR)
    await here.gone(name, "free")
    return reached(got, {"registry", "router"}, control)


def reached(got: Mapping[str, str], may: set[str], control: str) -> Seen:
    """Judge which services answered themselves, beside one whom nothing holds back; any status of theirs will do."""
    answered = {name for name, said in got.items() if not said.startswith("0 ") and not said.endswith(" nobody")}
    good = answered == may and control.startswith("200 ")
    told = ", ".join(f"{name}: {said.split()[0] if name in answered else said}" for name, said in got.items())
    return Seen(good, f"{told}; from elsewhere the last one answers {control.split()[0]}")


@listed(
    ROWS,
    "placement/service",
    "740-746",
    says="Service: port 80 of the Service is port 8080 of its pods, of all of them",
    done="opened 40 connections to a Service of two pods with the same ports, from another pod",
)
async def service(ground: Ground) -> Seen:
    """Spread connections over a Service's pods."""
    here, name = ground.site, "shared"
    for number in (1, 2):
        await here.put(objects.echo(here.image, f"{name}-{number}", {"app": name}))
    await here.put(objects.service(name, {"app": name}), objects.idle(here.image, "caller"))
    await here.ready(2, f"app={name}")
    await here.ready(1, "app=caller")
    # A node learns of a Service a moment after the API server, and of its addresses one by one.
    await anyio.sleep(2)
    told = Counter((await here.inside("caller", MANY, f"http://{name}.{here.namespace}/", "40")).split())
    await here.gone(f"{name}-1", f"{name}-2", "caller")
    good = set(told) == {f"{name}-1", f"{name}-2"} and sum(told.values()) == 40
    return Seen(good, ", ".join(f"{who}: {count}" for who, count in sorted(told.items())))


# Opens so many connections ($2) to a URL ($1), and prints who answered each.
MANY = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(int(sys.argv[2])):
    print(opener.open(sys.argv[1], timeout=3).read().decode())
"""
