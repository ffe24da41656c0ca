"""Prove by behaviour what the seed says of mesh, canary, autoscaling and placement: `python -m bench.stack_report`.

Each row provokes something on the running cluster and says what was seen. What is made for it lives in namespaces of
its own or is undone. The exit code is 1 where a row failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from bench import tables
from bench.dying import place
from bench.dying.place import Place
from bench.stack_report import canary, elsewhere, mesh, page, placement, row, scaling, site
from bench.stack_report.row import Result, Subject
from harness.cli.up import refuse_during_a_run
from harness.errors import Exit, HarnessError, PreconditionFailed
from harness.stack import apply
from harness.stack import parts as known

PAGE = tables.ROOT / "docs" / "stack.md"
SUBJECTS = (mesh.SUBJECT, canary.SUBJECT, scaling.SUBJECT, placement.SUBJECT, elsewhere.SUBJECT)


def main(argv: Sequence[str] | None = None) -> int:
    """Prove the rows, print each, and write the page; 1 where one failed."""
    given = _options().parse_args(argv)
    began = time.monotonic()
    try:
        subjects = row.chosen(SUBJECTS, given.only)
        known.check(given.parts)
        refuse_during_a_run()
        results, parts = anyio.run(_report, subjects, given.parts)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    print(f"{page.summary(results, parts)} {time.monotonic() - began:.0f} s.")
    # The page is of all rows: some of them alone are written only where somebody says where.
    out = given.out or (None if given.only else PAGE)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = out.with_suffix(".new")
        fresh.write_text(page.draw(subjects, results, parts, datetime.now(UTC)), encoding="utf-8")
        fresh.replace(out)
    return row.code(results)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.stack_report", description=__doc__)
    parser.add_argument(
        "--parts", type=_words, default=[], metavar="PART,PART", help="rows of these; those that are up"
    )
    parser.add_argument("--only", type=_words, default=[], metavar="ROW,ROW", help="rows whose names begin so")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the table goes: docs/stack.md without --only")
    return parser


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


async def _report(subjects: Sequence[Subject], wanted: Sequence[str]) -> tuple[list[Result], list[str]]:
    async with place.found() as here:
        up = apply.parts(await apply.remembered(here.kube))
        if lacking := [part for part in wanted if part not in up]:
            hint = f"harness up --parts {','.join(known.closed(wanted))}"
            raise PreconditionFailed(f"not up: {', '.join(lacking)}", where="the stack", hint=hint)
        if not up:
            raise PreconditionFailed("the stack is not up", where=here.cluster.name, hint="harness up")
        parts = [part for part in up if not wanted or part in known.closed(wanted)]
        await site.mended(here)
        return await _subjects(subjects, here, parts), parts


async def _subjects(subjects: Sequence[Subject], here: Place, parts: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    for subject in subjects:
        results += await row.prove(subject, here, parts, lambda one: print(page.line(one), flush=True))
    return results


if __name__ == "__main__":
    sys.exit(main())
