"""Services of the report's own behind the stack's gateway, asked as the stack's own are."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import httpx

from bench.dying.place import Place
from bench.dying.workload import until
from bench.stack_report import objects, site
from bench.stack_report.asking import AGENT, Answer, one_by_one
from bench.stack_report.row import NotHere
from bench.stack_report.site import EDGE, NAMESPACE, Once, Site
from harness.cluster import paths
from harness.cluster.kube import Kube
from probes import mesh as callers

ISTIO = "/apis/networking.istio.io/v1/namespaces"
GATEWAY, SECRET = "claude-ecosystem-gateway", "claude-ecosystem-tls"
DASHBOARD = "dashboard.claude-ecosystem.com"
# The port of the gateway's node that 127.0.0.1:18080 leads to.
DOOR = 30080
ACTS, ACTS_SECONDS, ACTED_SECONDS = "/acts", 30.0, 0.3
# Longer than it takes to ask all who are to wait at the same time, on a machine that others have, too.
SLOW_SECONDS = 6
# A share is not to be missed by chance: once in 15 000 such rows.
DEVIATIONS = 4.0
# What a machine that others have adds to a time that Envoy keeps.
SLACK_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Ground:
    """Services of the report's own behind the stack's gateway, and how the stack has its own asked."""

    site: Site
    door: int
    route: Mapping[str, Any]
    policy: Mapping[str, Any]
    callers: Once
    versions: Iterator[int]

    async def tell(self, service: str, **more: Any) -> str:
        """Have the gateway ask a Service as the stack's own is asked, but for what is given; return its host."""
        version = str(next(self.versions))
        policy = more.pop("policy", self.policy)
        subsets = more.pop("subsets", {})
        host = f"{service}.{site.PREFIX}.example"
        rule = {"host": service, "trafficPolicy": policy, "subsets": subsets_of(subsets)}
        # Asked of the gateway alone, so that nobody has been asked anything when the row begins.
        acting = {"match": [{"uri": {"exact": ACTS}}], "directResponse": {"status": 200, "body": {"string": version}}}
        virtual = {"hosts": [host], "gateways": [site.PREFIX], "http": [acting, route(self.route, service, **more)]}
        await self.site.put(istio("DestinationRule", service, rule), istio("VirtualService", service, virtual))

        async def acts() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return (await self.site.gateway.get(ACTS, headers={"Host": host})).text == version
            return False

        await until(acts, ACTS_SECONDS, f"the gateway's way to {service}")
        # Whom to ask is told before how; what it is told of both it takes at once, or a moment later.
        await anyio.sleep(ACTED_SECONDS)
        return host

    async def one_by_one(self, host: str, count: int, **more: str) -> list[Answer]:
        """Ask a host so often, one call after the other."""
        return await one_by_one(self.site.gateway, count, AGENT, host, **more)


def istio(kind: str, name: str, spec: Any) -> dict[str, Any]:
    """Describe one of Istio's resources."""
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def subsets_of(labels: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Describe the subsets of a DestinationRule."""
    return [{"name": name, "labels": dict(found)} for name, found in labels.items()]


def route(stack: Mapping[str, Any], service: str, **more: Any) -> dict[str, Any]:
    """Copy the stack's route for another Service.

    `shares` are weights by subset; retries, timeout and port are the stack's where nothing is given.
    """
    destination = {"host": service, "port": {"number": more.get("port", 80)}}
    shared = [
        {"destination": {**destination, "subset": name}, "weight": weight}
        for name, weight in more.get("shares", {}).items()
    ]
    taken = {key: more.get(key, stack[key]) for key in ("timeout", "retries")}
    return {"route": shared or [{"destination": destination}], "headers": stack["headers"], **taken}


NO_RETRIES = {"attempts": 0}


@contextlib.asynccontextmanager
async def ground(place: Place) -> AsyncIterator[Ground]:
    """Put services of the report's own behind the gateway: well, failing, late, and one that does as it is told."""
    kube = place.kube
    virtual = await kube.get(f"{ISTIO}/{NAMESPACE}/virtualservices/claude-orchestrator-vs")
    rule = await kube.get(f"{ISTIO}/{NAMESPACE}/destinationrules/claude-orchestrator-dr")
    door = await _door(kube)

    async def called() -> dict[tuple[str, str], dict[str, int]]:
        return _told(await anyio.to_thread.run_sync(partial(callers.calls, NAMESPACE)))

    async with site.made(place, "mesh", {"istio-discovery": "enabled"}) as here:
        server = {"port": {"number": door, "name": "http", "protocol": "HTTP"}, "hosts": [f"*.{site.PREFIX}.example"]}
        await here.put(
            istio("Gateway", site.PREFIX, {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
            objects.service_pod(here.image, "well", {"pair": "yes", "three": "yes", "both": "yes", "version": "well"}),
            objects.service_pod(here.image, "failing", {"pair": "yes", "three": "yes", "bad": "yes"}, FAIL_SHARE="1"),
            objects.service_pod(here.image, "failing-too", {"three": "yes", "bad": "yes"}, FAIL_SHARE="1"),
            objects.service_pod(here.image, "slow", {}, DELAY_SECONDS=str(SLOW_SECONDS), MAX_IN_FLIGHT="0"),
            objects.service_pod(here.image, "late", {}, DELAY_SECONDS="1", FAIL_SHARE="1", MAX_IN_FLIGHT="0"),
            objects.echo(here.image, "echo", {"both": "yes", "version": "echo"}),
            *(objects.service(name, {"app": name}) for name in ("well", "failing", "slow", "late", "echo")),
            *(objects.service(name, {name: "yes"}) for name in ("pair", "three", "bad", "both")),
            objects.service("patient", {"app": "echo"}),
            # Nobody listens there.
            objects.service("shut", {"app": "echo"}, target=9),
        )
        await here.ready(6)
        yield Ground(
            here, door, virtual["spec"]["http"][0], rule["spec"]["trafficPolicy"], Once(called), itertools.count(1)
        )


async def _door(kube: Kube) -> int:
    ports = (await kube.get(paths.core(EDGE, "services", GATEWAY)))["spec"]["ports"]
    for port in ports:
        if port.get("nodePort") == DOOR:
            return int(port["port"])
    raise NotHere(f"no port of {GATEWAY} is {DOOR} of its node, which is what this machine asks")


def _told(calls: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], dict[str, int]]:
    """Put what callers got together by workload and path."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for name, got in calls.items():
        pod, _, url = name.partition(" -> ")
        found.setdefault((pod.rsplit("-", 2)[0], url), Counter()).update(got)
    return {key: dict(one) for key, one in found.items()}


def share(counted: int, of: int, wanted: float) -> bool:
    """Say whether so many of so many may be a share that chance made."""
    return of > 0 and abs(counted / of - wanted) <= DEVIATIONS * math.sqrt(wanted * (1 - wanted) / of) + 0.5 / of
