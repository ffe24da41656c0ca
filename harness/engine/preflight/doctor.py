"""Can I run here? Named checks, one line each; a failure says what to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import anyio
import httpx

from harness.cluster import daemon, disk, docker, kind, local
from harness.cluster.host import machine
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine import contexts, lease, lever
from harness.engine.planning import rights
from harness.engine.preflight import access_review
from harness.engine.preflight import scope as scopes
from harness.engine.preflight.scope import Scope
from harness.engine.watching import metrics, traffic
from harness.errors import ApiError, ClusterUnreachable, HarnessError, PreconditionFailed, UsageError
from harness.faults import FAULTS
from harness.hands.kind import Place
from harness.hands.known import HANDS
from harness.keeper import container
from harness.load import spec
from harness.model.check import Check
from harness.model.units import rounded
from harness.probes import settings
from harness.resources import crds, resource
from harness.stack import ahead, parts

PERMIT = "grant what `harness plan --role FILE` prints"
LOAD_SECONDS = 1.0
BUSY = (
    f"less than {rounded(machine.ENOUGH_IDLE)} is idle: end what takes it, or wait until the cluster is at rest; "
    "promises that a busy machine breaks are INCONCLUSIVE"
)


async def examine(kubeconfig: Path | None, context: str | None, namespace: str = "") -> list[Check]:
    """Look at this machine, then at the cluster, or at what a run needs that keeps to a namespace; change nothing."""
    checks = [*_machine(), await _load()]
    try:
        kube, cluster = contexts.connect(kubeconfig, context)
    except HarnessError as error:
        needed = _local() if kubeconfig is None and context is None else ()
        return [*checks, *needed, Check("cluster", "context", False, error.what, error.hint)]
    if cluster:
        checks += _local()
    async with kube:
        checks.append(Check("cluster", "context", True, kube.context))
        if cluster:
            checks += _nodes(cluster)
        try:
            version = await kube.get("/version")
        except (ClusterUnreachable, ApiError) as error:
            return [*checks, Check("cluster", "API server", False, error.what, error.hint)]
        checks.append(Check("cluster", "API server", True, str(version.get("gitVersion"))))
        try:
            scope = await scopes.of(kube, namespace)
        except (UsageError, ClusterUnreachable) as error:
            return [*checks, Check("cluster", "reach", False, error.what, error.hint)]
        except HarnessError as error:
            return [*checks, Check("cluster", "user", False, error.why or error.what, error.hint)]
        if scope.alone:
            said = f"only namespace {namespace} is looked at" if namespace else scope.unseen
            hint = "" if namespace else "it is the context's namespace; --namespace names another"
            checks.append(Check("cluster", "reach", True, said, hint, warning=True))
        questions = [_objects, _permissions] if cluster else [_definitions, _opted_in, _objects, _permissions]
        for question in questions:
            checks += await question(kube, scope)
        for hand in HANDS.values():
            checks += await hand.checks(Place(kube, cluster, *scope.inside))
        checks += await _ways_in(cluster)
    return checks


def _machine() -> Iterable[Check]:
    python = (3, 11) <= sys.version_info < (3, 14)
    yield Check("machine", "Python", python, sys.version.split()[0], "install Python 3.11 to 3.13")


async def _load() -> Check:
    """Say how much of this machine is idle and who has the rest: what runs here shares it."""
    found = await anyio.to_thread.run_sync(machine.look, LOAD_SECONDS, [container.NAME])
    return Check("machine", "machine load", True, str(found), BUSY, warning=found.busy)


def _local() -> Iterable[Check]:
    """Look at what only a local cluster needs, before there is one too."""
    hint = "run the harness inside a Linux machine, or name another cluster with --context"
    yield Check("machine", "platform", sys.platform == "linux", sys.platform, hint)
    free = disk.free()
    gib, why = disk.needed(stack=local.current() is None)
    yield Check("machine", "disk", free >= gib, f"{free:.0f} GiB free", f"free {gib} GiB, {why}")
    host = daemon.find()
    said = f"answers at {host}" if host else "none answers: `harness up` starts one"
    try:
        daemon.check(host)
        # Without its client, which `harness up` installs, a daemon cannot be asked where it is.
        if host and shutil.which("docker"):
            daemon.refuse_client(host)
            daemon.refuse_distant(host)
            kind.refuse_others(host)
    except PreconditionFailed as error:
        yield Check("machine", "Docker", False, error.what, error.hint)
    else:
        yield Check("machine", "Docker", True, said)
    if local.current() is None:
        yield _ports()
        yield Check("machine", "harness up", True, ahead.said(host, (parts.CORE,)))


def _ports() -> Check:
    """Say whether the ports are free that a new cluster publishes."""
    config = kind.read_config()
    try:
        kind.check_ports(config)
    except PreconditionFailed as error:
        return Check("machine", "ports", False, error.what, error.hint)
    return Check("machine", "ports", True, f"{', '.join(str(port) for _, port in kind.published(config))} are free")


def _nodes(cluster: LocalCluster) -> Iterable[Check]:
    answers = docker.ping(cluster.docker_host)
    for item in docker.inspect(cluster.docker_host, *cluster.nodes.values()) if answers else ():
        state = item["State"]["Status"]
        yield Check("cluster", item["Name"].lstrip("/"), state == "running", state, "harness undo, then harness up")


async def _definitions(kube: Kube, _: Scope) -> list[Check]:
    hint = "once, as an administrator: harness crds | " + contexts.command(kube, "kubectl", "apply", "-f", "-")
    try:
        known = await crds.installed(kube)
    except HarnessError as error:
        return [Check("cluster", "definitions", False, error.what, hint)]
    return [Check("cluster", "definitions", known, "of faults are served" if known else "of faults are missing", hint)]


async def _opted_in(kube: Kube, scope: Scope) -> list[Check]:
    """Ask for the opt-in of a namespace that was meant; where its label may not be read, a Role there stands for it."""
    try:
        await contexts.require_opt_in(kube, scope.inside, unseen=scope.alone)
    except HarnessError as error:
        return [Check("cluster", "opt-in", False, error.what, error.hint)]
    return []


async def _objects(kube: Kube, scope: Scope) -> list[Check]:
    off, undo = (contexts.command(kube, "harness", *words, *scope.words) for words in (("lever", "off"), ("undo",)))

    async def pulled() -> Check:
        found = await lever.read(kube, scope.system)
        return Check("cluster", "lever", found is None, "off" if found is None else str(found), off)

    async def held() -> Check:
        holder = (await lease.current(kube, scope.system) or {}).get("spec", {}).get("holderIdentity", "")
        return Check("cluster", "lease", True, f"held by {holder}" if holder else "free")

    async def left() -> Check:
        faults = await resource.list_all(kube, *scope.inside)
        return Check("cluster", "left behind", not faults, f"{len(faults)} faults", undo)

    checks = []
    for name, look in (("lever", pulled), ("lease", held), ("left behind", left)):
        try:
            checks.append(await look())
        except HarnessError as error:
            why = error.message if isinstance(error, ApiError) else ""
            hint = PERMIT if isinstance(error, ApiError) and error.status == 403 else error.hint
            checks.append(Check("cluster", name, False, why or error.what, hint))
    return checks


async def _permissions(kube: Kube, scope: Scope) -> list[Check]:
    """Ask the API server whether this user may do what every run needs, and what each fault needs besides.

    What rights in one namespace cannot do is not asked. A fault that may not be injected is a warning, unless none may.
    """
    where = f" in namespace {scope.system}" if scope.alone else ""
    asking = {name: kind.rights for name, kind in FAULTS.items() if kind.rights}
    kinds = {name: rules for name, rules in asking.items() if not (scope.alone and rights.of_cluster(rules))}
    try:
        missing = await access_review.missing(kube, rights.INSIDE if scope.alone else rights.READS, *scope.inside)
        lacks = {
            kind: lack
            for kind, rules in kinds.items()
            if (lack := await access_review.missing(kube, rules, *scope.inside))
        }
    except HarnessError as error:
        return [Check("cluster", "permissions", False, f"they cannot be asked for: {error.what}", error.hint or PERMIT)]
    said = f"missing{where}: " + ", ".join(missing) if missing else f"all granted{where}"
    may = f"{len(kinds) - len(lacks)} of {len(kinds)}" if lacks else "all"
    unable = "".join(f"; {kind} lacks {', '.join(lack)}" for kind, lack in lacks.items())
    return [
        Check("cluster", "permissions", not missing, said, PERMIT),
        Check(
            "cluster",
            "faults",
            len(lacks) < len(kinds),
            f"{may} may be injected{where}{unable}",
            f"{PERMIT}; what a fault needs that is not used may stay missing",
            warning=bool(lacks),
        ),
    ]


async def _ways_in(cluster: LocalCluster | None) -> list[Check]:
    """Ask the gateway and Prometheus: the local cluster's own, or those that the environment names."""
    ours = (f"{traffic.GATEWAY}/v1/agents/agent-1", f"{metrics.PROMETHEUS}/-/ready") if cluster else ("", "")
    return [
        await _way_in("gateway", traffic.VARIABLE, ours[0], os.environ.get("HARNESS_HOST") or traffic.HOST),
        await _way_in("Prometheus", metrics.VARIABLE, ours[1]),
    ]


async def _way_in(name: str, variable: str, ours: str, host: str = "") -> Check:
    named = os.environ.get(variable, "")
    url, hint = named or ours, f"{variable}=http://... names it" if named or not ours else "harness up"
    if not url:
        said = "nobody said where it is: what is promised of requests cannot be judged"
        return Check("stack", name, True, said, hint, warning=True)
    try:
        spec.require_url(url, variable)
        # This machine's own are behind no proxy; nobody's certificate matters to the question whether there is one.
        async with httpx.AsyncClient(timeout=3, trust_env=not settings.loopback(url), verify=False) as http:  # noqa: S501
            status = (await http.get(url, headers={"Host": host} if host else {})).status_code
    except (HarnessError, httpx.HTTPError, httpx.InvalidURL) as error:
        return Check("stack", name, False, f"{url}: {getattr(error, 'what', '') or type(error).__name__}", hint)
    # Of another cluster nobody knows what lies at its address.
    return Check("stack", name, status == 200 if not named else status < 500, f"{url} answers {status}", hint)
