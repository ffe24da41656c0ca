"""Hold the canary's judge against the live controller: `python -m bench.judge --count 150 --seed 1`.

Analyses are drawn by the seed, made as AnalysisRuns in a namespace of their own, some at a time, and answered by a
server there that goes by a script; the evaluator is given the same answers. Each difference is printed with both texts.
The exit code is 1 where something differs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from bench import tables
from bench.dying import place
from bench.dying.place import Place
from bench.dying.workload import until
from bench.judge import cases, judging, page, replies, server, watching
from bench.judge.cases import Case
from bench.judge.outcome import compare
from bench.judge.page import Row
from bench.stack_report import objects, site
from harness.analysis.syntax import Dialect
from harness.cli.up import refuse_during_a_run
from harness.cluster import paths
from harness.cluster.build import gobuild
from harness.cluster.kube import Kube
from harness.errors import ApiError, Exit, HarnessError, PreconditionFailed

PAGE = tables.ROOT / "docs" / "judge.md"
CONTROLLER = "argo-rollouts"
# Six ask some five times a second: nothing waits.
TOGETHER = 6
NOT_FOUND = 404


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse all cases, print each, and write the page; 1 where one was judged otherwise."""
    given = _options().parse_args(argv)
    began = time.monotonic()
    try:
        refuse_during_a_run()
        version, dialect = built()
        drawn = [one for one in cases.drawn(given.seed, given.count) if not given.only or one.number in given.only]
        rows = anyio.run(_judge, drawn, dialect, given.together)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    took = time.monotonic() - began
    print(f"{page.summary(rows)}; seed {given.seed}, {version}, {took:.0f} s")
    _keep(given.rows / f"judge-{given.seed}.jsonl", rows)
    # The page is of all of them.
    if not given.only:
        text = page.section(given.seed, version, dialect, rows, took, datetime.now(UTC))
        tables.on_top(PAGE, page.TITLE, text, tables.older(PAGE, page.TITLE))
    return int(not rows or not all(row.same for row in rows))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="analyses (150)")
    parser.add_argument("--seed", type=int, default=1, help="draws templates, answers and ends (1)")
    parser.add_argument("--together", type=int, default=TOGETHER, help=f"analyses at the same time ({TOGETHER})")
    parser.add_argument("--only", type=_numbers, default=[], metavar="N,N", help="these alone; no page is written")
    parser.add_argument("--rows", type=Path, default=Path("runs"), help="where each is kept with what came of it")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(one.removeprefix("c")) for one in text.split(",") if one]


def built() -> tuple[str, Dialect]:
    """Return the controller's version that the stack builds, and its dialect."""
    text = (gobuild.sources(CONTROLLER) / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"argoproj/argo-rollouts (v(\d+\.\d+)\.\S+)", text)
    if not found or found[2] not in {*Dialect}:
        raise PreconditionFailed("which Argo Rollouts the stack builds is not known", where="images/go/argo-rollouts")
    return found[1], Dialect(found[2])


async def _judge(drawn: Sequence[Case], dialect: Dialect, together: int) -> list[Row]:
    async with place.found() as here:
        await _delivered(here.kube)
        await site.mended(here)
        async with answering(here, drawn):
            return await analysed(here.kube, drawn, dialect, together, lambda row: print(_shown(row), flush=True))


async def _delivered(kube: Kube) -> None:
    hint = "harness up --parts core,delivery"
    try:
        found = await kube.get(paths.deployments(CONTROLLER, CONTROLLER))
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        raise PreconditionFailed("there is no controller of rollouts", where="the stack", hint=hint) from error
    if not (found.get("status") or {}).get("readyReplicas"):
        raise PreconditionFailed("the controller of rollouts is not ready", where=CONTROLLER, hint=hint)


def script(drawn: Sequence[Case]) -> Mapping[str, Any]:
    """Return what the server goes by."""
    return {
        "replies": {name: [one.status, one.body] for name, one in replies.REPLIES.items()},
        "cases": {str(case.number): case.script for case in drawn},
    }


def _files(drawn: Sequence[Case]) -> Mapping[str, str]:
    return {
        "server.py": Path(server.__file__).read_text(encoding="utf-8"),
        "script.json": json.dumps(script(drawn), separators=(",", ":")),
    }


@contextlib.asynccontextmanager
async def answering(here: Place, drawn: Sequence[Case]) -> AsyncIterator[None]:
    """Have the server that answers by the script of these, in a namespace that goes with it."""
    async with site.made(here, cases.NAMESPACE.removeprefix(f"{site.PREFIX}-")) as mine:
        container = {
            "command": ["python3", "-u", "/judge/server.py", "/judge/script.json"],
            "volumeMounts": [{"name": "judge", "mountPath": "/judge"}],
        }
        volumes = [{"name": "judge", "configMap": {"name": watching.SERVER}}]
        labels = {"app": watching.SERVER}
        await mine.put(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": watching.SERVER}, "data": _files(drawn)},
            objects.echo(mine.image, watching.SERVER, container=container, volumes=volumes),
            _by_name(objects.service(watching.SERVER, labels)),
        )
        await mine.ready(1)
        path = f"/api/v1/namespaces/{mine.namespace}/services/{watching.SERVER}:80/proxy/"
        await until(lambda: answered(mine.kube, path), site.READY_SECONDS, "an answer by the Service")
        yield


def _by_name(service: Mapping[str, Any]) -> dict[str, Any]:
    """Give a Service no address of its own: one that a node does not know yet is asked for outside of the cluster.

    Whoever answers there may keep the connection, and the controller asks on it again and again.
    """
    return {**service, "spec": {**service["spec"], "clusterIP": "None"}}


async def answered(kube: Kube, path: str) -> bool:
    """Say whether somebody answers there; raises HarnessError where nobody does."""
    await kube.get_text(path)
    return True


async def analysed(
    kube: Kube, drawn: Sequence[Case], dialect: Dialect, together: int, tell: Callable[[Row], None]
) -> list[Row]:
    """Have all analysed, so many at the same time, and those that differ once more, one after the other."""
    gate, rows = anyio.CapacityLimiter(together), dict[int, Row]()

    async def one(case: Case) -> None:
        async with gate:
            rows[case.number] = row = await _row(kube, case, dialect, 0)
        if row.same:
            tell(row)

    async with anyio.create_task_group() as group:
        for case in drawn:
            group.start_soon(one, case)
    for case in drawn:
        if not (before := rows[case.number]).same:
            row = await _row(kube, case, dialect, 1)
            row.first = "; ".join(page.told(before))
            rows[case.number] = row
            tell(row)
    return [rows[case.number] for case in drawn]


async def _row(kube: Kube, case: Case, dialect: Dialect, attempt: int) -> Row:
    here, seconds = judging.judged(case, dialect, attempt)
    row = Row(case, here)
    try:
        row.there = await watching.watched(kube, case, attempt, seconds)
    # One that cannot be watched is told, and the others go on.
    except TimeoutError:
        row.why = f"it had not ended {watching.GRACE_SECONDS:.0f} s after it should have"
        return row
    except (HarnessError, watching.Late) as error:
        row.why = " ".join(str(error).split())
        return row
    found = compare(here, row.there, case.script, replies.WORDED_OTHERWISE)
    row.differences, row.worded = found.differences, found.worded
    return row


def _shown(row: Row) -> str:
    first = [f"  at first {row.first}"] if row.first else []
    return "\n".join([page.line(row), *first, *(f"  {one}" for one in page.told(row))])


def _keep(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
