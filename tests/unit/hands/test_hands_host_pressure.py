"""A kubelet is started anew with options more, and as ever: the program runs here, its systemd is a script."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.hands.host import inside

# It starts what waits for ever, with an environment from files as systemd gives it, the last file last.
SYSTEMCTL = r"""#!/bin/sh
echo "$1" >> "$KEPT/asked"
case "$*" in
"show --property MainPID --value kubelet") cat "$KEPT/pid" ;;
"daemon-reload") [ ! -e "$KEPT/broken" ] ;;
"restart kubelet")
  . "$KEPT/had" && CHAOS_HARNESS_FAULT=
  for drop in "$KEPT"/run/systemd/system/kubelet.service.d/*.conf; do
    [ ! -e "$drop" ] || . "$(sed -n "s/^EnvironmentFile=-//p" "$drop")"
  done
  before=$(cat "$KEPT/pid")
  [ "$before" = 0 ] || kill "$before"
  options=$KUBELET_EXTRA_ARGS
  [ ! -e "$KEPT/deaf" ] || options=
  env -i "KUBELET_EXTRA_ARGS=$KUBELET_EXTRA_ARGS" "CHAOS_HARNESS_FAULT=$CHAOS_HARNESS_FAULT" \
    "$PYTHON" -c "import signal; signal.pause()" a-kubelet $options < /dev/null > /dev/null 2>&1 9<&- &
  echo $! > "$KEPT/pid"
  # Its first word is that only when it has become what it is to be: in between the kernel shows nothing.
  until [ "$(tr '\0' '\n' < "/proc/$!/cmdline" | head -n 1)" = "$PYTHON" ]; do :; done ;;
*) exit 2 ;;
esac
"""
OPTIONS = ["--eviction-soft=memory.available<1Pi", "--eviction-soft-grace-period=memory.available=720h"]
HAD = r"""--node-labels=a=$b,c=`d` --quoted=\"e\""""


class Node:
    """A node with a kubelet of its own, whose files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "kept"
        (self.kept / "run").mkdir(parents=True)
        (self.kept / "had").write_text(f"KUBELET_EXTRA_ARGS='{HAD}'\n")
        (self.kept / "pid").write_text("0\n")
        (folder / "systemctl").write_text(SYSTEMCTL)
        (folder / "systemctl").chmod(0o755)
        self.systemctl("restart", "kubelet")
        self.asked()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KEPT": str(self.kept), "PYTHON": sys.executable}

    def systemctl(self, *words: str) -> None:
        subprocess.run([self.folder / "systemctl", *words], env=self.environment, check=True)

    def asked(self) -> list[str]:
        """Return what systemd was asked to change since the last look."""
        found = (self.kept / "asked").read_text().split()
        (self.kept / "asked").write_text("")
        return [word for word in found if word != "show"]

    def does(self, op: Mapping[str, Any]) -> int:
        """Run an operation as the keeper has it run, with /run in the folder, and return its exit status."""
        argv = [word.replace("/run", f"{self.kept}/run") for word in op["argv"]]
        return subprocess.run(argv, env=self.environment, capture_output=True, check=False).returncode

    def options(self) -> list[str]:
        pid = (self.kept / "pid").read_text().strip()
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
        return words[words.index("a-kubelet") + 1 :]

    def left(self) -> list[Path]:
        return [path for path in (self.kept / "run").rglob("*") if path.is_file()]

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if pid := int((self.kept / "pid").read_text()):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path)
    yield one
    one.end()


PRESSURE, RELIEF = inside.pressure("node-a", "run-1", OPTIONS), inside.relief("node-a", "run-1")
RESTARTED, LOOKED = ["daemon-reload", "restart"], ["daemon-reload"]


def test_the_kubelet_has_these_options_behind_its_own_and_then_as_ever(node: Node) -> None:
    assert node.does(PRESSURE) == 0
    assert node.options() == [*HAD.split(), *OPTIONS]
    assert node.does(RELIEF) == 0
    assert node.options() == HAD.split()
    assert node.left() == []
    assert node.asked() == RESTARTED * 2


def test_a_kubelet_that_never_had_them_or_has_lost_them_is_not_started_anew(node: Node) -> None:
    assert node.does(RELIEF) == 0
    assert node.asked() == LOOKED
    node.does(PRESSURE)
    node.does(RELIEF)
    node.asked()
    assert node.does(RELIEF) == 0
    assert node.asked() == LOOKED


def test_what_was_written_and_not_yet_done_is_taken_away(node: Node) -> None:
    (node.kept / "broken").touch()
    assert node.does(PRESSURE) != 0
    assert node.left() != []
    (node.kept / "broken").unlink()
    assert node.does(RELIEF) == 0
    assert (node.left(), node.options()) == ([], HAD.split())


def test_an_undo_that_died_before_the_kubelet_was_started_is_gone_on_with(node: Node) -> None:
    node.does(PRESSURE)
    for path in node.left():
        path.unlink()
    assert node.does(RELIEF) == 0
    assert node.options() == HAD.split()


def test_an_undo_that_cannot_be_done_is_not_taken_for_done(node: Node) -> None:
    node.does(PRESSURE)
    (node.kept / "broken").touch()
    assert node.does(RELIEF) != 0


def test_another_faults_options_are_left_alone(node: Node) -> None:
    node.does(PRESSURE)
    node.asked()
    assert node.does(inside.relief("node-a", "run-10")) == 0
    assert node.options() == [*HAD.split(), *OPTIONS]
    assert node.asked() == LOOKED


def test_a_node_without_a_kubelet_that_runs_is_as_it_was(node: Node) -> None:
    node.does(PRESSURE)
    node.end()
    (node.kept / "pid").write_text("0\n")
    assert node.does(RELIEF) == 0
    assert node.left() == []


def test_a_kubelet_that_takes_no_options_is_no_place_for_it(node: Node) -> None:
    (node.kept / "deaf").touch()
    assert node.does(PRESSURE) != 0
    assert node.does(RELIEF) == 0
    assert node.left() == []


def test_nothing_is_undone_while_it_is_done(node: Node) -> None:
    node.does(PRESSURE)
    node.asked()
    held = os.open(node.kept / "run", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    at_once = {**RELIEF, "argv": [word.replace("flock -w 20", "flock -n") for word in RELIEF["argv"]]}
    assert node.does(at_once) != 0
    assert node.asked() == []
    os.close(held)
    assert node.does(at_once) == 0
    assert node.left() == []
