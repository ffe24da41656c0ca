"""Commands of others: the locks that they inherit, and how one is told that fails."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import cache, command
from harness.errors import PreconditionFailed


def test_a_lock_is_held_as_long_as_a_command_that_was_started_under_it(own_cache: Path) -> None:
    with cache.locked("up", print):
        holder = subprocess.Popen(["sleep", "60"], pass_fds=cache.held())
    lines: list[str] = []
    try:
        with (own_cache / "locks" / "up").open() as again, pytest.raises(BlockingIOError):
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        holder.kill()
        holder.wait()
    with cache.locked("up", lines.append):
        assert lines == []
    assert cache.held() == ()


def test_a_long_command_inherits_the_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    with cache.locked("up", print):
        (number,) = cache.held()
        command.run(["sh", "-c", f"test -e /dev/fd/{number}"], "looking", lambda line: None, estimate=1)


def test_a_failing_command_shows_its_last_words_and_its_log(own_cache: Path) -> None:
    lines: list[str] = []
    with pytest.raises(PreconditionFailed, match="making a mess failed") as caught:
        command.run(["sh", "-c", "echo oh no; exit 3"], "making a mess", lines.append, estimate=1)
    assert "exit status 3\noh no" in caught.value.why
    assert Path(caught.value.where).is_file()
    assert lines == ["making a mess: about 1 s"]


FULL = ["sh", "-c", "echo write x: No space left on device >&2; exit 1"]


@pytest.mark.parametrize(
    "failing",
    [
        lambda: command.run(
            FULL, "building", lambda line: None, estimate=1, hint="the Go modules must be within reach"
        ),
        lambda: command.ask(FULL, hint="run `harness up`"),
    ],
)
def test_a_command_that_found_no_space_is_told_to_make_some(failing: Callable[[], None]) -> None:
    with pytest.raises(PreconditionFailed, match="No space left") as caught:
        failing()
    assert caught.value.hint == command.FULL


def test_a_command_that_is_not_there_is_a_precondition() -> None:
    with pytest.raises(PreconditionFailed):
        command.ask(["/nowhere/docker", "ps"])


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (99, "99 s"), (370, "6 min")])
def test_durations_read_as_a_person_would_say_them(seconds: float, text: str) -> None:
    assert command.duration(seconds) == text
