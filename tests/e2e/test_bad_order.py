"""What one experiment leaves behind is not blamed on the next: the local set follows what ends badly, as declared."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import HARNESS, ROOT, events, harness, kubectl, starved
from tests.e2e.local_set import declared

pytestmark = pytest.mark.e2e
BAD = ("deviates", "aborts", "vanishes")
EXPECTED = {
    "bad_order/deviates": "DEVIATED",
    "bad_order/aborts": "ABORTED",
    "bad_order/vanishes": "INCONCLUSIVE",
}
BAD_SECONDS = 300


def seen(runs: Path) -> dict[str, dict[str, Any]]:
    """Return each experiment's events so far, the last of each type."""
    found: dict[str, dict[str, Any]] = {}
    for directory in sorted(path.parent for path in runs.glob("*/journal.jsonl")):
        last = {str(event["type"]): event for event in events(directory)}
        if "run.start" in last:
            found[last["run.start"]["data"]["experiment"]] = last
    return found


def spoil(cluster: LocalCluster, runs: Path, over: threading.Event) -> None:
    """Pull the lever while the second experiment holds, push it back, and delete what the third has planned."""
    pulled = pushed = deleted = False
    while not over.wait(0.1):
        now = seen(runs)
        aborts, vanishes = now.get("bad_order/aborts", {}), now.get("bad_order/vanishes", {})
        if not pulled and "fault.felt" in aborts:
            harness("lever", "on", "--reason", "a test")
            pulled = True
        if pulled and not pushed and "abort" in aborts:
            harness("lever", "off")
            pushed = True
        # A pod that goes before the method begins is one that the baseline misses, which is another reason.
        if not deleted and vanishes.get("phase.start", {}).get("data") == {"name": "inject"}:
            victim = vanishes["plan"]["data"]["faults"][0]["victim"]
            kubectl(cluster, "-n", victim["namespace"], "delete", "pod", victim["name"], "--wait=false")
            deleted = True


def test_after_experiments_that_end_badly_the_local_set_gives_the_verdicts_it_gives_alone(
    cluster: LocalCluster, as_found: None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    documents = [Path(__file__).parent / "documents" / "bad_order" / f"{name}.yaml" for name in BAD]
    over = threading.Event()
    helper = threading.Thread(target=spoil, args=(cluster, tmp_path / "runs", over))
    helper.start()
    try:
        argv = [*HARNESS, "run", *map(str, documents), "--seed", "7", "--runs", str(tmp_path / "runs")]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=BAD_SECONDS)
    finally:
        over.set()
        helper.join()
    found = {name: last["verdict"]["data"] for name, last in seen(tmp_path / "runs").items()}
    wrong = {name: verdict["verdict"] for name, verdict in found.items() if verdict["verdict"] != EXPECTED[name]}
    assert found.keys() == EXPECTED.keys(), done.stdout + done.stderr
    assert all(starved(found[name]) for name in wrong), done.stdout + done.stderr
    assert done.returncode == (3 if "bad_order/deviates" in wrong else 1)
    assert "target deleted between plan and inject" in " ".join(done.stdout.split())
    # Only now: a set that another test had run already would not have followed these.
    declared(request.getfixturevalue("local_set"))
