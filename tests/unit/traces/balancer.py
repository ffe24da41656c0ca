"""A gateway as small as can be: it takes turns, ejects, retries elsewhere and within a budget, after Envoy's rules."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from claude_services.client import DependencyFailed
from claude_services.transport import Answer, Connections, Send, SendFailed
from harness.checkers.traces.calls import Trace
from harness.checkers.traces.rules import Budget, EjectionRule, RetryRule, Rules, doubling
from tests.unit.traces import upstream, virtual
from tests.unit.traces.recorder import Recorder
from tests.unit.traces.upstream import Does, Upstream

GATEWAY, CALLEE, HOSTS = "gateway", "orchestrator", ("a", "b", "c", "d")
RETRY = RetryRule(
    retries=1, attempt_timeout=1.0, deadline=3.0, pauses=doubling(0.02, 0.02, 1), budget=Budget(share=0.2, least=2)
)
EJECTION = EjectionRule(failures=3, interval=0.5, base=2.0, longest=10.0, share=0.5, panic=0.0)
RULES = Rules(retry=RETRY, ejection=EJECTION)
PANICS = replace(RULES, ejection=replace(EJECTION, panic=0.6))
# Which hosts fail when: one more than may be out, and one that never does.
FAILING = {"b": (0.8, 1.8), "c": (0.5, 1.5), "d": (0.5, 1.5)}
RATE, UNTIL = 100, 4.5


@dataclass(slots=True)
class Balancer:
    """Call one of several hosts."""

    sends: Mapping[str, Send]
    retry: RetryRule = RETRY
    ejection: EjectionRule = EJECTION
    elsewhere: bool = True
    out: dict[str, float] = field(default_factory=dict)
    row: Counter[str] = field(default_factory=Counter)
    times: Counter[str] = field(default_factory=Counter)
    active: int = 0
    retrying: int = 0
    turns: count[int] = field(default_factory=count)
    draw: random.Random = field(default_factory=lambda: random.Random(7))

    async def call(self, method: str, endpoint: str, *, request_id: str) -> Answer:
        """Return the answer of the first host that has one; raises DependencyFailed."""
        host = self._pick("")
        self.active += 1
        answer, outcome = await self._try(host, method, endpoint, request_id)
        if answer is None and self._may_retry():
            self.retrying += 1
            await asyncio.sleep(self.draw.random() * self.retry.pause(2))
            answer, outcome = await self._try(self._pick(host), method, endpoint, request_id)
            self.retrying -= 1
        self.active -= 1
        if answer is None:
            raise DependencyFailed(CALLEE, outcome)
        return answer

    def _may_retry(self) -> bool:
        budget = self.retry.budget
        return budget is None or self.retrying + 1 <= max(budget.least, budget.share * self.active)

    def _pick(self, previous: str) -> str:
        now = asyncio.get_running_loop().time()
        left = [host for host in self.sends if self.out.get(host, 0.0) <= now]
        if len(left) < self.ejection.panic * len(self.sends):
            left = list(self.sends)
        if previous and not self.elsewhere:
            return previous
        others = [host for host in left if host != previous] or left
        return others[next(self.turns) % len(others)]

    async def _try(self, host: str, method: str, endpoint: str, request_id: str) -> tuple[Answer | None, str]:
        try:
            answer = await self.sends[host](method, endpoint, {"X-Request-ID": request_id}, None, 1.0)
        except SendFailed as failed:
            self._learn(host, failed=True)
            return None, failed.outcome
        self._learn(host, failed=answer.status >= 500)
        return (None, "server-error") if answer.status >= 500 else (answer, "ok")

    def _learn(self, host: str, *, failed: bool) -> None:
        now, rule = asyncio.get_running_loop().time(), self.ejection
        self.row[host] = self.row[host] + 1 if failed else 0
        out = [one for one, until in self.out.items() if until > now]
        if self.row[host] < rule.failures or host in out or len(out) >= rule.most_out(len(self.sends)):
            return
        self.times[host] += 1
        self.row[host] = 0
        self.out[host] = now + min(rule.longest, rule.base * self.times[host])


def troubled(host: str, at: float) -> Does:
    """Say what a host does."""
    start, end = FAILING.get(host, (0.0, 0.0))
    return upstream.FAILS if start <= at < end else upstream.OK


def drive(*, retry: RetryRule = RETRY, ejection: EjectionRule = EJECTION, elsewhere: bool = True) -> Trace:
    """Return the trace of one gateway whose hosts have their troubles, as these tell it."""
    up, recorder = Upstream(troubled, HOSTS), Recorder()

    async def run() -> None:
        await up.start()
        http = {host: Connections(url) for host, url in up.urls.items()}
        sends = {host: recorder.recorded(http[host].send, host) for host in HOSTS}
        await _offer(Balancer(sends, retry, ejection, elsewhere), recorder)
        for connections in http.values():
            await connections.close()
        await up.stop()

    virtual.run(run(), lambda: recorder.open == up.held)
    return Trace(recorder.calls, up.attempts, {CALLEE: frozenset(HOSTS)})


async def _offer(balancer: Balancer, recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        for number in range(int(UNTIL * RATE)):
            await asyncio.sleep(number / RATE - loop.time())
            call = balancer.call("GET", "/", request_id=f"g-{number}")
            group.create_task(recorder.call(GATEWAY, CALLEE, "GET", f"g-{number}", call))
