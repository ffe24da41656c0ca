"""Start the keeper."""

from __future__ import annotations

import os
from pathlib import Path

from harness.keeper.resident.docker import Docker
from harness.keeper.resident.healing import IN_FLIGHT_SECONDS, PATIENCE_SECONDS, Keeper
from harness.keeper.resident.ledger import Ledger
from harness.keeper.resident.serving import serve


def main() -> None:
    """Read the ledger, heal what it names, then listen."""
    environment = os.environ
    docker = Docker(environment.get("DOCKER_SOCKET", "/var/run/docker.sock"), environment["CLUSTER"])
    ledger = Ledger(Path(environment.get("KEEPER_LEDGER", "/ledger/ledger.json")))
    version, patience = environment.get("KEEPER_VERSION", ""), environment.get("KEEPER_PATIENCE", PATIENCE_SECONDS)
    in_flight = float(environment.get("KEEPER_IN_FLIGHT", IN_FLIGHT_SECONDS))
    keeper = Keeper(docker, ledger, environment["CONTROL_PLANE"], version, float(patience), in_flight)
    serve(keeper, Path(environment["KEEPER_SOCKET"]), docker.cluster)


if __name__ == "__main__":
    main()
