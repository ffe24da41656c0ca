"""`harness clean` gives the machine back as it was found before `harness up`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cluster import cache
from harness.cluster.build import debian
from harness.cluster.local import LocalCluster
from tests.e2e import host
from tests.e2e.live import HARNESS, ROOT, docker

# A network without rules and without forwarding but one interface's, which heeds no redirects, and a /run where nobody
# listens; both go with the process.
ALONE = (
    "mount -t tmpfs none /run; ip link set lo up; cd /proc/sys/net/ipv4; echo 0 > ip_forward; "
    "echo 0 > conf/all/accept_redirects; echo 1 > conf/lo/forwarding; cd - > /dev/null"
)


@pytest.mark.long
@pytest.mark.parametrize("dies", [False, True], ids=["daemon lives", "daemon dies"])
def test_a_network_is_given_back_as_a_private_daemon_found_it(
    cluster: LocalCluster, tmp_path: Path, dies: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may start a daemon")
    archive = tmp_path / "debian.tar"
    docker(cluster, "save", "--output", str(archive), debian.TAG)
    words = [sys.executable, "-m", "tests.e2e.host", str(archive), *(["die"] if dies else [])]
    environment = {**os.environ, "HARNESS_CACHE": str(tmp_path / "cache")}
    environment.pop("DOCKER_HOST", None)
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", f'{ALONE}; exec "$@"', "-", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, during, after = json.loads(done.stdout)
    changed = "\n".join(host.difference(before, during))
    assert "iptables filter FORWARD: nothing, then DROP -j DOCKER-USER" in changed
    assert "kernel net/ipv4/ip_forward: 0, then 1" in changed
    assert host.difference(before, after) == [], done.stderr
    assert not (tmp_path / "cache" / "kube-chaos-harness").exists()


@pytest.mark.bare
def test_a_machine_is_given_back_as_a_cluster_found_it(tmp_path: Path) -> None:
    # What was built before is built; with a Docker daemon of the machine's own, that one is used.
    own, mine = cache.cache_dir(), tmp_path / "cache" / "kube-chaos-harness"
    mine.mkdir(parents=True)
    for name in ("bin", "images"):
        if (own / name).is_dir():
            (mine / name).symlink_to(own / name)
    environment = {**os.environ, "HARNESS_CACHE": str(tmp_path / "cache")}

    def harness(*words: str) -> str:
        done = subprocess.run(
            [*HARNESS, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    before = host.fingerprint()
    harness("up", "--cluster-only")
    during = host.fingerprint()
    said = harness("clean", "--yes")
    assert any(line.startswith("interface br-") for line in host.difference(before, during))
    assert host.difference(before, host.fingerprint()) == [], said
    assert not mine.exists()
    assert (own / "bin").is_dir()
