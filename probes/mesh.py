"""Who is let in: what callers with and without a right get, over TLS too, and how long certificates still hold."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from harness.cluster import forwarding, paths
from harness.cluster.kube import Kube
from harness.cluster.kubeconfig.access import Access
from harness.cluster.secured import Secured
from harness.errors import ApiError, ObservationFailed
from harness.load import tls
from harness.probes import pods, settings, waiting
from harness.probes.settings import Settings
from harness.targets import certificates, handshakes

# The pods of part mesh that call when they are asked to (claude_services/caller.py), and where they are asked.
CALLERS, PORT = "caller", 8080
ANSWERED = "answered"
# No request lasts longer: whoever waits for an answer gives up at some time.
ROUND_SECONDS = 5
# The agent beside a proxy tells of its certificates here, in plain text, whatever policies say.
AGENT_PORT = 15020
EXPIRY = re.compile(r'^istio_agent_cert_expiry_seconds\{.*resource_name="default".*\} (\S+)$', re.MULTILINE)


def calls(namespace: str, seconds: int = ROUND_SECONDS, secrets: Settings = None) -> dict[str, dict[str, int]]:
    """Have every caller call for about so long; return how often it got what, by caller and target.

    Raises ObservationFailed where one that may call was never answered: then it is no policy that turned others away.
    """
    got: dict[str, Counter[str]] = {}
    may = set[str]()
    for start in range(0, seconds, ROUND_SECONDS):
        path = f"v1/calls/{min(ROUND_SECONDS, seconds - start)}"
        for pod, text in pods.texts(namespace, CALLERS, PORT, path, secrets).items():
            for target in json.loads(text):
                name = f"{pod} -> {target['url']}"
                got.setdefault(name, Counter()).update(target["got"])
                may |= {name} if target["may"] else set()
    if not any(got[name][ANSWERED] for name in may):
        told = {name: dict(got[name]) for name in sorted(may)}
        raise ObservationFailed("nobody who may call was answered", where=namespace, why=f"they got {told}")
    return {name: dict(found) for name, found in got.items()}


def let_in(namespace: str, within: int, secrets: Settings = None) -> int:
    """Return how many calls of so many last seconds were answered by services that must not have been reached."""
    return sum(int(text) for text in pods.texts(namespace, CALLERS, PORT, f"v1/let-in/{within}", secrets).values())


def certificate_seconds(namespace: str, selector: str, secrets: Settings = None) -> float:
    """Return how long the certificate of each proxy still holds at least.

    Raises ObservationFailed where one does not tell.
    """
    told = pods.texts(namespace, selector, AGENT_PORT, "metrics", secrets)
    return min(_expiry(pod, text) for pod, text in told.items())


def _expiry(pod: str, text: str) -> float:
    told = EXPIRY.search(text)
    if told is None:
        raise ObservationFailed("the proxy does not tell of its certificate", where=pod)
    return float(told[1])


def over_tls(
    namespace: str,
    service: str,
    port: int,
    certificate: str,
    host: str | None = None,
    path: str = "/api/v1/agents/agent-1",
    wanted: str = "",
    wait: float = 0.0,
    seconds: float = 0.0,
    secrets: Settings = None,
) -> str:
    """Return what callers over TLS get of every pod behind a Service's port: a status, or why they hang up.

    They trust the certificate in the Secret that `certificate` names, and no other. With `wanted` they ask until they
    get that, for `wait` seconds at the most; then for `seconds` more, and all that they get from then on is told.
    Raises ObservationFailed where nobody can be asked, ClusterUnreachable.
    """
    look = partial(_over_tls, namespace, service, port, certificate, settings.gateway_host(host), path, secrets)
    found = waiting.waited(look, lambda got: not wanted or got == {wanted}, wait)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(waiting.LOOK_EVERY)
        found |= look()
    return ", ".join(sorted(found))


def _over_tls(
    namespace: str, service: str, port: int, certificate: str, host: str, path: str, secrets: Settings
) -> set[str]:
    try:
        return anyio.run(_ask_all, namespace, service, port, certificate, host, path, secrets)
    except ApiError as error:
        raise ObservationFailed("nobody could be asked over TLS", where=error.where, why=str(error)) from error


async def _ask_all(
    namespace: str, service: str, port: int, certificate: str, host: str, path: str, secrets: Settings
) -> set[str]:
    kubeconfig, context = settings.cluster(secrets)
    async with Kube.connect(Path(kubeconfig) if kubeconfig else None, context) as kube:
        trust = _trust(await kube.get(paths.core(namespace, "secrets", certificate)))
        behind = await handshakes.behind(kube, namespace, service, port)
        if not behind:
            raise ObservationFailed("there is no pod to ask", where=f"{namespace}/{service}")
        # Official clients block.
        ask = partial(_ask, kube.access, namespace, trust=trust, host=host, path=path)
        return {await anyio.to_thread.run_sync(ask, pod, number) for pod, number in behind}


def _trust(secret: dict[str, Any]) -> ssl.SSLContext:
    """Trust the certificate in a Secret, as a caller does who was given it, and nobody else."""
    try:
        chain = certificates.decoded((secret.get("data") or {}).get("tls.crt"))
        found = ssl.create_default_context(cadata=certificates.first(chain))
    except (ValueError, ssl.SSLError) as error:
        where = secret["metadata"]["name"]
        raise ObservationFailed("the Secret holds no certificate", where=where, why=str(error)) from error
    # One that somebody else has signed is trusted by itself; newer Pythons refuse some for their form alone.
    found.verify_flags = (found.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    return found


def _ask(access: Access, namespace: str, pod: str, port: int, *, trust: ssl.SSLContext, host: str, path: str) -> str:
    try:
        with forwarding.opened(access, namespace, pod, port) as stream:
            secured = Secured(stream, trust, host)
            secured.shake()
            return str(secured.status(host, path))
    except ssl.SSLError as error:
        return tls.reason(error)
    except OSError:
        return "no answer"
