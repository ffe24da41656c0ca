"""What the Deployment's probes do, lines 649 to 664."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio

from bench.dying.workload import until
from bench.stack_report import objects, site
from bench.stack_report.placement.common import Ground
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import Site
from harness.cluster import paths
from harness.workloads.pod import is_ready

# The seed's numbers, in seconds and misses.
FIRST_LOOK, LIVE_EVERY, LIVE_MISSES = 30, 10, 3
READY_EVERY, READY_MISSES = 5, 2
ROWS: list[Row] = []


@listed(
    ROWS,
    "placement/liveness",
    "649-656",
    beside=True,
    within=150,
    says="Deployment: what does not live is started anew: not in its first 30 s, and after 3 misses 10 s apart",
    done="a pod with the orchestrator's probe that answers 503 to it from the beginning",
)
async def liveness(ground: Ground) -> Seen:
    """Start anew what does not live."""
    here, probe = ground.site, _probe(ground, "livenessProbe")
    env = {"env": [{"name": "NAME", "value": "dying"}, {"name": "LIVE", "value": "503"}], "livenessProbe": probe}
    await here.put(objects.echo(here.image, "dying", container=env))
    found: dict[str, Any] = {}

    async def again() -> bool:
        item = await here.kube.get(paths.pods(here.namespace, "dying"))
        found.update((item["status"].get("containerStatuses") or [{}])[0])
        return int(found.get("restartCount", 0)) > 0

    await until(again, 130, "another start")
    ended = found["lastState"]["terminated"]
    began, over = (datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    await here.gone("dying")
    return lived((over - began).total_seconds())


def _probe(ground: Ground, name: str) -> Mapping[str, Any]:
    """Return the orchestrator's probe; where there is a sidecar Istio has it ask its agent, and says what it was."""
    probe = dict(ground.container[name])
    path = "/health/live" if name == "livenessProbe" else "/health/ready"
    return {**probe, "httpGet": {"path": path, "port": 8080}}


def lived(seconds: float) -> Seen:
    """Judge for how long a container lived that missed its probe from the beginning."""
    least = FIRST_LOOK + (LIVE_MISSES - 1) * LIVE_EVERY
    # The first look comes up to a period late, and what is told to go has a second.
    good = least - 1 <= seconds <= least + 2 * LIVE_EVERY + 5
    return Seen(good, f"started anew after {seconds:.0f} s; {least} s at the earliest")


@listed(
    ROWS,
    "placement/readiness",
    "657-664",
    says="Deployment: what misses 2 probes 5 s apart gets no requests",
    done="had one of two pods with the orchestrator's probe say that it is not ready, and then that it is again",
)
async def readiness(ground: Ground) -> Seen:
    """Send nothing to what is not ready."""
    here, name, probe = ground.site, "readied", _probe(ground, "readinessProbe")
    labels = {"app": name}
    for number in (1, 2):
        await here.put(objects.echo(here.image, f"{name}-{number}", labels, container={"readinessProbe": probe}))
    await here.put(objects.service(name, labels))
    await here.ready(2, f"app={name}")
    told = [await _told(here, name)]
    moments = []
    for status, wanted in (("503", {f"{name}-2"}), ("200", {f"{name}-1", f"{name}-2"})):
        await here.kube.get_text(f"{paths.pods(here.namespace, f'{name}-1')}:8080/proxy/be-ready/{status}")
        began = time.monotonic()

        async def so(wanted: set[str] = wanted) -> bool:
            pods = await here.pods(f"app={name}")
            return set(site.names([pod for pod in pods if is_ready(pod)])) == wanted

        await until(so, 40, f"{status} at the readiness probe")
        moments.append(time.monotonic() - began)
        # From a pod's condition to its Service's addresses is one more step.
        await anyio.sleep(1)
        told.append(await _told(here, name))
    await here.gone(f"{name}-1", f"{name}-2")
    return readied(told, moments, name)


async def _told(here: Site, name: str) -> set[str]:
    """Return which pods a Service has: those that the addresses it hands out are said to be ready for."""
    slices = await here.kube.list(
        f"/apis/discovery.k8s.io/v1/namespaces/{here.namespace}/endpointslices",
        labels=f"kubernetes.io/service-name={name}",
    )
    listed = {
        str(one["targetRef"]["name"])
        for item in slices
        for one in item.get("endpoints") or ()
        if one.get("conditions", {}).get("ready")
    }
    # The API server asks any that is ready, each time.
    door = f"{paths.core(here.namespace, 'services', name)}:80/proxy/"
    return listed | {await here.kube.get_text(door) for _ in range(20)}


def readied(told: Sequence[set[str]], moments: Sequence[float], name: str) -> Seen:
    """Judge who answered before, while and after one was not ready, and how soon it was left out."""
    both, one = {f"{name}-1", f"{name}-2"}, {f"{name}-2"}
    most = READY_EVERY * (READY_MISSES + 1) + 5
    good = list(told) == [both, one, both] and all(moment <= most for moment in moments)
    text = f"left out after {moments[0]:.1f} s (at most {most}), back after {moments[1]:.1f} s"
    return Seen(good, f"{text}; answered: {', then '.join(' and '.join(sorted(pods)) for pods in told)}")
