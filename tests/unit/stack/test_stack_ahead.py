"""What a start is about to take is told before it begins, and only what lacks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from harness.cli.up import command
from harness.cluster import cache, daemon, disk, docker, kind, local, up
from harness.cluster.build import debian, gobuild, nodeimage
from harness.errors import PreconditionFailed
from harness.stack import ahead, istio, parts, source
from tests.unit.stack.deployed import CLUSTER

HOST = "unix:///fake.sock"
CORE = (parts.CORE,)


class Machine:
    """A machine on which nothing is: what it has is added to these."""

    def __init__(self) -> None:
        self.images: set[str] = set()
        self.lacking = ["docker", "dockerd", "runc"]

    def build(self, *names: str) -> None:
        for name in names:
            gobuild.cached(name).parent.mkdir(parents=True, exist_ok=True)
            gobuild.cached(name).touch()

    def up(self, key: str) -> None:
        local.save(replace(CLUSTER, key=key))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("HARNESS_OFFLINE", "1")
    monkeypatch.setattr(daemon, "missing", lambda host: made.lacking)
    monkeypatch.setattr(docker, "has_image", lambda host, tag: tag in made.images)
    monkeypatch.setattr(kind, "own_executable", lambda: "")
    monkeypatch.setattr(gobuild, "own_go", lambda: "/usr/bin/go")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=40 * disk.GIB))
    return made


PROGRAMS = (*nodeimage.PROGRAMS, "kind", "pilot-agent", "pilot-discovery", istio.MANIFESTS)


def test_a_first_start_tells_all_that_it_fetches_and_builds_how_long_and_how_much_disk(machine: Machine) -> None:
    said = ahead.said(None, CORE)
    assert said.startswith(
        "Docker from the distribution, building kubernetes, etcd, coredns, pause, a Debian base image"
    )
    assert "building pilot-agent, pilot-discovery, istio-manifests, the stack's images, the stack: about" in said
    assert said.endswith("18 GiB of disk, 40 are free")
    minutes, megabytes = (
        int(number) for number in re.findall(r"about (\d+) min on 2 cores, at most (\d+) MB", said)[0]
    )
    # 13 minutes on 2026-11-30, told a little long rather than short.
    assert 13 <= minutes <= 18
    assert 500 <= megabytes <= 1000


def test_every_program_has_an_estimate() -> None:
    assert {*PROGRAMS, *source.PROGRAMS.values()} <= gobuild.SECONDS.keys()
    assert gobuild.MEGABYTES.keys() <= gobuild.SECONDS.keys()


def test_without_a_go_toolchain_one_is_fetched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "own_go", lambda: "")
    assert ahead.said(None, CORE).startswith("the Go toolchain, ")


def test_with_all_built_the_cluster_and_the_stack_are_left(machine: Machine) -> None:
    machine.build(*PROGRAMS)
    machine.lacking, machine.images = [], {nodeimage.built_tag(), debian.TAG}
    (cache.cache_dir() / "packages").mkdir()
    said = ahead.said(HOST, CORE)
    assert said.startswith(
        "the cluster, keeper and agents, the stack's images, the stack: about 3 min on 2 cores; 8 GiB"
    )


def test_where_a_registry_may_answer_both_are_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_OFFLINE")
    whole, pulled = re.findall(r"about (\d+) min on 2 cores", ahead.said(None, CORE))
    assert int(pulled) < int(whole)


def test_the_cluster_alone_needs_nothing_of_the_stacks(machine: Machine) -> None:
    said = ahead.said(None, CORE, stack=False)
    assert "the stack" not in said
    assert "8 GiB of disk" in said


def test_a_part_on_a_cluster_that_is_there_tells_what_lacks_of_its_own(machine: Machine) -> None:
    machine.up(up.key(nodeimage.built_tag()))
    machine.build(*PROGRAMS)
    said = ahead.said(HOST, parts.closed(["delivery"]))
    assert said == "building argo-rollouts: about 4 min on 2 cores, at most 156 MB to download"


def test_where_nothing_lacks_nothing_is_told(machine: Machine) -> None:
    machine.up(up.key(nodeimage.built_tag()))
    machine.build(*PROGRAMS)
    assert ahead.said(HOST, CORE) == ""


def test_a_cluster_of_another_version_is_made_anew(machine: Machine) -> None:
    machine.up("other")
    assert "the cluster, " in ahead.said(HOST, CORE)


def test_nothing_is_told_to_be_ahead_of_a_start_that_cannot_be(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "find", lambda: None)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(command, [])
    assert isinstance(done.exception, PreconditionFailed)
    assert "ahead" not in done.output
