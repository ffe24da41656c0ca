"""A folder with a game day of two experiments, the engine's door, and a cluster that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.cli.gameday import command
from harness.cluster.kubeconfig.access import Access
from harness.engine import contexts, run
from harness.engine.options import Options, Outcome
from harness.engine.undoing import fingerprint
from harness.errors import HarnessError
from harness.gameday import log, progress
from harness.gameday.log import Entry
from harness.journal.writer import Journal
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from tests.unit.engine.test_engine_scope import Server

OPTED_IN = {"metadata": {"labels": {"chaos-harness/allowed": "true"}}}
Ending = Verdict | BaseException | Callable[[Journal], None]
Door = Callable[..., list[Options]]
Go = Callable[..., Result]

EXPERIMENT = """\
title: One {what} is deleted
description: Deletes one pod.
method:
  - {{type: action, name: delete one, provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_kill,
      arguments: {{target: {{namespace: shop, selector: app={what}, pods: 1}}}}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 5s}}}}, blast-radius: {{namespaces: [shop], pods: 1}}}}
"""


def planned() -> dict[str, Any]:
    """Return a plan whose window is now."""
    now = datetime.now(UTC)
    begins, ends = ((now + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M") for hours in (-1, 1))
    return {
        "title": "Carts and webs go",
        "goals": ["nobody notices"],
        "window": {"from": begins, "to": ends, "timezone": "UTC"},
        "roles": {
            **{"owner": "Ada", "coordinator": "Grace", "driver": "Linus", "scribe": "Edith"},
            "approvers": ["Barbara", "Ken"],
        },
        "risks": ["calls fail"],
        "abort-when": ["customers call"],
        "rollback": "kubectl rollout restart",
        "communication": "in #gameday",
        "experiments": [
            {"file": "../shop/cart.yaml", "expected": "nobody notices"},
            {"file": "../shop/web.yaml", "expected": "nobody notices", "hold-point": "the scribe is ready"},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a day, with its plan and its experiments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    for name in ("HARNESS_GAMEDAY", "HARNESS_PROMETHEUS", "HARNESS_CONTEXTS"):
        monkeypatch.delenv(name, raising=False)
    for place in ("stack", "shop", "day"):
        (tmp_path / place).mkdir()
    (tmp_path / "stack" / "slo.yaml").write_text("latency: {p99: 1s}\n")
    for what in ("cart", "web"):
        (tmp_path / "shop" / f"{what}.yaml").write_text(EXPERIMENT.format(what=what))
    write(Path("day"), planned())
    return Path("day")


def write(folder: Path, plan: dict[str, Any]) -> None:
    (folder / "gameday.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))


@pytest.fixture
def gameday(folder: Path) -> Go:
    """Type a command of the game day."""

    def typed(verb: str, *words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(command, [verb, "-d", str(folder), *words], input=typed)

    return typed


@pytest.fixture
def approved(gameday: Go) -> None:
    for name in ("Barbara", "Ken"):
        assert gameday("approve", "--as", name).exit_code == 0


class Cluster(Server):
    """A cluster in which nothing happens but what is written to it."""

    access = Access("staging", "https://staging")

    def __init__(self) -> None:
        super().__init__({"/api/v1/namespaces/shop": OPTED_IN})
        self.fingerprint = {"deployments/shop/cart": "2"}
        self.pulled = threading.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def patch(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        found = await super().patch(path, body, **more)
        if path.endswith("/chaos-lever"):
            self.pulled.set()
        return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()

    async def take(*_: object) -> dict[str, str]:
        return dict(found.fingerprint)

    monkeypatch.setattr(contexts, "connect", lambda *_: (found, None))
    monkeypatch.setattr(fingerprint, "take", take)
    return found


@pytest.fixture
def door(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Answer the engine's door: what each run ends in, one after the other; gives the options that were seen."""

    def answer(*endings: Ending) -> list[Options]:
        calls: list[Options] = []
        each: Iterator[Ending] = iter(endings)

        def stand_in(experiment: Experiment, options: Options) -> Outcome:
            calls.append(options)
            found = next(each)
            if isinstance(found, BaseException):
                raise found
            identity = f"run-{len(list(options.runs.glob('*')))}"
            with Journal(options.runs / identity, identity) as journal:
                begin(journal, experiment.name)
                verdict = found if isinstance(found, Verdict) else Verdict.ABORTED
                if callable(found) and not isinstance(found, Verdict):
                    found(journal)
                end(journal, verdict)
            right = verdict is Verdict.PASS
            return Outcome(verdict, int(verdict.exit), right, identity, options.runs / identity, "VERDICT", 1.0, 0.1)

        monkeypatch.setattr(run, "run", stand_in)
        return calls

    return answer


def begin(journal: Journal, name: str) -> None:
    journal.write("run.start", "preflight", run=journal.run, experiment=name, expect="PASS")


def end(journal: Journal, verdict: Verdict) -> None:
    journal.write("finding", "judge", checker="recovery", state="held", recovery="1.4 s", summary="steady")
    right = verdict is Verdict.PASS
    reason = "" if right else "availability: lost <b>"
    journal.write("verdict", "judge", verdict=verdict, expected="PASS", right=right, reason=reason, seconds=2.0)
    journal.write("run.end", "judge")


def kept(folder: Path, *types: str) -> list[Entry]:
    """Return the log's entries of these types."""
    return [entry for entry in log.read(folder) if entry.type in types]


def go_on(gameday: Go) -> Result:
    """Give the coordinator's word for one hold point."""
    return gameday("go", "--continue", "--as", "Grace")


def ran(folder: Path) -> list[tuple[int, str]]:
    return [(entry.data["step"], entry.data["verdict"]) for entry in kept(folder, progress.END)]


def error(done: Result) -> HarnessError:
    assert isinstance(done.exception, HarnessError), done.output
    return done.exception
