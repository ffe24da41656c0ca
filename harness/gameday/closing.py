"""Close the day: nothing is left broken, everything is as it was found, and each deviation has its answer."""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from harness.engine import contexts
from harness.engine.options import Options
from harness.engine.preflight import scope as scopes
from harness.engine.undoing import fingerprint
from harness.errors import UndoFailed, UsageError
from harness.gameday import conduct, log, looking, plan, progress, results
from harness.gameday.plan import GameDay

# What a healer does once more after a run has died is over by then.
SETTLED_SECONDS = 30.0
LOOK_EVERY = 1.0


def close(folder: Path, who: str, options: Options, *, differs: str = "") -> list[Path]:
    """Close the day, write its results and return their files.

    `differs` says why the cluster is not as it was found, and may stay so. Raises UndoFailed while anything is broken
    or, with no such word, differs; UsageError while a deviation has no answer.
    """
    with conduct.alone(folder):
        conduct.mend(folder)
        day = plan.read(folder)
        states = progress.fold(day, log.read(folder))
        undone, changed = anyio.run(_undone, day, options)
        if changed and not differs:
            raise UndoFailed(
                "the cluster is not as it was found",
                where=str(folder / conduct.FINGERPRINT),
                why="; ".join(changed),
                hint='mend it, or `--differs "..."` says why it may stay so',
            )
        wanting = [(one.step, said) for one in states for said in one.unanswered]
        if wanting:
            raise UsageError(
                f"{len(wanting)} deviation{'s' * (len(wanting) > 1)} without an answer",
                where=str(folder / log.FILE),
                why="; ".join(f"step {step.number}, {step.name}: {said}" for step, said in wanting),
                hint=f"harness gameday note --step {wanting[0][0].number} --owner NAME --due DATE TEXT, or --accept",
            )
        said = {"undone": undone, "changed": changed, "differs": differs if changed else ""}
        log.append(folder, progress.CLOSED, who, hash=day.hash, **said)
        return results.write(day, log.read(folder))


async def _undone(day: GameDay, options: Options) -> tuple[str, list[str]]:
    """Say how it was seen that nothing is left, and what differs from how it was found."""
    kube, _ = contexts.connect(options.kubeconfig, options.context)
    async with kube:
        scope = await scopes.find(kube, day.steps[0].experiment)
        await looking.nobody_else(kube, scope)
        await looking.nothing_left(kube, scope)
    path = day.folder / conduct.FINGERPRINT
    if not path.exists():
        return "nothing is broken on purpose; no step was run, so nothing was compared", []
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError("this is no fingerprint", where=str(path), why=str(error), hint="is it in git?") from None
    deadline = anyio.current_time() + SETTLED_SECONDS
    while True:
        changed = fingerprint.difference(before, await looking.fingerprint(day, options))
        if not changed or anyio.current_time() >= deadline:
            return "nothing is broken on purpose; compared with the fingerprint from before the first step", changed
        await anyio.sleep(LOOK_EVERY)
