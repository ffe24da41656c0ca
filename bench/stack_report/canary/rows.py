"""Rollout and AnalysisTemplate, lines 1000 to 1088."""

from __future__ import annotations

from bench.stack_report import asking
from bench.stack_report.asking import EXECUTE, ask
from bench.stack_report.canary.judging import of_release, passed, pauses, rolled_back, shares
from bench.stack_report.canary.watching import PATH, RATE, ROLLOUT, Ground
from bench.stack_report.row import Row, Seen, listed
from bench.stack_report.site import NAMESPACE
from harness.cluster import paths
from harness.workloads import releases
from harness.workloads.pod import controller

ROWS: list[Row] = []
BY_HAND = f"released orchestrators that are no worse, and asked {RATE:g} times a second until that was promoted"


@listed(
    ROWS,
    "canary/one-owner",
    "1001-1007, 1048-1060",
    part="delivery",
    says="Rollout: 10 replicas of its own template beside the Deployment's (5 here, of the Deployment's)",
    done="asked who owns each orchestrator that answers: a Deployment beside it would own them, too",
)
async def one_owner(ground: Ground) -> Seen:
    """Have one owner of all pods."""
    async with asking.through_gateway() as client:
        met = {(await ask(client, EXECUTE)).by for _ in range(60)}
    pods = {pod["metadata"]["name"]: pod for pod in await ground.kube.list(paths.pods(NAMESPACE))}
    owners = {str((controller(pods[name]) or {}).get("name")) for name in met if name in pods}
    wanted = (await ground.kube.get(PATH))["spec"]["replicas"]
    good = len(met) == wanted and len(owners) == 1 and all(one.startswith(f"{ROLLOUT}-") for one in owners)
    return Seen(good, f"{len(met)} pods answered, of {', '.join(sorted(owners))}; the Rollout wants {wanted}")


@listed(
    ROWS,
    "canary/weights",
    "1012-1023, 1032, 1042, 1045",
    part="delivery",
    within=420,
    says="Rollout: 10, 20, 50 and 100 % of the requests, by the weights of the VirtualService's route",
    done=f"{BY_HAND}; counted at each step which release answered",
)
async def weights(ground: Ground) -> Seen:
    """Give a release its share at each step."""
    return shares(await ground.good(), [10, 20, 50, 100])


@listed(
    ROWS,
    "canary/pauses",
    "1024-1025, 1033-1034, 1043-1047",
    part="delivery",
    within=420,
    says="Rollout: pauses of 2, 5, 10 and 2 minutes between the steps (a twentieth of each here)",
    done="the same release: for how long each weight was in force, the analyses after a pause included",
)
async def held(ground: Ground) -> Seen:
    """Hold each weight for as long as is said."""
    return pauses(await ground.good(), [(10, 6.0), (20, 15.0), (50, 30.0), (100, 6.0)])


@listed(
    ROWS,
    "canary/services",
    "1008-1011",
    part="delivery",
    within=420,
    says="Rollout: a Service for the canary and one for what is stable (defined nowhere in the seed)",
    done="the same release: of which release the pods are that the canary's Service selects, at each step",
)
async def services(ground: Ground) -> Seen:
    """Select the canary's pods alone."""
    seen = await ground.good()
    during = {weight: found for weight, found in seen.behind if 0 < weight < 100}
    good = bool(during) and all(found == [seen.newest] for found in during.values())
    return Seen(good, "; ".join(f"{weight} %: {', '.join(found) or 'nobody'}" for weight, found in during.items()))


@listed(
    ROWS,
    "canary/success-rate",
    "1026-1031, 1063-1087",
    part="delivery",
    within=420,
    says="AnalysisTemplate success-rate: 5 measurements, a minute apart (3 s here), each at least 0.95",
    done="the same release: what the analyses after 10 and 20 % measured",
)
async def success_rate(ground: Ground) -> Seen:
    """Let a good release pass."""
    return passed(await ground.good(), "success-rate")


@listed(
    ROWS,
    "canary/latency",
    "1035-1041",
    part="delivery",
    within=420,
    says="Rollout: a second analysis, by success-rate and latency (a template that the seed does not have)",
    done="the same release: what the second analysis measured of the p95, at most 0.5 s here",
)
async def latency(ground: Ground) -> Seen:
    """Let a quick release pass."""
    return passed(await ground.good(), "latency")


@listed(
    ROWS,
    "canary/rollback",
    "1073-1087",
    part="delivery",
    within=420,
    says="AnalysisTemplate success-rate: more than 2 measurements below 0.95 fail the release",
    done="released orchestrators that fail each tenth request (FAIL_SHARE=0.1)",
)
async def rollback(ground: Ground) -> Seen:
    """Give up a release that fails, at 10 %."""
    return rolled_back(await ground.failing(), "success-rate", 10)


@listed(
    ROWS,
    "canary/slow",
    "1035-1041",
    part="delivery",
    within=420,
    says="Rollout: a release that is too slow goes no further than 20 %",
    done="released orchestrators that keep each request for 0.7 s (DELAY_SECONDS)",
)
async def slow(ground: Ground) -> Seen:
    """Give up a release that is slow, at 20 %."""
    return rolled_back(await ground.slow(), "latency", 20)


@listed(
    ROWS,
    "canary/way-back",
    "1022-1047",
    part="delivery",
    within=420,
    says="Rollout: going back goes through all steps again (here not, to what ran a moment ago: rollbackWindow)",
    done="gave the promoted release's template back, and waited until it served alone",
)
async def way_back(ground: Ground) -> Seen:
    """Go back at once."""
    seen = await ground.good()
    cleared = bool(seen.after) and not any(of_release(one, seen.newest) for one in seen.after)
    good = seen.outcome == releases.PROMOTED and cleared and seen.back < seen.seconds / 2
    return Seen(good, f"there after {seen.seconds:.0f} s, back after {seen.back:.0f} s")
