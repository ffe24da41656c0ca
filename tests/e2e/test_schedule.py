"""A scheduler on the real cluster: it kills what opted in, again and again, and ends as it should whoever ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import kubeconfig, paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.documents import imports
from harness.documents.imports import Wanted
from harness.errors import HarnessError
from harness.resources import crds
from harness.schedule import log, manifest
from tests.e2e.live import HARNESS, ROOT, asked, events, harness, verdict_of
from tests.e2e.namespaces import emptied
from tests.e2e.test_kubeconfig import RBAC, named, token_of
from tests.e2e.victims import server, until

pytestmark = pytest.mark.e2e
NAMESPACE = "t-schedule"
OPT_IN = "chaos.alpha.kubernetes.io/enabled"
CONTEXT = "t-scheduler"
Act = Callable[[Callable[[Kube], Any]], Any]


def document(folder: Path, hold: str = "0s") -> Path:
    """Write what the seed tells chaoskube as an experiment, every ten seconds and at any hour."""
    seed = folder / "chaos.yaml"
    seed.write_text((ROOT / "stack" / "seed" / "chaos.yaml").read_text().split("\n---\n")[0])
    (made,) = imports.read([seed], Wanted(namespaces=(NAMESPACE,)))
    found = yaml.safe_load(made.text)
    found["extensions"][0]["schedule"] = {"every": "10s"}
    found["extensions"][0]["phases"] = {"baseline": "0s", "hold": hold}
    path = folder / "shop" / f"{made.name}.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(found))
    return path


def web(image: str, name: str, annotations: dict[str, str]) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [server(image)]}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    return named(
        *("apps/v1", "Deployment", name),
        spec={"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    )


@pytest.fixture(scope="module")
def shop(cluster: LocalCluster, image: str) -> Iterator[Act]:
    """Two web servers that opted in and two that did not; gives a way to ask the cluster as an administrator."""

    act = partial(asked, cluster)

    async def make(kube: Kube) -> None:
        await crds.install(kube)
        await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", named("v1", "Namespace", NAMESPACE), kind="apply")
        for name, opted in (("tame", {OPT_IN: "true"}), ("wild", {OPT_IN: "false"})):
            await kube.patch(paths.deployments(NAMESPACE, name), web(image, name, opted), kind="apply")

        async def ready() -> bool:
            items = await kube.list(paths.deployments(NAMESPACE))
            return [item.get("status", {}).get("readyReplicas") for item in items] == [2, 2]

        await until(ready)

    try:
        act(make)
        yield act
    finally:
        act(lambda kube: emptied(kube, NAMESPACE))


def uids(shop: Act, name: str) -> set[str]:
    async def look(kube: Kube) -> set[str]:
        return {pod["metadata"]["uid"] for pod in await kube.list(paths.pods(NAMESPACE), labels=f"app={name}")}

    found: set[str] = shop(look)
    return found


class Scheduler:
    """One scheduler, as a process that may be ended."""

    def __init__(self, folder: Path, file: Path, *words: str, environment: dict[str, str] | None = None) -> None:
        self.runs = folder / "runs"
        argv = [*HARNESS, "schedule", str(file), "--seed", "7", "--runs", str(self.runs), *words]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def ticks(self, state: str) -> list[dict[str, Any]]:
        try:
            lines = (self.runs / log.FILE).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [tick for line in lines if (tick := json.loads(line))["state"] == state]

    def wait(self, true: Callable[[], Any], seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, f"not seen within {seconds:g} s"
            time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        told, _ = self.process.communicate(timeout=120)
        return self.process.returncode, told


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Scheduler]]:
    """A way to begin schedulers, each of which has ended when the test has, whatever became of it."""
    begun: list[Scheduler] = []

    def scheduler(*words: Any, **more: Any) -> Scheduler:
        begun.append(Scheduler(tmp_path, *words, **more))
        return begun[-1]

    yield scheduler
    try:
        for one in begun:
            if one.process.poll() is None:
                one.end()
    finally:
        for one in begun:
            one.process.kill()


def injected(runs: Path) -> bool:
    return any(
        event["type"] == "fault.injected"
        for journal in runs.glob("*/journal.jsonl")
        for event in events(journal.parent)
    )


def test_what_the_seed_tells_chaoskube_is_done_again_and_again_as_runs(
    as_found: None, shop: Act, begin: Callable[..., Scheduler], tmp_path: Path
) -> None:
    wild = uids(shop, "wild")
    scheduler = begin(document(tmp_path))
    scheduler.wait(lambda: len(scheduler.ticks(log.RAN)) >= 2)
    code, told = scheduler.end()
    ran = scheduler.ticks(log.RAN)
    assert code in (0, 130), told  # 130 where a third run was under way
    assert uids(shop, "wild") == wild
    assert len({tick["seed"] for tick in ran}) == len(ran)
    for tick in ran[:2]:
        directory = scheduler.runs / tick["run"]
        assert verdict_of(directory)["verdict"] == "PASS", told
        kinds = [event["type"] for event in events(directory)]
        assert {"plan", "fault.injected", "fault.felt", "fault.healed"} <= {*kinds}
        (touched,) = [event["data"] for event in events(directory) if event["type"] == "fault.injected"]
        assert str(touched["victim"]).startswith(f"{NAMESPACE}/tame-")
        assert [event["data"]["seed"] for event in events(directory) if event["type"] == "run.start"] == [tick["seed"]]


def test_sigterm_in_the_middle_of_a_run_undoes_it_and_ends_the_scheduler(
    as_found: None, shop: Act, begin: Callable[..., Scheduler], tmp_path: Path
) -> None:
    scheduler = begin(document(tmp_path, hold="120s"))
    scheduler.wait(lambda: injected(scheduler.runs))
    code, told = scheduler.end()
    assert code == 130, told
    (tick,) = scheduler.ticks(log.RAN)
    assert tick["verdict"] == "ABORTED"
    assert "SIGTERM was received" in tick["why"]
    assert "SIGTERM: the schedule has ended" in told


def test_the_lever_holds_a_scheduler_up_and_lets_it_go_on(
    as_found: None, shop: Act, begin: Callable[..., Scheduler], tmp_path: Path
) -> None:
    harness("lever", "on", "--reason", "a test")
    try:
        scheduler = begin(document(tmp_path))
        scheduler.wait(lambda: scheduler.ticks(log.REFUSED))
        assert "the lever is on" in scheduler.ticks(log.REFUSED)[0]["why"]
        assert not injected(scheduler.runs)
    finally:
        harness("lever", "off")
    scheduler.wait(lambda: scheduler.ticks(log.RAN))
    scheduler.end()


def test_a_scheduler_that_comes_back_counts_what_it_missed_and_does_not_make_up_for_it(
    as_found: None, shop: Act, begin: Callable[..., Scheduler], tmp_path: Path
) -> None:
    path = document(tmp_path)
    first = begin(path, "--dry-run")
    first.wait(lambda: first.ticks(log.PLANNED))
    first.end(signal.SIGKILL)
    # As if it had been away for an hour since.
    path_of_log = first.runs / log.FILE
    last = json.loads(path_of_log.read_text().splitlines()[-1])
    long_ago = log.shown(datetime.fromisoformat(last["at"]) - timedelta(hours=1))
    path_of_log.write_text(json.dumps({**last, "at": long_ago}) + "\n")
    again = begin(path, "--dry-run")
    again.wait(lambda: again.ticks(log.MISSED))
    again.end()
    (missed, *_) = again.ticks(log.MISSED)
    assert missed["why"] == "the scheduler was away"
    assert missed["count"] >= 360
    assert len(again.ticks(log.PLANNED)) <= 2


def test_the_manifests_rights_are_enough_for_the_scheduler(
    as_found: None, shop: Act, begin: Callable[..., Scheduler], cluster: LocalCluster, tmp_path: Path
) -> None:
    path = document(tmp_path)
    printed = harness("schedule", str(path), "--manifest", "--seed", "7").stdout
    found = {one["kind"]: one for one in yaml.safe_load_all(printed)}
    access = kubeconfig.load(cluster.kubeconfig, cluster.context)
    place = f"{RBAC}/namespaces/{NAMESPACE}"

    async def grant(kube: Kube) -> str:
        await kube.patch(f"/api/v1/namespaces/{manifest.NAME}", found["Namespace"], kind="apply")
        await kube.patch(f"{place}/roles/{manifest.NAME}", found["Role"], kind="apply")
        await kube.patch(f"{place}/rolebindings/{manifest.NAME}", found["RoleBinding"], kind="apply")
        # What the API server takes as it stands, it would run.
        for kind, where in (
            ("ConfigMap", f"/api/v1/namespaces/{manifest.NAME}/configmaps"),
            ("PersistentVolumeClaim", f"/api/v1/namespaces/{manifest.NAME}/persistentvolumeclaims"),
            ("Deployment", f"/apis/apps/v1/namespaces/{manifest.NAME}/deployments"),
        ):
            await kube.patch(f"{where}/{manifest.NAME}", found[kind], kind="apply", dryRun="All")
        return await token_of(kube, manifest.NAME, manifest.NAME)

    async def take_back(kube: Kube) -> None:
        await emptied(kube, manifest.NAME)
        for kind in ("rolebindings", "roles"):
            with contextlib.suppress(HarnessError):
                await kube.delete(f"{place}/{kind}/{manifest.NAME}")

    try:
        (tmp_path / "token").write_text(shop(grant))
        (tmp_path / "ca.pem").write_bytes(access.ca)
        config = {
            "clusters": [{"name": "c", "cluster": {"server": access.server, "certificate-authority": "ca.pem"}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        environment = {
            **os.environ,
            **{"HARNESS_CONTEXTS": CONTEXT, "HARNESS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
        }
        words = ("--context", CONTEXT, "--kubeconfig", str(tmp_path / "config"))
        scheduler = begin(path, *words, environment=environment)
        scheduler.wait(lambda: scheduler.ticks(log.RAN) or scheduler.ticks(log.REFUSED))
        _, told = scheduler.end()
        assert not scheduler.ticks(log.REFUSED), told
        assert scheduler.ticks(log.RAN)[0]["verdict"] == "PASS", told
    finally:
        shop(take_back)
