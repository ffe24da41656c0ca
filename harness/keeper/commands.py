"""Do to nodes by the commands of a table what Docker does to node containers, and keep it as the keeper does.

The commands run on the machine where the keeper runs, as whoever runs it, without a shell. Each is followed by a look
at the node's state: it is done when the state is the one that was wanted.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from harness.keeper.resident.docker import Op, Refused
from harness.keeper.resident.healing import IN_FLIGHT_SECONDS, PATIENCE_SECONDS, Keeper
from harness.keeper.resident.ledger import Ledger
from harness.keeper.resident.serving import serve
from harness.keeper.table import COMMAND, NODE, Table

COMMAND_SECONDS = 30.0
# How long a node may take to be what a command has made of it.
STATE_SECONDS, LOOK_SECONDS = 20.0, 0.5
SHOWN = 400


def keep(table: Table, socket: Path) -> None:
    """Heal what the ledger beside the socket names, then listen for ever."""
    ledger = Ledger(socket.with_suffix(".ledger.json"))
    keeper = Keeper(Commands(table), ledger, "", table.context, PATIENCE_SECONDS, IN_FLIGHT_SECONDS)
    serve(keeper, socket, table.context)


class Commands:
    """The nodes of a table."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def answers(self) -> bool:
        """Say that it can: whether a command works shows when it is needed."""
        return True

    def can(self, kind: str) -> bool:
        """Say whether the table has a command for it."""
        return kind in self.table.commands

    def inspect(self, container: str) -> dict[str, Any] | None:
        """Ask for the state of a node; None for one that is not in the table. Raises Refused."""
        if container not in self.table.nodes:
            return None
        said = self._run("state", container)["output"].strip().lower()
        state = self.table.states.get(said)
        if state is None:
            raise Refused("failed", f"'state' of {container} printed {said[:SHOWN]!r}", "the table has no such state")
        return {"paused": state == "paused", "running": state != "stopped", "addresses": []}

    def perform(self, op: Op) -> dict[str, Any]:
        """Do one operation and look whether it is done; raises Refused when it is not. Safe to repeat."""
        node, kind = op["container"], op["op"]
        state = self.inspect(node)
        if state is None:
            # What was gone would count as undone.
            raise Refused("failed", f"the table has no node {node}")
        if kind == "exec":
            if not state["running"] and op.get("stopped") == "healed":
                return {"exit": 0, "output": "the node is stopped"}
            return self._run(kind, node, shlex.join(op["argv"]))
        flag, want = ("paused", kind == "pause") if kind in ("pause", "unpause") else ("running", kind == "start")
        if state[flag] == want:
            return {"already": True}
        self._run(kind, node)
        until = time.monotonic() + STATE_SECONDS
        while (self.inspect(node) or {}).get(flag) is not want:
            if time.monotonic() > until:
                raise Refused("failed", f"{kind} of {node} had no effect", f"none within {STATE_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)
        return {}

    def _run(self, name: str, node: str, command: str = "") -> dict[str, Any]:
        words = self.table.commands.get(name)
        if not words:
            raise Refused("refused", f"the table has no command '{name}'")
        argv = [word.replace(NODE, self.table.nodes[node]).replace(COMMAND, command) for word in words]
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                # In whichever language a tool speaks.
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused("failed", f"'{name}' of {node} did not end", str(error)[:SHOWN]) from None
        if done.returncode:
            why = (done.stderr.strip() or done.stdout.strip())[-SHOWN:]
            raise Refused("failed", f"'{name}' of {node} ended with {done.returncode}", why)
        return {"exit": 0, "output": done.stdout}
