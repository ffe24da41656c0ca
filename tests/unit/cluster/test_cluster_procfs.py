"""The kernel's accounts as they were recorded: both generations of cgroups, alone and together."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from harness.cluster.host import procfs

NODE = "5c49c06785c65f430b2d504355f7a12420bcb289c8328bee69afeb3504522748"
STAT = """\
cpu  30424 54866 10846 25508 356 10 176 321 400 0
cpu0 14618 27700 5372 13074 240 4 66 156 200 0
cpu1 15805 27165 5474 12434 115 6 110 165 200 0
intr 998298 0 0
ctxt 1
"""
V1 = f"""\
9:name=systemd:/docker/{NODE}/init.scope
4:memory:/docker/{NODE}/init.scope
2:cpuacct:/docker/{NODE}
1:cpu:/docker/{NODE}/init.scope
0::/docker/{NODE}/init.scope
"""
V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID = f"""\
12:cpu,cpuacct:/system.slice/docker-{NODE}.scope
1:name=systemd:/system.slice/docker-{NODE}.scope/init.scope
0::/system.slice/docker-{NODE}.scope/init.scope
"""
HYBRID_MOUNTS = """\
25 22 0:22 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
30 22 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:13 - cgroup cgroup rw,cpu,cpuacct
"""
V2 = f"0::/system.slice/docker-{NODE}.scope/init.scope\n"
V2_MOUNTS = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


@pytest.mark.parametrize(
    ("cgroup", "mounts", "account"),
    [
        (V1, V1_MOUNTS, f"/sys/fs/cgroup/cpuacct/docker/{NODE}/cpuacct.usage"),
        (HYBRID, HYBRID_MOUNTS, f"/sys/fs/cgroup/cpu,cpuacct/system.slice/docker-{NODE}.scope/cpuacct.usage"),
        (V2, V2_MOUNTS, f"/sys/fs/cgroup/system.slice/docker-{NODE}.scope/cpu.stat"),
        (f"0::/docker/{NODE}\n", V2_MOUNTS, f"/sys/fs/cgroup/docker/{NODE}/cpu.stat"),
    ],
    ids=["v1", "hybrid", "v2 by systemd", "v2 by cgroupfs"],
)
def test_a_containers_account_is_that_of_its_own_group_whatever_sits_below(
    cgroup: str, mounts: str, account: str
) -> None:
    assert procfs.account(cgroup, mounts, NODE) == PurePosixPath(account)


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [
        ("0::/user.slice/session-2.scope\n", V2_MOUNTS),
        (V1.replace(NODE, NODE[::-1]), V1_MOUNTS),
        ("", V2_MOUNTS),
        (V2, V1_MOUNTS.partition("\n")[0]),
        (V2, ""),
        (f"0::/../../docker/{NODE}\n", V2_MOUNTS.replace("0:30 /", "0:30 /docker/own")),
    ],
    ids=["another process", "another container", "no process", "not mounted", "no mounts", "above our own group"],
)
def test_a_process_that_is_not_in_the_container_here_has_no_account(cgroup: str, mounts: str) -> None:
    assert procfs.account(cgroup, mounts, NODE) is None


def test_a_group_is_found_below_the_part_of_the_hierarchy_that_is_mounted() -> None:
    mounts = V2_MOUNTS.replace("0:30 /", "0:30 /docker")
    found = procfs.account(f"0::/docker/{NODE}/init.scope\n", mounts, NODE)
    assert found == PurePosixPath(f"/sys/fs/cgroup/{NODE}/cpu.stat")


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ("56578042361\n", 56.578042361),
        ("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n", 1.5),
        ("", None),
        ("user_usec 1\n", None),
        ("usage_usec lots\n", None),
    ],
)
def test_usage_is_read_in_seconds_or_not_at_all(usage: str, seconds: float | None) -> None:
    assert procfs.seconds(usage) == seconds


def test_idle_time_interrupts_and_what_the_host_took_are_summed_over_all_cpus() -> None:
    found = procfs.cpu(STAT)
    assert found
    ticks = [found.idle, found.interrupts, found.steal]
    assert [round(seconds / procfs.TICK) for seconds in ticks] == [25508 + 356, 10 + 176, 321]
    assert found.cpus == 2


@pytest.mark.parametrize("stat", ["", "cpu  1 2 3\n", "cpu a b c d e f g h\n", "intr 5\n"])
def test_a_machine_that_tells_less_is_not_seen(stat: str) -> None:
    assert procfs.cpu(stat) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (
            "some avg10=60.62 avg60=76.06 avg300=57.40 total=310868574\nfull avg10=0 avg60=0 avg300=0 total=7\n",
            310.868574,
        ),
        ("full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", None),
        ("", None),
        ("some avg10=0.00\n", None),
    ],
)
def test_pressure_is_the_time_in_which_some_task_waited(text: str, seconds: float | None) -> None:
    assert procfs.pressure(text) == seconds


def stat(name: str) -> str:
    return f"3898 ({name}) S 3783 3898 3898 0 -1 4194560 4858 266634 0 0 38 24 3596 608 20 0 1 0 99780 20729856 2942\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("systemd", "systemd"),
        ("a) R 1 (b", "a) R 1 (b"),
        ("tmux: server", "tmux: server"),
        ("kworker/u8:0-writeback", "kworker"),
        ("evil\x1b[2J", "evil?[2J"),
        ("/bin/x", "/bin/x"),
    ],
)
def test_a_process_is_read_whatever_it_calls_itself(name: str, shown: str) -> None:
    found = procfs.process(stat(name))
    assert found
    assert (found.pid, found.name, found.parent, found.started) == (3898, shown, 3783, 99780)
    assert (round(found.seconds / procfs.TICK), round(found.reaped / procfs.TICK)) == (38 + 24, 3596 + 608)
    assert found.total == found.seconds + found.reaped


@pytest.mark.parametrize("text", ["", "17 (x) S 1", "no process at all"])
def test_a_process_that_went_while_it_was_read_is_none(text: str) -> None:
    assert procfs.process(text) is None
