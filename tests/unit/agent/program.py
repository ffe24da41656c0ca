"""The agent's whole program as a process, with the rights of the agents' pods."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.agent import manifest
from tests.unit.agent.server import Server

LEASE = "/apis/coordination.k8s.io/v1/namespaces/chaos-system/leases/chaos-run"


def lease(holder: str = "run-1", **annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"holderIdentity": holder}}


def least_rights() -> list[str]:
    """Start what follows with the capabilities that the agents' pods have, and no other, and none to be gained."""
    if not shutil.which("setpriv"):
        return []
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in manifest.CAPABILITIES)])
    return ["setpriv", "--no-new-privs", "--bounding-set", kept]


class Program:
    """The agent's process; starting it again finds the same ledger."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self._folder = server, folder
        self.process: Any = None

    def start(self, seconds: float = 600, *, first: Sequence[str] = ()) -> None:
        """Start it, on demand by a command `first` that becomes what its further words name."""
        before = self.server.follows
        environment = {
            **os.environ,
            "AGENT_API": f"127.0.0.1:{self.server.port}",
            "AGENT_LEDGER": str(self._folder / "ledger.json"),
            "AGENT_LEASE": str(seconds),
            "AGENT_PORT": "0",
            "NODE_NAME": "node-a",
        }
        self.process = subprocess.Popen(
            [*first, *least_rights(), sys.executable, "-m", "tests.unit.agent.patience"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hear("is at work")
        # What it has not seen yet it cannot miss either.
        self.server.followed(before)

    def hear(self, words: str) -> str:
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"the agent ended without {words!r}")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
