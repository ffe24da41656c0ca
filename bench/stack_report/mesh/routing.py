"""Gateway and VirtualService, lines 864 to 926: listeners, routes, weights, patience, retries."""

from __future__ import annotations

import base64
import ssl
from collections import Counter
from collections.abc import Sequence

import httpx

from bench.stack_report.asking import AGENT, Answer, ask, at_rate, statuses
from bench.stack_report.mesh.behind import (
    DASHBOARD,
    GATEWAY,
    NO_RETRIES,
    SECRET,
    SLACK_SECONDS,
    SLOW_SECONDS,
    Ground,
    share,
)
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import EDGE, Site
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.probes import settings

# The seed's tries; the seed's times are 30 and 10 s, and four of its tries would not fit into its request (errata).
TRIES, REQUEST_SECONDS, TRY_SECONDS = 4, 10.0, 1.5
ROWS: list[Row] = []


@listed(
    ROWS,
    "mesh/https",
    "872-883",
    part="mesh",
    says="Gateway: HTTPS on 443 for api and dashboard, TLS SIMPLE with the certificate claude-ecosystem-tls",
    done="asked the gateway's 443 for both hosts, trusting the cluster's certificate alone; dashboard has no route",
)
async def https(ground: Ground) -> Seen:
    """Serve TLS with the cluster's certificate."""
    kube = ground.site.kube
    held = (await kube.get(paths.core(EDGE, "secrets", SECRET)))["data"]["tls.crt"]
    trust = ssl.create_default_context(cadata=base64.b64decode(held).decode())
    where = f"https://{await _node(kube)}:{await _node_port(kube, 'https')}{AGENT}"
    got = {}
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=10) as client:
        for host in (settings.GATEWAY_HOST, DASHBOARD):
            answer = await client.get(where, headers={"Host": host}, extensions={"sni_hostname": host})
            got[host] = answer.status_code
    told = ", ".join(f"{host} {status}" for host, status in got.items())
    return Seen(got == {settings.GATEWAY_HOST: 200, DASHBOARD: 404}, f"TLS was verified for both; {told}")


@listed(
    ROWS,
    "mesh/redirect",
    "884-892",
    part="mesh",
    says="Gateway: plain HTTP on 80 is redirected to HTTPS",
    done="asked port 80 in plain text (seed: servers[].redirect, unknown to Istio; here tls.httpsRedirect)",
)
async def redirect(ground: Ground) -> Seen:
    """Send plain HTTP to HTTPS."""
    kube = ground.site.kube
    where = f"http://{await _node(kube)}:{await _node_port(kube, 'http')}{AGENT}"
    got = {}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for host in (settings.GATEWAY_HOST, DASHBOARD):
            answer = await client.get(where, headers={"Host": host})
            got[host] = (answer.status_code, answer.headers.get("location", ""))
    good = all(found == (301, f"https://{host}{AGENT}") for host, found in got.items())
    return Seen(good, "; ".join(f"{status} to {to or 'nowhere'}" for status, to in got.values()))


async def _node(kube: Kube) -> str:
    """Return the address of the node that the gateway is on."""
    pods = await kube.list(paths.pods(EDGE), labels=f"app={GATEWAY}")
    return str(next(pod["status"]["hostIP"] for pod in pods if pod.get("status", {}).get("hostIP")))


async def _node_port(kube: Kube, name: str) -> int:
    ports = (await kube.get(paths.core(EDGE, "services", GATEWAY)))["spec"]["ports"]
    return int(next(port["nodePort"] for port in ports if port["name"] == name))


@listed(
    ROWS,
    "mesh/routes",
    "901-911",
    says="VirtualService: /api/v1/agents of api.claude-ecosystem.com goes to the orchestrators",
    done="asked for that, for a path that is not routed and for a host that nobody has",
)
async def routes(ground: Ground) -> Seen:
    """Route what is routed and nothing else."""
    client = ground.site.gateway
    routed = await ask(client, "/api/v1/agents/agent-1")
    path = await ask(client, "/api/v2/agents/agent-1")
    host = await ask(client, "/api/v1/agents/agent-1", "nobody.claude-ecosystem.com")
    good = routed.status == 200 and routed.by.startswith("claude-orchestrator")
    good = good and all(one.status == 404 and not one.by for one in (path, host))
    return Seen(good, f"{routed.status} by {routed.by or 'nobody'}; another path {path.status}, host {host.status}")


@listed(
    ROWS,
    "mesh/port",
    "911-915",
    says="VirtualService: the destination's port is 8080",
    done="asked a Service with port 80 by the seed's port 8080, and by 80 as the stack has it",
)
async def port(ground: Ground) -> Seen:
    """Find the Service by the port that it has, and by no other."""
    seed = await ground.one_by_one(await ground.tell("well", port=8080, retries=NO_RETRIES), 5)
    ours = await ground.one_by_one(await ground.tell("well"), 5)
    good = all(one.status >= 500 and not one.by for one in seed) and all(one.status == 200 for one in ours)
    return Seen(good, f"8080: {statuses(seed)}; 80: {statuses(ours)}")


@listed(
    ROWS,
    "mesh/weights",
    "910-921",
    says="VirtualService: 90 % to one version and 10 % to the other",
    done="300 calls at 60/s to two versions with these weights",
)
async def weights(ground: Ground) -> Seen:
    """Send each version its share."""
    subsets = {name: {"version": name} for name in ("well", "echo")}
    host = await ground.tell("both", subsets=subsets, shares={"well": 90, "echo": 10})
    answers = await at_rate(ground.site.gateway, 300, AGENT, host)
    got = Counter(one.by for one in answers)
    good = set(got) == {"well", "echo"} and share(got["echo"], len(answers), 0.1)
    return Seen(good, f"{got['well']} and {got['echo']} of {len(answers)} calls")


@listed(
    ROWS,
    "mesh/empty-subset",
    "916-921, 956-962",
    says="VirtualService: 10 % go to the subset canary, which no pod is in until something is released",
    done="200 calls with the seed's weights to a subset without pods, and 100 to the stack's own route (100/0)",
)
async def empty_subset(ground: Ground) -> Seen:
    """Lose nothing to a subset without pods."""
    subsets = {"stable": {"version": "well"}, "canary": {"version": "v1.3.0-rc1"}}
    host = await ground.tell("well", subsets=subsets, shares={"stable": 90, "canary": 10}, retries=NO_RETRIES)
    seed = await at_rate(ground.site.gateway, 200, AGENT, host)
    ours = await at_rate(ground.site.gateway, 100, AGENT, settings.GATEWAY_HOST)
    lost = sum(one.status == 503 for one in seed)
    good = share(lost, len(seed), 0.1) and all(one.good for one in ours)
    return Seen(good, f"seed: {statuses(seed)}; stack: {statuses(ours)}")


@listed(
    ROWS,
    "mesh/timeout",
    "922",
    beside=True,
    says="VirtualService: a request ends after 30 s (10 s here: errata, perTryTimeout)",
    done="asked a service that takes 20 s, with the stack's timeout and no retries",
)
async def timeout(ground: Ground) -> Seen:
    """End a request when its time is over."""
    answer = await ask(ground.site.gateway, AGENT, await ground.tell("patient", retries=NO_RETRIES), x_wait="20")
    return ended(answer, REQUEST_SECONDS, tries=1)


@listed(
    ROWS,
    "mesh/try-timeout",
    "924-925",
    says="VirtualService: each of 3 retries ends after 10 s (1.5 s here: four tries must fit into the request)",
    done=f"asked a registry that takes {SLOW_SECONDS} s (DELAY_SECONDS), three times at once",
)
async def try_timeout(ground: Ground) -> Seen:
    """End each try when its time is over."""
    answers = await at_rate(ground.site.gateway, 3, AGENT, await ground.tell("slow"))
    seen = [ended(one, TRIES * TRY_SECONDS, tries=TRIES) for one in answers]
    return Seen(all(one.good for one in seen), "; ".join(one.text for one in seen))


def ended(answer: Answer, limit: float, *, tries: int) -> Seen:
    """Judge an answer that should have ended for its time, after so many tries."""
    good = answer.status == 504 and limit - 0.1 <= answer.seconds <= limit + SLACK_SECONDS and answer.tries == tries
    return Seen(good, f"{answer.status} after {answer.seconds:.2f} s and {answer.tries} tries (limit {limit:g} s)")


@listed(
    ROWS,
    "mesh/retries",
    "923-926",
    says="VirtualService: 3 retries on 5xx",
    done="10 calls to a registry that fails each (FAIL_SHARE=1); tries as the gateway says and as the pod counts",
)
async def retries(ground: Ground) -> Seen:
    """Try a call that failed again, as often as is said."""
    host = await ground.tell("failing")
    before = await received(ground.site, "failing")
    answers = await ground.one_by_one(host, 10)
    return tried(answers, await received(ground.site, "failing") - before, TRIES)


def tried(answers: Sequence[Answer], counted: float, wanted: int) -> Seen:
    """Judge calls each of which should have been tried so often: the gateway's word, and the pod's own count."""
    said = Counter(one.tries for one in answers)
    good = set(said) == {wanted} and counted == wanted * len(answers) and not any(one.good for one in answers)
    tries = ", ".join(f"{times} tries {count} times" for times, count in sorted(said.items()))
    return Seen(good, f"{statuses(answers)}; {tries}; the pod counted {counted:g} requests of {len(answers)} calls")


async def received(here: Site, pod: str) -> float:
    """Return how many requests a pod of the stack's service has answered."""
    text = await here.kube.get_text(f"{paths.pods(here.namespace, pod)}:9090/proxy/metrics")
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("http_requests_total{"))
    return sum(float(value) for _, _, value in lines)


@listed(
    ROWS,
    "mesh/retry-on",
    "926",
    says="VirtualService: retries on reset and connect-failure, too (refused-stream is HTTP/2's; see h2-upgrade)",
    done="10 calls to a service that closes each connection, 10 to a port where nobody listens",
)
async def retry_on(ground: Ground) -> Seen:
    """Try again what was reset or found nobody."""
    reset = await ground.one_by_one(await ground.tell("echo"), 10, x_drop="yes")
    shut = await ground.one_by_one(await ground.tell("shut"), 10)
    good = all(one.status == 503 and one.tries == TRIES for one in (*reset, *shut))
    return Seen(good, f"reset: {_flagged(reset)}; nobody listens: {_flagged(shut)}")


def _flagged(answers: Sequence[Answer]) -> str:
    counts = Counter((one.status, one.tries, ",".join(one.flags)) for one in answers)
    return ", ".join(
        f"{count} times {code} after {tries} tries ({flags})" for (code, tries, flags), count in counts.items()
    )
