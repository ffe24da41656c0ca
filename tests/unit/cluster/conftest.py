"""A cache folder of its own for each test, and a Docker daemon that lives in this process."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cluster import apt, cache, daemon, disk, docker, firewall, footprint, kind, local, sysctl, up
from harness.cluster.build import nodeimage, shim
from tests.unit.cluster.machine import Host

HOST = "unix:///fake/docker.sock"
NODES = ("chaos-local-control-plane", "chaos-local-worker", "chaos-local-worker2", "chaos-local-worker3")

# What `docker version` tells of a daemon, of Docker 29 and cut short.
VERSION = {"ApiVersion": "1.52", "MinAPIVersion": "1.44", "Components": [{"Name": "Engine"}, {"Name": "containerd"}]}
INFO = {
    "DockerRootDir": "/nowhere",
    "CgroupVersion": "2",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "KernelVersion": os.uname().release,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    # No test changes the machine that it runs on, and none depends on what else runs there.
    monkeypatch.setattr(sysctl, "SYSTEM", tmp_path / "sys")
    monkeypatch.setattr(sysctl, "CONFIGURED", (tmp_path / "sysctl.d",))
    monkeypatch.setattr(footprint, "interfaces", lambda: [])
    monkeypatch.setattr(footprint, "processes", lambda program: {})
    monkeypatch.setattr(apt, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(footprint, "NETWORK", tmp_path / "network")
    (tmp_path / "network").touch()
    monkeypatch.setattr(daemon, "_start", no_daemon)
    return cache.cache_dir()


def no_daemon(*_: object) -> str:
    """A second daemon would take the rules of the first one's containers out of this machine's packet filter."""
    raise AssertionError("a unit test has started a Docker daemon")


@dataclass
class Container:
    labels: tuple[str, ...] = ()
    network: str = ""
    state: str = "running"

    def passes(self, wanted: str) -> bool:
        kind_of, _, value = wanted.partition("=")
        keys = [label.partition("=")[0] for label in self.labels]
        return value in (*self.labels, *keys) if kind_of == "label" else value == self.network


@dataclass
class FakeDocker:
    """Containers, networks, volumes and images; `refuse` names the words of commands that fail, and why.

    Nameless images have ids alone; as Docker 29's client does, it tells of them on demand.
    """

    containers: dict[str, Container] = field(default_factory=dict)
    networks: dict[str, dict[str, str]] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    version: str = json.dumps({"Client": {"Version": "29.1.1"}, "Server": VERSION})
    info: dict[str, str] = field(default_factory=lambda: dict(INFO))
    refuse: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def nodes(self, network: str = kind.NETWORK, state: str = "running") -> None:
        for name in NODES:
            role = "control-plane" if name.endswith("plane") else "worker"
            labels = (f"io.x-k8s.kind.cluster={local.NAME}", f"io.x-k8s.kind.role={role}")
            self.containers[name] = Container(labels, network, state)

    def own_network(self, owner: str = "") -> None:
        self.networks[kind.NETWORK] = dict([docker.LABEL.split("=")]) | ({kind.OWNER: owner} if owner else {})

    def result(self, host: str, *args: str, check: bool = False, **_: object) -> subprocess.CompletedProcess[str]:
        self.calls.append(" ".join(args))
        why = next((why for words, why in self.refuse.items() if words in " ".join(args)), None)
        out = self._answer(args) if why is None else None
        assert not check or out is not None, args
        return subprocess.CompletedProcess(args, 0 if out is not None else 1, out or "", why or "")

    def _answer(self, args: tuple[str, ...]) -> str | None:
        match args:
            case ("ps", *words):
                filters = [words[at + 1] for at, word in enumerate(words) if word == "--filter"]
                found = {n: c for n, c in self.containers.items() if all(c.passes(wanted) for wanted in filters)}
                return "\n".join(f"{name}\t{found[name].state}" for name in found)
            case ("version", *_):
                return self.version
            case ("info", "--format", template):
                return self.info[template.strip("{}.")]
            case ("rm", *names):
                for name in names:
                    self.containers.pop(name, None)
            case ("start" | "unpause", *names):
                for name in names:
                    self.containers[name].state = "running"
            case ("network", "inspect", *_, name):
                return json.dumps(self.networks[name]) if name in self.networks else None
            case ("network", "create", *words, name):
                labels = [word.removeprefix("--label=") for word in words if word.startswith("--label=")]
                self.networks[name] = dict(label.split("=", 1) for label in labels)
            case ("network", "rm", name):
                del self.networks[name]
            case ("volume", "ls", *_):
                return "\n".join(self.volumes)
            case ("volume", "rm", "--force", *names):
                self.volumes = [name for name in self.volumes if name not in names]
            case ("image", "ls", *words):
                return "\n".join(self.nameless if "dangling=true" in words else self.images.values())
            case ("image", "inspect", *_, tag):
                return self.images.get(tag)
            case ("image", "rm", *names):
                self.images = {tag: i for tag, i in self.images.items() if tag not in names and i not in names}
                self.nameless = [one for one in self.nameless if one not in names]
            case ("tag", source, tag):
                self.images[tag] = self.images.get(source, source)
            case ("pull", *_, image):
                self.images[image] = image
        return ""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    made = FakeDocker()
    monkeypatch.setattr(docker, "result", made.result)
    monkeypatch.setattr(docker, "ping", lambda host, deadline=1.0: host == HOST)
    monkeypatch.setenv("DOCKER_HOST", HOST)
    return made


@pytest.fixture
def machine(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A machine with a published node image, on which kind makes nodes and every node becomes ready."""
    fake.images[nodeimage.PUBLISHED] = "node"

    def run(argv: list[str], what: str, *_: Any, **__: Any) -> None:
        fake.calls.append(what)
        kind.kubeconfig_path().touch()
        fake.nodes()

    monkeypatch.setattr(daemon, "ensure", lambda progress: HOST)
    monkeypatch.setattr(kind.command, "run", run)
    monkeypatch.setattr(kind, "executable", lambda progress: "kind")
    monkeypatch.setattr(kind, "check_ports", lambda config: fake.calls.append("check ports"))
    monkeypatch.setattr(kind, "export_kubeconfig", lambda host, progress: None)
    monkeypatch.setattr(shim, "needed", lambda: False)
    monkeypatch.setattr(up, "not_ready", lambda cluster, since=None: [])

    async def keep(cluster: local.LocalCluster) -> None:
        fake.calls.append("keep DNS")

    monkeypatch.setattr(up, "_keep_dns", keep)
    # Nothing depends on the disk of the machine that the tests run on.
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000 * disk.GIB))
    return fake


@pytest.fixture
def made(machine: FakeDocker) -> FakeDocker:
    """A machine with a cluster that `up` has made."""
    up.up(lambda line: None)
    machine.calls.clear()
    return machine


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(footprint, "GROUPS", made.groups)
    monkeypatch.setattr(footprint, "FILES", [str(path) for path in made.files])
    monkeypatch.setattr(footprint, "interfaces", lambda: made.interfaces)
    monkeypatch.setattr(firewall, "saved", lambda program: made.rules[program])
    monkeypatch.setattr(firewall, "restore", made.restored.__setitem__)
    return made
