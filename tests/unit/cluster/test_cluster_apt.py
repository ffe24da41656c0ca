"""What apt is asked for, what it may start meanwhile, and what of it is remembered."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import apt as packages
from harness.cluster import cache, command, daemon, down
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import FakeDocker
from tests.unit.cluster.test_cluster_host import says


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A machine with apt and its root; returns what is run."""
    ran: list[str] = []
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(command, "run", lambda argv, *_, **__: ran.append(" ".join(argv)))
    return ran


@pytest.mark.parametrize("known", [True, False])
def test_a_client_in_a_package_of_its_own_is_installed_where_there_is_one(
    apt: list[str], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    says(monkeypatch, {"docker-cli": "Package: docker-cli"} if known else {})
    daemon._install(lambda line: None)
    assert apt[-1].endswith("docker.io iptables docker-cli" if known else "docker.io iptables")
    assert all("DPkg::Lock::Timeout=120" in argv for argv in apt)


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("exit status 100\nE: Packages need to be removed but remove is disabled.", "start the Docker that is here"),
        ("exit status 100\nE: Unable to locate package docker.io", "some"),
    ],
)
def test_nothing_of_others_is_removed_for_what_is_installed(
    apt: list[str], monkeypatch: pytest.MonkeyPatch, why: str, hint: str
) -> None:
    # Docker's own packages conflict with the distribution's: apt would take containerd away below somebody's cluster.
    says(monkeypatch, {})

    def run(argv: list[str], what: str, *_: object, **__: object) -> None:
        apt.append(" ".join(argv))
        if "install" in argv:
            raise PreconditionFailed(what, why=why, hint="some")

    monkeypatch.setattr(command, "run", run)
    with pytest.raises(PreconditionFailed) as refused:
        daemon._install(lambda line: None)
    assert [" --no-remove " in argv for argv in apt] == [False, True]
    assert (refused.value.why, hint in refused.value.hint) == (why, True)
    assert not packages.POLICY.exists()


@pytest.mark.parametrize(
    ("new", "off"),
    [
        (["docker.io", "containerd"], ["docker.socket", "docker.service", "containerd.service"]),
        (["docker.io"], ["docker.socket", "docker.service"]),
        (["runc"], []),
    ],
    ids=["all", "containerd was there", "Docker was there"],
)
def test_services_that_came_with_packages_of_ours_do_not_start_with_the_machine(
    apt: list[str], monkeypatch: pytest.MonkeyPatch, new: list[str], off: list[str]
) -> None:
    asked: list[list[str]] = []

    def ask(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(argv)
        text = "".join(f"Inst {name} (1.0 Debian:12)\n" for name in new) if "--simulate" in argv else ""
        return subprocess.CompletedProcess(argv, 0, text, "")

    monkeypatch.setattr(command, "ask", ask)
    lines: list[str] = []
    daemon._install(lines.append)
    disabled = [argv for argv in asked if argv[0] == "systemctl"]
    assert disabled == ([["systemctl", "disable", *off]] if off else [])
    assert any("do not start with this machine" in line for line in lines) is bool(off)


@pytest.mark.parametrize(("text", "stays"), [(packages.POLICY_TEXT, False), ("#!/bin/sh\nexit 101\n", True)])
@pytest.mark.parametrize("command_", [down.down, down.clean])
def test_a_policy_that_a_killed_installation_left_is_removed(
    apt: list[str], fake: FakeDocker, command_: Callable[[cache.Progress], list[str]], text: str, stays: bool
) -> None:
    packages.POLICY.write_text(text)
    lines: list[str] = []
    command_(lines.append)
    assert packages.POLICY.exists() is stays
    assert any(str(packages.POLICY) in line for line in lines) is not stays


@pytest.mark.parametrize(
    ("before", "after"), [(packages.POLICY_TEXT, False), ("#!/bin/sh\nexit 0\n", True), ("", False)]
)
def test_only_a_policy_of_ours_is_removed(
    apt: list[str], monkeypatch: pytest.MonkeyPatch, before: str, after: bool
) -> None:
    says(monkeypatch, {})
    if before:
        packages.POLICY.write_text(before)
    packages.install(["debootstrap"], "installing", lambda line: None, estimate=1)
    assert packages.POLICY.exists() is after


def test_packages_that_were_not_there_in_any_version_are_remembered_before_they_are_installed(
    apt: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Inst runc (1.1.5 Debian:12 [amd64])\nInst openssl [3.0.1] (3.0.2 Debian:12)\nInst libip:amd64 (1.8)\n"
    installed = "".join(f"installed {name}\n" for name in ("runc", "libip", "openssl"))
    says(monkeypatch, {"runc": text, "libip": installed})
    remembered: list[list[str]] = []
    monkeypatch.setattr(command, "run", lambda argv, *_, **__: remembered.append(packages.installed()))
    packages.install(["runc"], "installing", lambda line: None, estimate=1)
    assert remembered == [[], ["runc", "libip"]]
