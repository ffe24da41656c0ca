"""A limit on open files: set as the process's own user, kept in the ledger, and given back where it is still ours."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident import effecting
from harness.agent.resident.fault import Fault
from harness.agent.resident.processes import descriptors
from harness.agent.resident.refused import Refused
from tests.unit.agent.box import Box
from tests.unit.agent.program import least_rights
from tests.unit.agent.told import Told

# Does what it is told, a line at a time: opens a file, closes one that it has opened, or starts a child like itself.
TARGET = """
import ctypes, os, signal, sys
user = {user}
if user:
    os.setgid(user); os.setuid(user)
    # As one that was started as this user: what it has open is for this user to see.
    ctypes.CDLL(None).prctl(4, 1)
held = []
print("there", flush=True)
while word := sys.stdin.readline().strip():
    try:
        if word == "open": held.append(os.open("/dev/null", os.O_RDONLY))
        if word == "close": os.close(held.pop())
        if word == "child" and not (child := os.fork()): os.close(1); signal.pause()
        print(child if word == "child" else "done", flush=True)
    except OSError as error: print(error.strerror, flush=True)
"""
FULL = "Too many open files"
NOBODY = 12345


def target(boxes: Callable[..., Box], user: int = 0) -> Box:
    box = boxes("python3", "-c", TARGET.format(user=user))
    box.begun()
    return box


def say(box: Box, word: str) -> str:
    assert box.process.stdin
    assert box.process.stdout
    box.process.stdin.write(f"{word}\n".encode())
    box.process.stdin.flush()
    return box.process.stdout.readline().decode().strip()


def fault(box: Box, **more: Any) -> Fault:
    told = {"op": "descriptors", "container": box.container, **more}
    return Fault("key-1", "/apis/x/faults/f", "run-1", "f", box.uid, told)


def soft(pid: int) -> int:
    return descriptors._limits(pid)[0]


@pytest.mark.parametrize("user", [0, NOBODY])
def test_nothing_more_can_be_opened_until_it_is_healed(boxes: Callable[..., Box], make, told: Told, user: int):
    box, agent = target(boxes, user), make()
    before = soft(box.process.pid)
    agent.do(fault(box))
    found = told.wait("appliedAt")["evidence"]["descriptors"]
    assert (found["limit"], found["before"], found["did"]) == (found["open"], before, {"limit": found["open"]})
    assert say(box, "open") == FULL
    assert agent.heal("key-1", "why")
    assert say(box, "open") == "done"
    assert soft(box.process.pid) == before


LEAST = """
import json, sys
from harness.agent.resident.processes import descriptors
pod, container = sys.argv[1:]
found = descriptors.look(pod, container, 0, children=False)
told = [descriptors.lower(found), descriptors._limits(found[0]["pid"])]
descriptors.give_back(container, found)
print(json.dumps([*told, descriptors._limits(found[0]["pid"])]))
"""


@pytest.mark.parametrize("user", [0, NOBODY])
def test_the_rights_of_the_agents_pods_are_enough(boxes: Callable[..., Box], user: int):
    box = target(boxes, user)
    before = descriptors._limits(box.process.pid)
    argv = [*least_rights(), sys.executable, "-c", LEAST, box.uid, box.container]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, lowered, after = json.loads(done.stdout)
    assert told["did"] == {"limit": lowered[0]}
    assert lowered[0] == told["open"]
    assert tuple(after) == before


def test_so_many_as_are_to_spare_can_be_opened_and_what_is_closed_makes_room(boxes: Callable[..., Box], make):
    box = target(boxes)
    say(box, "open")
    make().do(fault(box, spare=1))
    assert [say(box, word) for word in ("open", "open", "close", "open")] == ["done", FULL, "done", "done"]


def test_a_number_that_is_free_below_others_is_not_to_be_had_either(boxes: Callable[..., Box], make, told: Told):
    box = boxes("python3", "-c", "import os; os.dup2(0, 40); print('there', flush=True); os.read(0, 9)")
    box.begun()
    make().do(fault(box))
    assert told.wait("appliedAt")["evidence"]["descriptors"]["limit"] == 3


def test_the_limits_are_on_disk_before_any_is_set(boxes: Callable[..., Box], make, monkeypatch, tmp_path: Path):
    seen = []

    def fail(limits: Any) -> None:
        entry = json.loads((tmp_path / "ledger.json").read_text())["faults"]["key-1"]
        seen.append((entry["limits"] == limits, soft(limits[0]["pid"]) == limits[0]["soft"]))
        raise Refused("no", "the test looks here")

    monkeypatch.setattr(effecting.descriptors, "lower", fail)
    make().do(fault(target(boxes)))
    assert seen == [(True, True)]


def test_what_a_killed_agent_limited_is_given_back_by_the_next_once_and_twice(boxes: Callable[..., Box], make):
    box = target(boxes, NOBODY)
    before = soft(box.process.pid)
    first = make()
    first.do(fault(box))
    entry = first.ledger.faults()["key-1"]
    second = make()
    second.recover()
    assert soft(box.process.pid) == before
    assert second.ledger.faults() == {}
    effecting.undo(entry)
    assert soft(box.process.pid) == before


def test_a_limit_that_somebody_else_has_set_since_is_left(boxes: Callable[..., Box], make):
    box, agent = target(boxes), make()
    agent.do(fault(box))
    _, hard = descriptors._limits(box.process.pid)
    resource.prlimit(box.process.pid, resource.RLIMIT_NOFILE, (99, hard))
    assert agent.heal("key-1", "why")
    assert soft(box.process.pid) == 99


def test_a_process_that_got_the_number_of_one_that_ended_keeps_its_own_limit(boxes: Callable[..., Box], make):
    box = target(boxes)
    found = descriptors.look(box.uid, box.container, 0, children=False)
    descriptors.lower(found)
    another = [{**found[0], "born": found[0]["born"] - 1, "at": found[0]["born"] + 1}]
    descriptors.give_back(box.container, another)
    assert soft(box.process.pid) == found[0]["to"]
    descriptors.give_back(box.container, found)
    assert soft(box.process.pid) == found[0]["soft"]


def test_a_child_that_inherited_the_limit_gets_its_own_back(boxes: Callable[..., Box], make):
    box, agent = target(boxes), make()
    agent.do(fault(box, spare=2))
    child = int(say(box, "child"))
    box.show(child)
    limited = soft(child)
    assert limited == soft(box.process.pid)
    assert agent.heal("key-1", "why")
    assert soft(child) == soft(box.process.pid) > limited


def test_only_the_main_process_is_limited_unless_all_are_meant(boxes: Callable[..., Box], make, told: Told):
    box, agent = target(boxes), make()
    child = int(say(box, "child"))
    box.show(child)
    before = soft(child)
    agent.do(fault(box))
    assert soft(child) == before
    assert agent.heal("key-1", "why")
    agent.do(Fault("key-2", "/apis/x/faults/g", "run-1", "g", box.uid, {**fault(box).effect, "children": True}))
    assert soft(child) < before
    assert agent.heal("key-2", "why")
    assert soft(child) == before


def test_a_container_that_is_gone_needs_no_undo(boxes: Callable[..., Box], make):
    box, agent = target(boxes), make()
    agent.do(fault(box))
    box.process.kill()
    box.process.wait()
    assert agent.heal("key-1", "why")
    assert agent.ledger.faults() == {}


@pytest.mark.parametrize(("more", "why"), [({"spare": -1}, "spare is -1"), ({"spare": True}, "spare is True")])
def test_what_makes_no_sense_is_refused_and_nothing_is_limited(
    boxes: Callable[..., Box], make, told: Told, more: dict[str, Any], why: str
):
    box, agent = target(boxes), make()
    before = soft(box.process.pid)
    agent.do(fault(box, **more))
    assert why in told.wait("message")["message"]
    assert soft(box.process.pid) == before
    assert agent.ledger.faults() == {}


def test_a_process_that_may_open_no_more_as_it_is_is_refused(boxes: Callable[..., Box], make, told: Told):
    box = target(boxes)
    _, hard = descriptors._limits(box.process.pid)
    resource.prlimit(box.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    make().do(fault(box))
    assert "may open no more than that" in told.wait("message")["message"]


def test_a_process_of_several_users_at_once_is_refused(boxes: Callable[..., Box], make, told: Told):
    box = boxes("python3", "-c", f"import os; os.seteuid({NOBODY}); print('there', flush=True); os.read(0, 9)")
    box.begun()
    before = soft(box.process.pid)
    make().do(fault(box))
    assert "several users" in told.wait("message")["message"]
    assert soft(box.process.pid) == before


def test_where_the_agent_may_not_become_the_user_it_says_so(boxes: Callable[..., Box], make, told: Told, monkeypatch):
    box = target(boxes, NOBODY)
    before = soft(box.process.pid)
    # What an agent without the right meets.
    barred = descriptors._AS_USER.replace("os.setgroups([])", "os.seteuid(1), os.setgroups([])")
    monkeypatch.setattr(descriptors, "_AS_USER", barred)
    make().do(fault(box))
    assert f"may not become user {NOBODY}" in told.wait("message")["message"]
    assert soft(box.process.pid) == before
