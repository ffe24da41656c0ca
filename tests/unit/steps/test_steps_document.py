"""A whole document in the child: what it takes from elsewhere, its controls, what runs beside, what asks for an end."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.steps.worker import Worker

MODULE = """
import os, time
from pathlib import Path

from chaoslib.exceptions import InterruptExecution
from chaoslib.exit import exit_gracefully

LOG = Path(__file__).with_name("log")

def note(line):
    with LOG.open("a") as log:
        log.write(line + "\\n")

def mark(name, value="done", secrets=None):
    note(name)
    return value

def told(name, secrets=None):
    return {"inside": f"the token is {(secrets or {}).get('token')}"}

def wait_for(name):
    note("waiting")
    while name not in LOG.read_text().split():
        time.sleep(0.01)
    return "seen"

def stop():
    exit_gracefully()
    time.sleep(600)

def ring():
    found = []
    found.append(found)
    return found

def unfit():
    return {("a", "b"): 1}

def configure_control(broken=False):
    if broken:
        raise ValueError("no such thing")
    note("configured")

def before_activity_control(context):
    note(f"before {context['name']}")
    if context["name"] == "forbidden":
        raise InterruptExecution("not this one")

def after_activity_control(context, state):
    note(f"after {context['name']} {state['status']}")
"""
CONTROL = {"name": "c", "provider": {"type": "python", "module": "own_steps"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_steps.py").write_text(MODULE)
    return tmp_path


def step(func: str, name: str = "", kind: str = "action", **more: Any) -> dict[str, Any]:
    arguments = more.pop("arguments", {"name": name or func} if func in ("mark", "told", "wait_for") else {})
    provider = {"type": "python", "module": "own_steps", "func": func, "arguments": arguments}
    return {"type": kind, "name": name or func, "provider": provider, **more}


def of(*method: Any, **top: Any) -> dict[str, Any]:
    return {"title": "x", "description": "x", "method": list(method), "controls": [], "rollbacks": [], **top}


def during(folder: Path, act: Callable[[Worker], Awaitable[Any]], **env: str) -> Any:
    async def main() -> Any:
        async with Worker(env=env, cwd=folder) as worker:
            with anyio.fail_after(60):
                return await act(worker)

    return anyio.run(main)


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


NOWHERE = {"type": "python", "module": "nowhere"}
BROKEN = {"name": "c", "provider": {"type": "python", "module": "own_steps", "arguments": {"broken": True}}}
FAILING = {"type": "probe", "name": "a", "provider": {"type": "process", "path": "false"}}
REFUSED = [
    (of({"type": "action", "name": "a", "provider": NOWHERE | {"func": "f"}}), "nowhere"),
    (of(step("missing")), "missing"),
    (of(step("mark", arguments={"name": "a", "valu": 1})), "valu"),
    (of({"type": "action", "name": "a", "provider": {"type": "process", "path": "/no/such"}}), "/no/such"),
    (of(controls=[{"name": "c", "provider": NOWHERE}]), "cannot be imported"),
    (of(controls=[BROKEN]), "cannot be set up: ValueError: no such thing"),
    (of(configuration={"a": FAILING}), "gave no value"),
    (of(secrets={"k8s": {"KUBERNETES_CONTEXT": "elsewhere"}}), "name another cluster context than"),
    (of(secrets={"k8s": {"KUBERNETES_HOST": "https://x"}}), "by its host"),
    (of(secrets={"k8s": {"KUBERNETES_API_KEY": "x"}}), "say who asks a cluster, KUBERNETES_API_KEY"),
    (of(secrets={"k8s": {"KUBERNETES_CONTEXT": "this", "KUBERNETES_USERNAME": "x"}}), "KUBERNETES_USERNAME"),
]


def begun(folder: Path, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    """Begin one document after the other in a run on the context `this`."""

    async def act(worker: Worker) -> Any:
        return [await worker.begin(document, deadline=30) for document in documents]

    found: list[dict[str, Any]] = during(folder, act, HARNESS_CONTEXT="this")
    return found


def test_what_would_not_be_done_is_refused_before_anything_is(folder: Path) -> None:
    answers = begun(folder, *(document for document, _ in REFUSED))
    for (_, words), found in zip(REFUSED, answers, strict=True):
        assert (found["status"], words in found["error"]) == ("failed", True), found
    assert log(folder) == []


def test_secrets_of_the_runs_own_cluster_are_fine(folder: Path) -> None:
    secrets = [{"k8s": {"KUBERNETES_CONTEXT": context}} for context in ("this", "", None)]
    answers = begun(folder, *(of(secrets=each) for each in secrets))
    assert [found["status"] for found in answers] == ["succeeded"] * 3


def test_a_secret_reaches_its_step_and_not_the_answer(folder: Path) -> None:
    asked = step("told")
    asked["provider"]["secrets"] = ["group"]

    async def act(worker: Worker) -> Any:
        await worker.begin(of(asked, secrets={"group": {"token": {"type": "env", "key": "TOKEN"}}}), deadline=30)
        return await worker.call(asked, deadline=30)

    assert during(folder, act, TOKEN="open sesame")["output"] == {"inside": "the token is [redacted]"}


def test_what_runs_in_the_background_runs_beside_the_next_step(folder: Path) -> None:
    late, soon = step("wait_for", "soon", arguments={"name": "soon"}), step("mark", "soon")

    async def act(worker: Worker) -> Any:
        await worker.begin(of(late, soon), deadline=30)
        answers: list[Any] = []

        async def beside(sent: anyio.Event) -> None:
            answers.append(await worker.call(late, deadline=30, sent=sent))

        async with anyio.create_task_group() as together:
            sent = anyio.Event()
            together.start_soon(beside, sent)
            await sent.wait()
            answers.append(await worker.call(soon, deadline=30))
        return [answer["output"] for answer in answers]

    assert during(folder, act) == ["done", "seen"]


def test_a_background_step_that_outlasts_its_deadline_ends_the_child_and_all_hear_of_it(folder: Path) -> None:
    async def act(worker: Worker) -> Any:
        answers: dict[str, Any] = {}

        async def ask(name: str, deadline: float, sent: anyio.Event) -> None:
            never = step("wait_for", name, arguments={"name": "never"})
            answers[name] = await worker.call(never, deadline=deadline, sent=sent)

        async with anyio.create_task_group() as together:
            for name, deadline in (("long", 30.0), ("short", 0.5)):
                sent = anyio.Event()
                together.start_soon(ask, name, deadline, sent)
                await sent.wait()
        return {name: answer["status"] for name, answer in answers.items()}

    assert during(folder, act) == {"short": "timed out", "long": "failed"}


@pytest.mark.case(14, "a control of somebody else's", "called at every level, or refused")
def test_a_control_is_called_around_each_step_and_may_interrupt_the_run(folder: Path) -> None:
    async def act(worker: Worker) -> Any:
        await worker.begin(of(step("mark"), controls=[CONTROL]), deadline=30)
        return [await worker.call(step("mark", name), deadline=30) for name in ("one", "forbidden")]

    one, forbidden = during(folder, act)
    assert (one["status"], forbidden["status"], forbidden["error"]) == ("succeeded", "interrupted", "not this one")
    assert log(folder) == ["configured", "before one", "one", "after one succeeded", "before forbidden"]


def test_a_step_may_ask_for_the_end_of_the_run_as_chaos_toolkits_own_function_does(folder: Path) -> None:
    async def act(worker: Worker) -> Any:
        stopped = await worker.call(step("stop"), deadline=30)
        return stopped, await worker.call(step("mark", "after"), deadline=30)

    stopped, after = during(folder, act)
    assert stopped["status"] == "interrupted"
    assert "SIGUSR1" in stopped["error"]
    assert after["status"] == "succeeded"


def test_an_end_that_is_asked_for_between_two_steps_is_known_and_no_further_step_begins(folder: Path) -> None:
    async def act(worker: Worker) -> Any:
        await worker.begin(of(step("mark"), controls=[CONTROL]), deadline=30)
        assert worker.pid
        os.kill(worker.pid, signal.SIGUSR1)
        asked = ""
        while not asked:
            asked = (await worker.ask("pending", deadline=30, sent=anyio.Event()))["output"]
        entered = await worker.ask("enter", deadline=30, level="activity", context={"name": "one"})
        back = await worker.call(step("mark", "back"), deadline=30, role="rollbacks")
        return asked, entered["status"], back["status"]

    asked, entered, back = during(folder, act)
    assert ("SIGUSR1" in asked, entered, back) == (True, "interrupted", "succeeded")
    assert log(folder) == ["configured", "before back", "back", "after back succeeded"]


def test_a_control_that_adds_steps_is_told_that_they_are_not_run(folder: Path) -> None:
    (folder / "adding.py").write_text(
        "def after_activity_control(context, experiment, state):\n    experiment['method'].append(dict(context))\n"
    )
    adding = {"name": "a", "provider": {"type": "python", "module": "adding"}}

    async def act(worker: Worker) -> Any:
        await worker.begin(of(step("mark"), controls=[adding]), deadline=30)
        return await worker.call(step("mark"), deadline=30)

    found = during(folder, act)
    assert (found["status"], found["fatal"]) == ("failed", True)
    assert "added or removed steps" in found["error"]


def test_a_child_that_was_cut_is_followed_by_one_that_knows_the_document(folder: Path) -> None:
    async def act(worker: Worker) -> Any:
        await worker.begin(of(step("mark"), controls=[CONTROL]), deadline=30)
        cut = await worker.call(step("wait_for", "stuck", arguments={"name": "unwritten"}), deadline=0.5)
        return cut["status"], (await worker.call(step("mark", "back"), deadline=30, role="rollbacks"))["status"]

    assert during(folder, act) == ("timed out", "succeeded")
    assert log(folder).count("configured") == 2
    assert log(folder)[-2:] == ["back", "after back succeeded"]


def test_an_answer_that_json_cannot_hold_is_told_as_text(folder: Path) -> None:
    half = step("mark", arguments={"name": "half", "value": "half \ud800 of it"})

    async def act(worker: Worker) -> Any:
        return [await worker.call(asked, deadline=30) for asked in (step("ring"), half, step("unfit"))]

    found = during(folder, act)
    assert [answer["status"] for answer in found] == ["succeeded"] * 3
    assert [answer["output"] for answer in found] == ["[[...]]", "half ? of it", "{('a', 'b'): 1}"]
