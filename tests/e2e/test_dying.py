"""Whatever dies during a fault, of whichever hand, the cluster is afterwards as it was found."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.dying import run as runs
from harness.cluster.local import LocalCluster
from harness.keeper import container
from tests.e2e.live import docker, harness, kubectl

pytestmark = pytest.mark.e2e
# The promise itself: where the keeper lives it heals within two seconds, elsewhere within the lease and two.
HEAL_SECONDS = 2
LEASE_SECONDS = 15
DOCUMENTS = Path(__file__).parent / "documents"
# One of each hand: what the engine asks for, what the keeper does, and what an agent does and has to remember.
HANDS = ("cordon", "freeze", "pod_freeze")
# The same in one run instead of three.
TOGETHER = "three_hands"
PARTS = {TOGETHER: ("cordon", "pod_freeze", "freeze")}


class Run(runs.Run):
    """A run that holds one fault of a hand until something dies."""

    def __init__(self, hand: str, folder: Path) -> None:
        super().__init__(DOCUMENTS / f"{hand}.yaml", folder)

    def wait_for_all(self) -> None:
        """Wait until all that it has planned is injected."""
        planned = len(self.wait_for("plan")["data"]["faults"])
        seconds_until(lambda: sum(one["type"] == "fault.injected" for one in self.lines()) == planned, limit=30)


@pytest.fixture
def broken(request: pytest.FixtureRequest, as_found: None, tmp_path: Path) -> Iterator[tuple[str, Run]]:
    """A run with a fault of the asked hand injected right now."""
    run = Run(request.param, tmp_path)
    run.wait_for("fault.injected")
    run.wait_for_all()
    yield request.param, run
    if run.process.poll() is None:
        os.kill(run.process.pid, signal.SIGCONT)
        run.process.kill()
    run.process.communicate(timeout=30)


def broken_now(cluster: LocalCluster, hand: str) -> bool:
    """Look at the target itself, not at what the harness says of it."""
    if hand == "cordon":
        return "true" in kubectl(cluster, "get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}")
    names = list(cluster.nodes.values())
    states = dict(zip(names, docker(cluster, "inspect", "-f", "{{.State.Status}}", *names).split(), strict=True))
    if hand == "freeze":
        return "paused" in states.values()
    look = (
        "cat $(find /sys/fs/cgroup -name freezer.state 2>/dev/null) /dev/null;"
        " cat $(find /sys/fs/cgroup -maxdepth 8 -name cgroup.freeze 2>/dev/null) /dev/null"
    )
    awake = [name for name in names if states[name] != "paused"]
    found = [docker(cluster, "exec", node, "sh", "-c", look).split() for node in awake]
    return any(word in ("FROZEN", "FREEZING", "1") for words in found for word in words)


def all_broken(cluster: LocalCluster, document: str) -> bool:
    """Say whether each thing is broken that a document breaks."""
    return all(broken_now(cluster, hand) for hand in PARTS.get(document, (document,)))


def none_broken(cluster: LocalCluster, document: str) -> bool:
    """Say whether nothing is broken that a document breaks."""
    return not any(broken_now(cluster, hand) for hand in PARTS.get(document, (document,)))


def heals(
    cluster: LocalCluster,
    document: str,
    what: str,
    capsys: pytest.CaptureFixture[str],
    limit: float,
    at_once: Collection[str] = (),
) -> None:
    """Wait until nothing is broken any more that a document breaks, each watched by itself, and tell how long."""
    hands = PARTS.get(document, (document,))

    def healed(hand: str) -> float:
        return seconds_until(lambda: not broken_now(cluster, hand), HEAL_SECONDS if hand in at_once else limit)

    with ThreadPoolExecutor() as pool:
        for hand, seconds in zip(hands, pool.map(healed, hands), strict=True):
            tell(capsys, f"{what}, {hand}", seconds)


def keeper_runs(cluster: LocalCluster) -> bool:
    """Look for the keeper's container itself."""
    return docker(cluster, "inspect", "-f", "{{.State.Running}}", container.NAME) == "true\n"


def seconds_until(healed: Callable[[], bool], limit: float) -> float:
    """Return how long it took; the limit is the promise under test."""
    began = time.monotonic()
    while not healed():
        assert time.monotonic() - began < limit, f"still broken after {limit:g} s"
        time.sleep(0.02)
    return time.monotonic() - began


def tell(capsys: pytest.CaptureFixture[str], what: str, seconds: float) -> None:
    """Print a heal time where a person sees it."""
    with capsys.disabled():
        print(f"\n    healed {seconds:6.2f} s after {what}", end="", flush=True)


DEATHS = [
    *(("SIGKILL", hand) for hand in HANDS),
    *((name, TOGETHER) for name in ("SIGTERM", "SIGHUP", "SIGINT")),
]


@pytest.mark.parametrize(("name", "broken"), DEATHS, indirect=["broken"])
def test_a_killed_engine_leaves_nothing(
    cluster: LocalCluster, broken: tuple[str, Run], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    run.signal(getattr(signal, name))
    heals(cluster, hand, name, capsys, limit=HEAL_SECONDS)
    code = run.end()
    assert code == (-signal.SIGKILL if name == "SIGKILL" else 130)


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
@pytest.mark.parametrize("pause", [0.0, 1.1], ids=["at-once", "a-second-later"])
def test_a_second_interrupt_leaves_nothing_either(
    cluster: LocalCluster, broken: tuple[str, Run], pause: float, capsys: pytest.CaptureFixture[str]
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    began = time.monotonic()
    run.signal(signal.SIGINT)
    while time.monotonic() - began < pause and run.process.poll() is None:
        time.sleep(0.02)
    if run.process.poll() is None:
        run.signal(signal.SIGINT)
    heals(cluster, hand, f"Ctrl-C twice ({pause:g} s)", capsys, limit=HEAL_SECONDS)
    assert run.end() == 130


@pytest.mark.parametrize("broken", ["cordon"], indirect=True)
def test_a_terminal_that_is_closed_takes_nothing_with_it(cluster: LocalCluster, broken: tuple[str, Run]) -> None:
    _, run = broken
    assert run.process.stdout
    run.process.stdout.close()
    run.signal(signal.SIGHUP)
    run.signal(signal.SIGHUP)
    assert run.process.wait(timeout=60) == 130
    assert not broken_now(cluster, "cordon")
    assert [event["data"]["verdict"] for event in run.lines() if event["type"] == "verdict"] == ["ABORTED"]  # type: ignore[index]


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
def test_a_suspended_engine_is_healed_within_its_lease_and_wakes_up_harmless(
    cluster: LocalCluster, broken: tuple[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    run.signal(signal.SIGSTOP)
    heals(cluster, hand, "SIGSTOP", capsys, limit=LEASE_SECONDS + 2)
    run.signal(signal.SIGCONT)
    assert run.end() == 3
    assert none_broken(cluster, hand)
    assert any(event["type"] == "abort" for event in run.lines())


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
def test_a_killed_keeper_comes_back_and_leaves_nothing(
    cluster: LocalCluster, broken: tuple[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    os.kill(int(docker(cluster, "inspect", "-f", "{{.State.Pid}}", "chaos-keeper")), signal.SIGKILL)
    heals(cluster, hand, "the keeper's death", capsys, limit=LEASE_SECONDS + 2)
    assert run.end() == 3


@pytest.fixture
def stopped_keeper(cluster: LocalCluster) -> Iterator[Callable[[], None]]:
    """Stop the keeper so that Docker does not start it again; afterwards there is one, whatever became of it."""
    yield lambda: print(docker(cluster, "kill", container.NAME))
    container.ensure(cluster, print)


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
def test_a_stopped_keeper_holds_nothing_up_that_needs_it_not_and_is_started_for_the_rest(
    cluster: LocalCluster,
    broken: tuple[str, Run],
    stopped_keeper: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    stopped_keeper()
    by_the_engine = ("cordon", "pod_freeze")
    heals(cluster, hand, "the keeper was stopped", capsys, limit=LEASE_SECONDS + 2, at_once=by_the_engine)
    assert run.end() == 3
    assert kubectl(cluster, "get", "faults,nodefaults", "--all-namespaces", "--output=name") == ""
    assert keeper_runs(cluster)


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
def test_undo_starts_a_keeper_that_is_away_and_heals_what_a_dead_run_left(
    cluster: LocalCluster, broken: tuple[str, Run], stopped_keeper: Callable[[], None]
) -> None:
    hand, run = broken
    run.signal(signal.SIGSTOP)  # so that it neither heals nor starts a keeper itself
    stopped_keeper()
    run.signal(signal.SIGKILL)
    run.end()
    assert all_broken(cluster, hand)
    harness("undo")
    assert none_broken(cluster, hand)
    assert keeper_runs(cluster)


def test_what_only_looks_answers_without_a_keeper(
    cluster: LocalCluster, as_found: None, stopped_keeper: Callable[[], None]
) -> None:
    stopped_keeper()
    assert "unseen/keeper  away" in harness("fingerprint").stdout
    assert harness("faults").stdout == "nothing is broken on purpose\n"
    assert "the keeper is away" in harness("doctor", check=False).stdout


@pytest.mark.parametrize("broken", [TOGETHER], indirect=True)
def test_engine_and_keeper_killed_together_leave_nothing(
    cluster: LocalCluster, broken: tuple[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    hand, run = broken
    assert all_broken(cluster, hand)
    keeper = int(docker(cluster, "inspect", "-f", "{{.State.Pid}}", "chaos-keeper"))
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    heals(cluster, hand, "both deaths", capsys, limit=LEASE_SECONDS + 2)


@pytest.mark.parametrize("broken", ["cordon"], indirect=True)
def test_the_lever_stops_a_run_and_refuses_the_next(
    broken: tuple[str, Run], tmp_path: Path, cluster: LocalCluster
) -> None:
    hand, run = broken
    harness("lever", "on", "--reason", "drill")
    try:
        assert run.end() == 3
        assert not broken_now(cluster, hand)
        refused = harness("run", str(DOCUMENTS / "cordon.yaml"), "--runs", str(tmp_path / "refused"), check=False)
        assert refused.returncode == 4
        assert "the lever is on" in refused.stderr
    finally:
        harness("lever", "off")


@pytest.mark.parametrize("broken", ["cordon"], indirect=True)
def test_a_second_run_is_refused_while_one_is_going_on(broken: tuple[str, Run], tmp_path: Path) -> None:
    refused = harness("run", str(DOCUMENTS / "cordon.yaml"), "--runs", str(tmp_path / "second"), check=False)
    assert refused.returncode == 4
    assert "Traceback" not in refused.stderr
    _, run = broken
    assert run.process.poll() is None
    # It undoes its fault sooner than the keeper does of one that is killed.
    run.signal(signal.SIGTERM)
    assert run.end() == 130
