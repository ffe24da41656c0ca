from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster import command
from harness.steps.worker import Worker, run

MODULE = """
import os, subprocess, sys, time
from pathlib import Path

calls = 0

def add(a, b):
    return a + b

def count():
    global calls
    calls += 1
    return calls

def fail(message="no"):
    raise ValueError(message)

def hang(mark):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(mark).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)

def chatter():
    print("noise on standard output", flush=True)
    os.write(1, b"more noise\\n")
    return "quiet"

def listen():
    return sys.stdin.read()

def leave(status):
    sys.exit(status)

def die():
    os._exit(3)

def environment(name):
    return os.environ.get(name)

def configured(configuration=None):
    return configuration

def heavy():
    return sorted({"anyio", "httpx", "kubernetes"} & set(sys.modules))
"""


CONFIGURED = {"title": "x", "description": "x", "configuration": {"url": "x"}, "method": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "step_probes.py").write_text(MODULE)
    return tmp_path


def _python(func: str, tolerance: Any = None, **arguments: Any) -> dict[str, Any]:
    activity: dict[str, Any] = {
        "type": "probe",
        "name": func,
        "provider": {"type": "python", "module": "step_probes", "func": func, "arguments": arguments},
    }
    return activity if tolerance is None else {**activity, "tolerance": tolerance}


def _run(folder: Path, *activities: dict[str, Any], **env: str) -> list[dict[str, Any]]:
    async def main() -> list[dict[str, Any]]:
        async with Worker(env=env, cwd=folder) as worker:
            return [await worker.call(activity, deadline=30) for activity in activities]

    return anyio.run(main)


async def _started(mark: Path) -> list[int]:
    with anyio.fail_after(120):
        while not mark.exists() or len(mark.read_text().split()) < 2:
            await anyio.sleep(0.01)
    return [int(word) for word in mark.read_text().split()]


async def _gone(pids: list[int]) -> None:
    with anyio.fail_after(30):
        while any(_alive(pid) for pid in pids):
            await anyio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_activity_gives_its_output_and_how_long_it_took(folder: Path) -> None:
    [result] = _run(folder, _python("add", a=1, b=2))
    assert (result["status"], result["output"], result["error"]) == ("succeeded", 3, None)
    assert result["duration"] >= 0
    assert result["tolerance_met"] is None


def test_tolerances_are_chaos_toolkits_own(folder: Path) -> None:
    met = [3, [2, 3], {"type": "range", "range": [3, 20]}]
    unmet = [4, {"type": "range", "range": [4, 20]}]
    results = _run(folder, *(_python("add", tolerance, a=1, b=2) for tolerance in [*met, *unmet]))
    assert [result["tolerance_met"] for result in results] == [True] * 3 + [False] * 2


@pytest.mark.case(16, "a jsonpath tolerance", "works")
def test_a_part_of_an_answer_is_compared_by_its_path(folder: Path) -> None:
    path = {"type": "jsonpath", "path": "$[*].status"}
    met, unmet = ({"count": 2}, {"expect": ["up", "down"]}), ({"count": 3}, {"expect": ["up"]})
    pods: dict[str, Any] = {"a": [{"status": "up"}], "b": [{"status": "down"}]}
    results = _run(folder, *(_python("add", path | compared, **pods) for compared in (*met, *unmet)))
    assert [result["tolerance_met"] for result in results] == [True, True, False, False]


def test_a_child_waits_for_nothing_that_only_the_engine_needs(folder: Path) -> None:
    assert _run(folder, _python("heavy"))[0]["output"] == []


def test_a_worker_stays_warm_between_activities(folder: Path) -> None:
    results = _run(folder, *[_python("count")] * 3)
    assert [result["output"] for result in results] == [1, 2, 3]


def test_an_activity_that_fails_says_why_and_spares_the_worker(folder: Path) -> None:
    elsewhere = {"type": "python", "module": "nowhere", "func": "f"}
    failing = {
        "ValueError: the disk is full": _python("fail", message="the disk is full"),
        "SystemExit": _python("leave", status=2),
        "missing": _python("missing"),
        "nowhere": {"type": "probe", "name": "x", "provider": elsewhere},
    }
    results = _run(folder, *(step for activity in failing.values() for step in (activity, _python("count"))))
    for words, failed in zip(failing, results[::2], strict=True):
        assert (failed["status"], words in failed["error"]) == ("failed", True), failed
    assert [after["output"] for after in results[1::2]] == [1, 2, 3, 4]


def test_what_an_activity_prints_or_reads_does_not_disturb_the_answers(folder: Path) -> None:
    results = _run(folder, _python("chatter"), _python("listen"), _python("count"))
    assert [result["output"] for result in results] == ["quiet", "", 1]


def test_a_worker_that_dies_is_replaced(folder: Path) -> None:
    died, after = _run(folder, _python("die"), _python("count"))
    assert died["status"] == "failed"
    assert "ended" in died["error"]
    assert after["output"] == 1


def test_a_process_activity_runs_as_in_chaos_toolkit(folder: Path) -> None:
    provider = {"type": "process", "path": sys.executable, "arguments": ["-c", "print('out')"]}
    [result] = _run(folder, {"type": "probe", "name": "p", "provider": provider, "tolerance": 0})
    assert (result["status"], result["output"]["status"], result["tolerance_met"]) == ("succeeded", 0, True)
    assert result["output"]["stdout"].strip() == "out"


def test_the_deadline_kills_the_activity_and_all_it_started(folder: Path) -> None:
    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with Worker(cwd=folder) as worker:
            await worker.call(_python("count"), deadline=30)
            cut = await worker.call(_python("hang", mark=str(folder / "mark")), deadline=5)
            await _gone(await _started(folder / "mark"))
            return cut, await worker.call(_python("count"), deadline=30)

    cut, after = anyio.run(main)
    assert cut["status"] == "timed out"
    assert "5 s" in cut["error"]
    assert after["output"] == 1


def test_whoever_waits_until_a_step_is_told_hears_of_one_whose_time_is_over_before(folder: Path) -> None:
    async def main() -> tuple[str, bool]:
        sent = anyio.Event()
        async with Worker(cwd=folder) as worker:
            cut = await worker.call(_python("count"), deadline=0, sent=sent)
        return cut["status"], sent.is_set()

    assert anyio.run(main) == ("timed out", True)


def test_cancelling_kills_the_activity_and_all_it_started(folder: Path) -> None:
    async def main() -> dict[str, Any]:
        async with Worker(cwd=folder) as worker:
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    await worker.call(_python("hang", mark=str(folder / "mark")), deadline=600)

                group.start_soon(call)
                pids = await _started(folder / "mark")
                group.cancel_scope.cancel()
            await _gone(pids)
            return await worker.call(_python("count"), deadline=30)

    assert anyio.run(main)["output"] == 1


def test_nothing_outlives_an_engine_that_was_killed(folder: Path) -> None:
    program = (
        "import anyio, sys; from pathlib import Path; from harness.steps.worker import run\n"
        "provider = {'type': 'python', 'module': 'step_probes', 'func': 'hang', 'arguments': {'mark': sys.argv[1]}}\n"
        "activity = {'type': 'probe', 'name': 'hang', 'provider': provider}\n"
        "anyio.run(lambda: run(activity, deadline=600, cwd=Path(sys.argv[2])))\n"
    )

    async def main() -> None:
        mark = folder / "mark"
        with subprocess.Popen([sys.executable, "-c", program, str(mark), str(folder)]) as engine:
            pids = await _started(mark)
            engine.kill()
        await _gone(pids)

    anyio.run(main)


def test_leaving_the_worker_ends_its_process(folder: Path) -> None:
    async def main() -> int:
        async with Worker(cwd=folder) as worker:
            provider = {"type": "python", "module": "os", "func": "getpid"}
            result = await worker.call({"type": "probe", "name": "pid", "provider": provider}, deadline=30)
        return int(result["output"])

    assert not _alive(anyio.run(main))


def test_the_runs_cluster_is_named_to_every_tool(folder: Path) -> None:
    names = ("KUBECONFIG", "KUBERNETES_CONTEXT", "HARNESS_CONTEXT")
    results = _run(
        folder,
        *[_python("environment", name=name) for name in names],
        HARNESS_KUBECONFIG="/tmp/kubeconfig",
        HARNESS_CONTEXT="kind-x",
    )
    assert [result["output"] for result in results] == ["/tmp/kubeconfig", "kind-x", "kind-x"]


def test_configuration_reaches_the_activity(folder: Path) -> None:
    async def main() -> dict[str, Any]:
        async with Worker(cwd=folder) as worker:
            begun = await worker.begin(CONFIGURED, deadline=30)
            assert begun["status"] == "succeeded", begun["error"]
            return await worker.call(_python("configured"), deadline=30)

    assert anyio.run(main)["output"] == {"url": "x"}


def test_one_activity_can_run_without_a_worker_of_its_own(folder: Path) -> None:
    async def main() -> dict[str, Any]:
        return await run(_python("environment", name="STEP"), deadline=30, env={"STEP": "yes"}, cwd=folder)

    assert anyio.run(main)["output"] == "yes"
    assert "STEP" not in os.environ


def test_files_of_the_working_directory_that_are_called_like_ours_change_nothing(tmp_path: Path) -> None:
    for name in ("json", "queue", "chaoslib"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    (tmp_path / "mine.py").write_text("def two():\n    return 2\n")
    provider = {"type": "python", "module": "mine", "func": "two"}
    result = anyio.run(lambda: run({"type": "action", "name": "x", "provider": provider}, deadline=60, cwd=tmp_path))
    assert (result["status"], result["output"], result["error"]) == ("succeeded", 2, None)


ROOT = Path(command.__file__).parents[2]
THEIRS = "raise RuntimeError('not this one')\n"
# Without this checkout in it, as wherever the harness is installed: the installed one is found after the folder.
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize("files", ["random.py harness.py probes.py", "harness/__init__.py", "harness/load.py"])
def test_the_load_starts_wherever_that_is(tmp_path: Path, files: str) -> None:
    for file in files.split():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(THEIRS)
    argv = command.module("harness.load")
    done = subprocess.run(argv, cwd=tmp_path, env=INSTALLED, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (4, b"")
    assert b"standard input ended before its first line" in done.stdout


def test_probes_of_the_working_directory_are_found_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "probes").mkdir()
    for name in ("harness.py", "probes/__init__.py", "probes/slo.py"):
        (tmp_path / name).write_text(THEIRS)
    (tmp_path / "probes" / "mine.py").write_text("def who():\n    from probes import slo\n    return slo.__file__\n")
    provider = {"type": "python", "module": "probes.mine", "func": "who"}
    result = anyio.run(lambda: run({"type": "action", "name": "x", "provider": provider}, deadline=60, cwd=tmp_path))
    assert (result["status"], result["output"]) == ("succeeded", str(ROOT / "probes" / "slo.py"))
