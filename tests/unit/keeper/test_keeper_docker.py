"""The keeper speaks to every Docker that people have, by a version of its API that this one knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.keeper.resident.docker import VERSION, Docker
from tests.unit.keeper.conftest import CLUSTER, FakeDocker


@pytest.fixture
def asked(docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the paths that are asked for, as they are sent."""
    paths: list[str] = []
    answer = docker.answer

    def listening(method: str, path: str, body: object) -> object:
        paths.append(path)
        return answer(method, path, body)

    monkeypatch.setattr(docker, "answer", listening)
    return paths


@pytest.fixture
def client(docker: FakeDocker, tmp_path: Path) -> Docker:
    return Docker(str(tmp_path / "docker.sock"), CLUSTER)


@pytest.mark.parametrize(
    ("speaks", "spoken"),
    [
        (((1, 12), (1, 41)), "1.41"),
        (((1, 24), (1, 43)), "1.43"),
        (((1, 24), (1, 44)), VERSION),
        (((1, 24), (1, 48)), VERSION),
        (((1, 44), (1, 52)), VERSION),
        (((1, 50), (1, 60)), "1.50"),
    ],
    ids=["Docker 20.10", "24", "25", "28", "29", "one to come"],
)
def test_a_node_is_stopped_entered_and_started_whichever_docker_has_it(
    docker: FakeDocker, client: Docker, asked: list[str], speaks: tuple[tuple[int, int], tuple[int, int]], spoken: str
) -> None:
    docker.speaks = speaks
    assert client.answers()
    for op in ("stop", "start", "pause", "unpause"):
        assert client.perform({"op": op, "container": "node-a"}) == {}
    assert client.perform({"op": "exec", "container": "node-a", "argv": ["true"]}) == {"exit": 0, "output": "out"}
    # It is tried once in vain at most.
    paths = [path for path in asked if not path.startswith("/_ping")]
    wrong = [path for path in paths if not path.startswith(f"/v{spoken}/")]
    assert len(wrong) == (0 if spoken == VERSION else 1)


def test_a_docker_that_was_replaced_by_another_version_is_spoken_to_as_that_one(
    docker: FakeDocker, client: Docker
) -> None:
    docker.speaks = ((1, 12), (1, 41))
    client.perform({"op": "pause", "container": "node-a"})
    docker.speaks = ((1, 44), (1, 52))
    assert client.perform({"op": "unpause", "container": "node-a"}) == {}
    assert not docker.state("node-a")["Paused"]
