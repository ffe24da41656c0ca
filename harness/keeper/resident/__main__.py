"""Start the keeper."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

from harness.keeper.resident.connection import Connection
from harness.keeper.resident.docker import Docker
from harness.keeper.resident.healing import IN_FLIGHT_SECONDS, PATIENCE_SECONDS, Keeper, say
from harness.keeper.resident.ledger import Ledger


def main() -> None:
    """Read the ledger, heal what it names, then listen."""
    environment = os.environ
    docker = Docker(environment.get("DOCKER_SOCKET", "/var/run/docker.sock"), environment["CLUSTER"])
    ledger = Ledger(Path(environment.get("KEEPER_LEDGER", "/ledger/ledger.json")))
    version, patience = environment.get("KEEPER_VERSION", ""), environment.get("KEEPER_PATIENCE", PATIENCE_SECONDS)
    in_flight = float(environment.get("KEEPER_IN_FLIGHT", IN_FLIGHT_SECONDS))
    keeper = Keeper(docker, ledger, environment["CONTROL_PLANE"], version, float(patience), in_flight)
    server = listen(Path(environment["KEEPER_SOCKET"]))
    say(f"keeper {keeper.version} of cluster {docker.cluster} listens")
    while True:
        peer, _ = server.accept()
        threading.Thread(target=Connection(keeper, peer).serve, daemon=True).start()


def listen(path: Path) -> socket.socket:
    """Listen on a socket that belongs to whoever owns its folder; it appears only once it answers."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(draft))
    draft.chmod(0o600)
    owner = path.parent.stat()
    with contextlib.suppress(PermissionError):
        os.chown(draft, owner.st_uid, owner.st_gid)
    server.listen(16)
    draft.replace(path)
    return server


if __name__ == "__main__":
    main()
