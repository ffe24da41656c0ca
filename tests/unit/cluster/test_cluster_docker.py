"""Docker's client as people have it, 20.10 to 29: what it is told, what it says, and who else goes by its name.

What it prints was taken down from real clients and daemons, or from their source where it says so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import daemon, docker, up
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import FakeDocker

HOST = "unix:///d.sock"
OLD = {
    "Platform": {"Name": ""},
    "Components": [
        {"Name": "Engine", "Version": "20.10.24+dfsg1", "Details": {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}},
        {"Name": "containerd", "Version": "1.6.20~ds1", "Details": {"GitCommit": "1.6.20~ds1-1+deb12u3"}},
        {"Name": "runc", "Version": "1.1.5+ds1", "Details": {"GitCommit": "1.1.5+ds1-1+deb12u1"}},
    ],
    "Version": "20.10.24+dfsg1",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
}
CLIENT = {"Version": "28.2.2", "ApiVersion": "1.50", "DefaultAPIVersion": "1.50", "Context": "default"}
# After Podman's source: the daemon's answer by its compatible API, and the program that is called docker.
PODMAN = {"Components": [{"Name": "Podman Engine", "Version": "5.4.2", "Details": {"APIVersion": "5.4.2"}}]}
SHIM = {"Client": {"APIVersion": "5.4.2", "Version": "5.4.2", "Os": "linux"}}
TOO_OLD = (
    "Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44, "
    "please upgrade your client to a newer version"
)
# A client of Docker 29, after its source.
TOO_NEW = "API version 1.38 is not supported by this client: the minimum supported API version is 1.40"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a program that is called docker, and says and complains the same whatever it is asked."""

    def making(out: str, complaint: str = "", status: int = 0) -> None:
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir(exist_ok=True)
        for name, text in (("out", out), ("err", complaint)):
            (tmp_path / name).write_text(text)
        program.write_text(f"#!/bin/sh\ncat {tmp_path}/out\ncat {tmp_path}/err >&2\nexit {status}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return making


@pytest.mark.parametrize(
    ("said", "complaint", "status", "what", "hint"),
    [
        ({"Client": CLIENT, "Server": OLD}, "", 0, "", ""),
        ({"Client": CLIENT, "Server": None}, TOO_OLD, 1, "cannot talk to this daemon", "first on PATH"),
        ({"Client": CLIENT, "Server": None}, TOO_NEW, 1, "cannot talk to this daemon", "first on PATH"),
        ({"Client": CLIENT, "Server": None}, "permission denied", 1, "cannot talk to this daemon", ""),
        ({"Client": CLIENT, "Server": PODMAN}, "", 0, "is not Docker", "DOCKER_HOST"),
        (
            SHIM,
            "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.",
            0,
            "is not Docker",
            "",
        ),
    ],
    ids=["Docker", "client too old", "client too new", "no right", "Podman's socket", "Podman's program"],
)
def test_who_goes_by_the_name_of_docker(
    client: Any, said: dict[str, Any], complaint: str, status: int, what: str, hint: str
) -> None:
    client(json.dumps(said), complaint, status)
    refused = None
    try:
        daemon.refuse_client(HOST)
    except PreconditionFailed as error:
        refused = error
    assert what in (refused.what if refused else "")
    assert hint in (refused.hint if refused else "")
    if status:
        assert refused
        assert refused.why == complaint


def test_what_is_said_in_no_json_is_not_docker_either(client: Any) -> None:
    client("podman version 5.4.2\n")
    with pytest.raises(PreconditionFailed, match="is not Docker"):
        daemon.refuse_client(HOST)


NONE = "Error: No such object: b\nError: No such object: c\n"


@pytest.mark.parametrize("complaint", [NONE, NONE.replace("Error: No", "error: no")], ids=["until 27", "28 and 29"])
def test_what_does_not_exist_is_left_out(client: Any, complaint: str) -> None:
    client('[{"Name": "/a"}]\n', complaint, 1)
    assert docker.inspect(HOST, "a", "b", "c") == [{"Name": "/a"}]
    client("[]\n", complaint, 1)
    assert docker.inspect(HOST, "b", "c") == []


@pytest.mark.parametrize(
    "complaint",
    [
        "Cannot connect to the Docker daemon at unix:///d.sock. Is the docker daemon running?\n",
        f"{TOO_OLD}\n",
        f"{NONE}Error response from daemon: context deadline exceeded\n",
    ],
)
def test_a_daemon_that_does_not_say_what_it_has_is_not_one_that_has_nothing(client: Any, complaint: str) -> None:
    client("[]\n", complaint, 1)
    with pytest.raises(PreconditionFailed) as refused:
        docker.inspect(HOST, "a")
    assert refused.value.why == complaint.strip().splitlines()[-1]


def test_a_build_is_the_daemons_own_whatever_builder_and_machine_the_client_was_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("BUILDX_BUILDER", "in-a-container")
    monkeypatch.setenv("BUILDX_NO_DEFAULT_LOAD", "1")
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/riscv64")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.delenv("DOCKER_BUILDKIT", raising=False)
    found = dict(line.partition("=")[::2] for line in docker.docker(HOST, "build").splitlines())
    assert (found["DOCKER_HOST"], found["BUILDX_BUILDER"], found["DOCKER_DEFAULT_PLATFORM"]) == (HOST, "default", "")
    assert (found["BUILDX_NO_DEFAULT_ATTESTATIONS"], found["BUILDX_NO_DEFAULT_LOAD"]) == ("1", "0")
    # What Buildx writes down of a build, as root as a rule, would keep a home's owner from building.
    assert Path(found["BUILDX_CONFIG"]).parent == own_cache
    # The older builder, where there is no other, needs no telling.
    assert "DOCKER_BUILDKIT" not in found


def test_a_cluster_is_brought_up_by_no_client_that_is_not_understood(made: FakeDocker) -> None:
    made.version, made.containers = json.dumps(SHIM), {}
    with pytest.raises(PreconditionFailed, match="is not Docker"):
        up.up(lambda line: None)
    assert not any("creating" in call for call in made.calls)
