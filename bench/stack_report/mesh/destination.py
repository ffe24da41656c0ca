"""The DestinationRule, lines 929 to 955: hashing, limits, ejection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio

from bench.stack_report.asking import AGENT, Answer, ask, at_rate, one_by_one, statuses
from bench.stack_report.mesh.behind import NO_RETRIES, SLACK_SECONDS, SLOW_SECONDS, Ground
from bench.stack_report.mesh.routing import TRIES
from bench.stack_report.row import Row, Seen, listed
from harness.probes import settings

# The seed's numbers; the times are 30 s both in the seed.
CONNECTIONS, WAITING, UNDER_WAY, ON_EACH = 100, 100, 100, 2
ERRORS, LOOK_SECONDS, OUT_SECONDS = 5, 2.0, 10.0
# Envoy tells its workers of a change in a cluster's health at once, and of those within a second of it together, later:
# its update_merge_window. Two pods that fail are ejected within that second.
MERGED_SECONDS = 1.5
ROWS: list[Row] = []


@listed(
    ROWS,
    "mesh/consistent-hash",
    "936-940",
    says="DestinationRule: X-User-ID picks the pod by consistent hash (maglev here)",
    done="10 users asked the stack's own route 6 times each, and 60 calls named no user",
)
async def consistent_hash(ground: Ground) -> Seen:
    """Send a user to one pod, always."""
    by: dict[str, set[str]] = {}
    for number in range(10):
        user = f"user-{number}"
        answers = await one_by_one(ground.site.gateway, 6, AGENT, settings.GATEWAY_HOST, X_User_ID=user)
        by[user] = {one.by for one in answers}
    anybody = {one.by for one in await at_rate(ground.site.gateway, 60, AGENT, settings.GATEWAY_HOST)}
    return hashed(by, anybody)


def hashed(by: Mapping[str, set[str]], anybody: set[str]) -> Seen:
    """Judge which pods answered each user, and calls of nobody."""
    faithful = sum(len(pods) == 1 and "" not in pods for pods in by.values())
    used = len(set().union(*by.values()))
    good = faithful == len(by) and used > 1 and len(anybody) > 2
    return Seen(
        good, f"{faithful} of {len(by)} users met one pod each, {used} pods in all; without a user {len(anybody)}"
    )


@listed(
    ROWS,
    "mesh/connection-pool",
    "941-945",
    says="DestinationRule: at most 100 connections and 100 requests that wait for one",
    done=f"270 calls at 60/s to a registry that takes {SLOW_SECONDS} s (DELAY_SECONDS)",
)
async def connection_pool(ground: Ground) -> Seen:
    """Refuse what neither a connection nor a place to wait is left for."""
    host = await ground.tell("slow", retries=NO_RETRIES, timeout="30s")
    return refused(await at_rate(ground.site.gateway, 270, AGENT, host), CONNECTIONS + WAITING)


@listed(
    ROWS,
    "mesh/max-requests",
    "946",
    says="DestinationRule: at most 100 requests under way",
    done=f"180 calls at 60/s to a registry that takes {SLOW_SECONDS} s, with room for 1000 connections",
)
async def max_requests(ground: Ground) -> Seen:
    """Refuse more requests than may be under way."""
    pool = ground.policy["connectionPool"]
    http = {**pool["http"], "http1MaxPendingRequests": 1000}
    wide = {**ground.policy, "connectionPool": {"tcp": {**pool["tcp"], "maxConnections": 1000}, "http": http}}
    host = await ground.tell("slow", policy=wide, retries=NO_RETRIES, timeout="30s")
    return refused(await at_rate(ground.site.gateway, 180, AGENT, host), UNDER_WAY)


def refused(answers: Sequence[Answer], room: int) -> Seen:
    """Judge calls of which so many have room and the rest is refused, by the gateway and at once."""
    served = sum(one.good for one in answers)
    turned = [one for one in answers if one.status == 503 and "UO" in one.flags and not one.by]
    quick = max((one.seconds for one in turned), default=0.0)
    # Asked at a rate, one that ends just then leaves its room to another.
    good = served + len(turned) == len(answers) and room <= served <= room * 1.05 and bool(turned) and quick < 1
    return Seen(
        good, f"{served} of {len(answers)} answered, {len(turned)} refused (UO), within {quick:.2f} s; room for {room}"
    )


@listed(
    ROWS,
    "mesh/requests-per-connection",
    "947",
    says="DestinationRule: 2 requests per connection",
    done="40 calls, one after the other, to a service that tells from which port it was asked",
)
async def requests_per_connection(ground: Ground) -> Seen:
    """Use a connection so often and then another."""
    answers = await ground.one_by_one(await ground.tell("echo"), 40)
    ports = Counter(one.headers.get("x-peer", "") for one in answers)
    good = max(ports.values()) == ON_EACH and all(one.good for one in answers)
    return Seen(good, f"{len(ports)} connections for {len(answers)} calls, at most {max(ports.values())} on each")


@listed(
    ROWS,
    "mesh/retry-budget",
    "948",
    says="DestinationRule: maxRetries 3, which is retries under way (here a budget: 20 %, at least 30)",
    done="180 calls at 60/s to a registry that takes 1 s and fails: 60 retries a second would be wanted",
)
async def retry_budget(ground: Ground) -> Seen:
    """Not let retries multiply a load."""
    host = await ground.tell("late", timeout="30s")
    answers = await at_rate(ground.site.gateway, 180, AGENT, host)
    return budgeted(answers, TRIES)


def budgeted(answers: Sequence[Answer], most: int) -> Seen:
    """Judge calls that all fail: some must have been left without the tries that each alone would have had."""
    cut = [one for one in answers if "UO" in one.flags and one.tries < most]
    tries = sum(one.tries for one in answers)
    good = bool(cut) and tries < most * len(answers) * 0.75
    return Seen(good, f"{len(cut)} of {len(answers)} got no further try (UO); {tries} tries, not {most * len(answers)}")


@listed(
    ROWS,
    "mesh/h2-upgrade",
    "949",
    says="DestinationRule: h2UpgradePolicy UPGRADE (DO_NOT_UPGRADE here: the services speak HTTP/1.1)",
    done="10 calls with the seed's value and 10 with the stack's to a service that tells what it was spoken to in",
)
async def h2_upgrade(ground: Ground) -> Seen:
    """Speak to services what they speak."""
    pool = ground.policy["connectionPool"]
    up = {**ground.policy, "connectionPool": {**pool, "http": {**pool["http"], "h2UpgradePolicy": "UPGRADE"}}}
    seed = await ground.one_by_one(await ground.tell("echo", policy=up, retries=NO_RETRIES), 10)
    ours = await ground.one_by_one(await ground.tell("echo"), 10)
    spoken = {one.headers.get("x-protocol", "nothing") for one in ours}
    good = spoken == {"HTTP/1.1"} and all(one.good for one in ours) and not any(one.good for one in seed)
    return Seen(good, f"UPGRADE: {statuses(seed)}; as here: {statuses(ours)} over {', '.join(sorted(spoken))}")


@listed(
    ROWS,
    "mesh/ejection",
    "950-953",
    says="DestinationRule: 5 errors eject a pod for 30 s, looked at each 30 s (10 s and 2 s here)",
    done="asked two registries of which one fails, without retries, until it had been ejected and let in again",
)
async def ejection(ground: Ground) -> Seen:
    """Leave out a pod that fails, for so long."""
    host = await ground.tell("pair", retries=NO_RETRIES)
    answers = await ground.one_by_one(host, 60)
    with anyio.move_on_after(OUT_SECONDS + LOOK_SECONDS + 10):
        while not any(one.status == 500 for one in answers[60:]):
            await anyio.sleep(0.1)
            answers.append(await ask(ground.site.gateway, AGENT, host))
    return ejected(answers[:60], answers[60:])


def ejected(first: Sequence[Answer], later: Sequence[Answer]) -> Seen:
    """Judge that a pod was left out after its errors, and let in again at the first look after its time."""
    bad = [one for one in first if one.status == 500]
    back = next((one for one in later if one.status == 500), None)
    if len(bad) != ERRORS:
        return Seen(False, f"{len(bad)} of {len(first)} calls failed, not {ERRORS}")
    out = bad[-1].asked
    if back is None:
        return Seen(False, f"after {len(bad)} errors nobody asked it again")
    away = back.asked - out
    good = OUT_SECONDS - 0.5 <= away <= OUT_SECONDS + 2 * LOOK_SECONDS + SLACK_SECONDS
    return Seen(good, f"{len(bad)} errors of {len(first)} calls, then none; asked again after {away:.1f} s")


@listed(
    ROWS,
    "mesh/max-ejection",
    "954",
    says="DestinationRule: at most 50 % of the pods are ejected",
    done="60 calls, one after the other, to two registries that both fail",
)
async def max_ejection(ground: Ground) -> Seen:
    """Keep half of the pods, however they answer."""
    answers = await ground.one_by_one(await ground.tell("bad", retries=NO_RETRIES), 60)
    return halved(answers[:20], answers[-20:])


def halved(first: Sequence[Answer], last: Sequence[Answer]) -> Seen:
    """Judge that of two pods one was left out in the end, and that the other was not."""
    met = [sorted({one.by for one in found}) for found in (first, last)]
    good = [len(pods) for pods in met] == [2, 1] and all(one.status == 500 for one in last)
    return Seen(
        good, f"the first {len(first)} calls met {' and '.join(met[0])}, the last {len(last)} {' and '.join(met[1])}"
    )


@listed(
    ROWS,
    "mesh/min-health",
    "955",
    says="DestinationRule: with less than 50 % healthy nobody is left out any more",
    done="three registries of which two were ejected (100 % may be): 30 calls with 50 %, 30 with minHealthPercent 0",
)
async def min_health(ground: Ground) -> Seen:
    """Ask all when too few are left."""
    detection = {**ground.policy["outlierDetection"], "maxEjectionPercent": 100}
    errors = []
    for least in (detection["minHealthPercent"], 0):
        policy = {**ground.policy, "outlierDetection": {**detection, "minHealthPercent": least}}
        host = await ground.tell("three", policy=policy, retries=NO_RETRIES)
        await ground.one_by_one(host, 40)
        await anyio.sleep(MERGED_SECONDS)
        errors.append(sum(one.status == 500 for one in await ground.one_by_one(host, 30)))
    good = errors[0] >= 10 and errors[1] == 0
    return Seen(good, f"of 30 calls {errors[0]} failed with {detection['minHealthPercent']} %, {errors[1]} with 0 %")
