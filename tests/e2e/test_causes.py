"""Five causes are planted on the real cluster, and each is named in the sentence that the run leaves; one is hidden."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from harness.cluster.local import LocalCluster
from harness.model import envoy
from harness.probes import prometheus
from tests.e2e.live import HARNESS, ROOT, events, starved
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e
DOCUMENTS = Path(__file__).parent / "documents" / "causes"
EJECTED = f"sum({envoy.EJECTIONS})"
# A run that never began because others had the machine planted nothing.
TRIES = 3
# What opens breakers is last: it costs the gateway hosts for half a minute.
CAUSES = (
    ("ejected_host", ("slower than 1 s were tried again by the gateway, which ejected claude-orchestrator-",)),
    ("killed_process", ("while claude-ecosystem-gateway-", "was down (istio-proxy ended with exit code 137 at ")),
    ("slow_dependency", ("waited for claude-tool-router, which took ", " a call instead of ")),
    ("throttled_cpu", (" of claude-orchestrator, held back by their CPU limit in up to ",)),
    # Refused at once, where availability is judged; in the end, where others had the machine and only latency is.
    ("open_breaker", ("were refused ", "towards tool-router ", " open from ", " attempts had timed out")),
)


@pytest.fixture
def calm(cluster: LocalCluster) -> None:
    """Wait until the gateway asks every host again, whatever the test before did to them."""

    async def asked() -> bool:
        return not await anyio.to_thread.run_sync(prometheus.value, EJECTED)

    anyio.run(until, asked)


def run(document: Path, runs: Path, environment: Mapping[str, str] | None = None) -> Mapping[str, object]:
    """Run a document and return what it wrote down as its verdict."""
    argv = [*HARNESS, "run", str(document), "--seed", "7", "--runs", str(runs)]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=240, env={**os.environ, **(environment or {})}
    )
    assert "Traceback" not in done.stderr, done.stderr
    found = [event["data"] for directory in runs.iterdir() for event in events(directory) if event["type"] == "verdict"]
    assert found, done.stdout + done.stderr
    verdict = found[0]
    assert isinstance(verdict, dict)
    assert str(verdict["cause"]) in " ".join(done.stdout.split())
    return verdict


def test_a_run_without_a_visible_cause_says_so(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    # Without a baseline, in which nothing would be served and the run never begin; nor will anything be afterwards.
    document = tmp_path / "ejected_host.yaml"
    text = (DOCUMENTS / "ejected_host.yaml").read_text()
    document.write_text(text.replace("baseline: 3s", "baseline: 0s").replace("recovery: 60s", "recovery: 5s"))
    verdict = run(document, tmp_path / "runs", {"HARNESS_HOST": "nobody.example"})
    assert verdict["verdict"] != "PASS"
    assert str(verdict["cause"]).startswith("no cause seen: ")
    assert str(verdict["cause"]).endswith(" operations failed with 404, answered by the gateway")


@pytest.mark.parametrize(("name", "said"), CAUSES)
def test_a_planted_cause_is_named(
    name: str,
    said: tuple[str, ...],
    cluster: LocalCluster,
    as_found: None,
    calm: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(TRIES):
        verdict = run(DOCUMENTS / f"{name}.yaml", tmp_path / str(number))
        if verdict["begun"] or not starved(verdict):
            break
    with capsys.disabled():
        print(f"\n    {name}: {verdict['cause']}", end="", flush=True)
    assert verdict["verdict"] == "DEVIATED" or starved(verdict), verdict
    assert all(words in str(verdict["cause"]) for words in said), verdict["cause"]
