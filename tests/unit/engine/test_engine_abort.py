"""A run is cut short when it should be: by a hang as by errors, by a silent keeper, by a lease that is lost."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine import abort, lease
from harness.engine.abort import Abort, lowest
from harness.engine.preflight.scope import Scope
from harness.errors import AbortTriggered, ApiError
from harness.model.history import Operation

RATE = 40.0


def served(start: float, end: float, *, latency: float = 0.01, status: int = 200) -> list[Operation]:
    """Make one operation every 25 ms that ends after `latency`."""
    due = [start + number / RATE for number in range(int((end - start) * RATE))]
    return [Operation(time, time, time + latency, status) for time in due]


def at(now: float, operations: list[Operation]) -> float | None:
    """Return the availability over ten seconds as seen at one moment of a run whose load is steady from the start."""
    return lowest([one for one in operations if now - 13 < one.finished <= now], now, 10.0, 0.0, RATE)


def test_operations_that_fail_at_once_lower_availability_at_once() -> None:
    operations = served(0, 20) + served(20, 30, status=503)
    assert at(20, operations) == 1.0
    assert at(25, operations) == pytest.approx(0.5, abs=0.01)


def test_a_hang_lowers_availability_although_nothing_ends() -> None:
    operations = served(0, 20) + served(20, 60, latency=10.0, status=0)
    assert at(22, operations) == 1.0
    assert at(26, operations) < 0.8
    assert at(29.9, operations) < 0.4


def test_operations_that_are_slow_and_good_do_not_lower_it() -> None:
    operations = served(0, 20) + served(20, 40, latency=2.5)
    assert all(at(now, operations) == 1.0 for now in range(13, 40))


def test_what_the_load_itself_held_up_is_no_breach() -> None:
    held_up = [replace(one, late=True) for one in served(20, 40, latency=0.3, status=503)]
    assert all(at(now, served(0, 20) + held_up) in (1.0, None) for now in range(14, 40))


@pytest.mark.anyio
async def test_once_the_walk_is_over_only_a_person_still_cuts_what_follows() -> None:
    pulled = Abort()
    pulled.over = True
    pulled.pull("abort-when", "the load is ending")
    assert not pulled
    pulled.pull("SIGINT", "SIGINT was received")
    assert pulled.trigger == "SIGINT"


def test_nothing_is_said_before_the_load_was_steady_for_the_whole_span() -> None:
    assert lowest(served(0, 5, status=503), 5.0, 10.0, 0.0, RATE) is None


def test_a_load_too_thin_to_judge_aborts_nothing() -> None:
    assert lowest([Operation(14, 14, 15, 503)], 20.0, 10.0, 0.0, 0.1) is None


@pytest.mark.anyio
async def test_a_load_that_died_is_no_breach() -> None:
    rule: Any = type("Rule", (), {"for_seconds": 10.0, "availability_below": 0.8})
    pulled = Abort()
    with anyio.move_on_after(2 * abort.LOOK_EVERY):
        await abort.on_breach(
            pulled, rule, lambda start, end: RATE * (end - start), lambda: 60.0, lambda: 0.0, lambda _: None
        )
    assert not pulled


class SilentKeeper:
    """A keeper that answers no beat."""

    def __init__(self) -> None:
        self.lost = anyio.Event()

    async def beat(self) -> None:
        raise AbortTriggered("the keeper did not answer beat in 10 s")


@pytest.mark.anyio
async def test_a_keeper_that_no_longer_answers_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abort, "RENEW_EVERY", 0)
    pulled, keeper = Abort(), SilentKeeper()
    with anyio.fail_after(30), pulled.scope:
        await abort.on_lost_healer(pulled, keeper)  # type: ignore[arg-type]
    assert pulled.trigger == "keeper"


class LeaseServer:
    """Hold one Lease as the API server does: an old resourceVersion is refused."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {"metadata": {"name": lease.NAME, "resourceVersion": "1"}, "spec": {}}

    async def get(self, path: str) -> dict[str, Any]:
        return {**self.lease, "metadata": dict(self.lease["metadata"]), "spec": dict(self.lease["spec"])}

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        version = str(int(self.lease["metadata"]["resourceVersion"]) + 1)
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        return await self.get(path)


class SilentServer(LeaseServer):
    """An API server that answers no renewal."""

    silent = False

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await (anyio.sleep_forever() if self.silent else super().replace(path, body))


@pytest.mark.anyio
async def test_a_lease_that_lapses_while_its_renewal_waits_ends_the_run_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.5)
    monkeypatch.setattr(abort, "RENEW_EVERY", 0.01)
    monkeypatch.setattr(abort, "RENEW_SECONDS", 60.0)
    server, pulled = SilentServer(), Abort()
    held = lease.Leases(server, "run-1", Scope(), (), kept=True)  # type: ignore[arg-type]
    await held.acquire(holder_is_dead=True)
    server.silent = True
    with anyio.fail_after(30):
        await abort.on_lost_lease(pulled, held, lambda _: None)
    assert pulled.trigger == "lease"


@pytest.mark.anyio
async def test_a_renewal_whose_answer_was_lost_does_not_end_the_run() -> None:
    server = LeaseServer()
    held = lease.Leases(server, "run-1", Scope(), (), kept=True)  # type: ignore[arg-type]
    await held.acquire(holder_is_dead=True)
    server.lease["metadata"]["resourceVersion"] = "7"
    await held.renew()
    assert server.lease["metadata"]["resourceVersion"] == "8"


@pytest.mark.anyio
@pytest.mark.parametrize("taken", [{"holderIdentity": "run-2"}, {"holderIdentity": ""}])
async def test_a_lease_that_another_run_took_ends_the_run(taken: dict[str, str]) -> None:
    server = LeaseServer()
    held = lease.Leases(server, "run-1", Scope(), (), kept=True)  # type: ignore[arg-type]
    await held.acquire(holder_is_dead=True)
    server.lease["metadata"]["resourceVersion"] = "7"
    server.lease["spec"] |= taken
    with pytest.raises(AbortTriggered, match="lost"):
        await held.renew()


@pytest.mark.anyio
async def test_a_lease_that_a_healer_marked_ends_the_run() -> None:
    server = LeaseServer()
    held = lease.Leases(server, "run-1", Scope(), (), kept=True)  # type: ignore[arg-type]
    await held.acquire(holder_is_dead=True)
    server.lease["metadata"] |= {"resourceVersion": "7", "annotations": {lease.EXPIRED: "run-1"}}
    with pytest.raises(AbortTriggered, match="lost"):
        await held.renew()


@pytest.mark.anyio
async def test_a_second_signal_leaves_at_once_also_where_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def hung_up(*_: object) -> int:
        raise OSError(5, "Input/output error")

    left, interrupted, keeper = anyio.Event(), Abort(), SilentKeeper()
    healer: Any = type("Own", (), {"own": True, "lost": keeper.lost})
    monkeypatch.setattr(abort.os, "write", hung_up)
    monkeypatch.setattr(abort.os, "_exit", lambda code: left.set())
    monkeypatch.setattr(abort, "REPEAT_SECONDS", -1.0)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as together:
            together.start_soon(abort.on_signal, interrupted, lambda: healer, lambda line: None)
            await anyio.wait_all_tasks_blocked()
            signal.raise_signal(signal.SIGHUP)
            with interrupted.scope:
                await anyio.sleep_forever()
            signal.raise_signal(signal.SIGHUP)
            await left.wait()
            together.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_further_ctrl_c_does_not_cost_an_interrupted_run_its_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    interrupted, before = Abort(), signal.getsignal(signal.SIGINT)
    interrupted.pull("SIGINT", "SIGINT was received")
    with abort.undisturbed(interrupted):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert capfd.readouterr().err.count("the verdict is being written") == 2
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.anyio
@pytest.mark.parametrize("trigger", ["", "lever"])
async def test_a_run_that_nobody_interrupted_is_still_cut_by_ctrl_c(trigger: str) -> None:
    other, before = Abort(), signal.getsignal(signal.SIGINT)
    if trigger:
        other.pull(trigger, "it was pulled")
    with abort.undisturbed(other):
        assert signal.getsignal(signal.SIGINT) is before


class Blind:
    """A cluster on which nobody may look for a lever."""

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise ApiError(403, "Forbidden", "")
        yield


@pytest.mark.anyio
@pytest.mark.case(22, "rights in one namespace only", "a run inside that namespace works")
async def test_a_lever_that_may_not_be_looked_for_ends_no_run() -> None:
    going_on = Abort()
    async with anyio.create_task_group() as together:
        together.start_soon(abort.on_lever, going_on, Blind(), "chaos-system")
        await anyio.wait_all_tasks_blocked()
        together.cancel_scope.cancel()
    assert not going_on
