"""A volume is filled: a real file system of some MiB, seen from a mount namespace of the container's own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import container, disk, volume
from harness.agent.resident.resources.order import Order
from tests.unit.agent.box import Box
from tests.unit.agent.told import Told

SIZE = 4 << 20
INSIDE = 'mount --bind "$0" "$1"; echo there; exec sleep 600'


class Mounted:
    """A volume on the node, and a pod that has it at a path."""

    def __init__(self, folder: Path, boxes: Callable[..., Box], options: str = f"size={SIZE}", **limits: int) -> None:
        self.node = folder / "pods/0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11/volumes/kubernetes.io~empty-dir/data"
        self.path = folder / "data"
        for one in (self.node, self.path):
            one.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.node], check=True)
        command = ("unshare", "--mount", "sh", "-ec", INSIDE, str(self.node), str(self.path))
        self.box = boxes(*command, **limits)
        self.box.begun()

    def used(self) -> int:
        found = os.statvfs(self.node)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def close(self) -> None:
        subprocess.run(["umount", self.node], check=True)


@pytest.fixture
def mounted(boxes: Callable[..., Box], tmp_path: Path) -> Iterator[Callable[..., Mounted]]:
    made: list[Mounted] = []

    def making(**more: Any) -> Mounted:
        made.append(Mounted(tmp_path, boxes, **more))
        return made[-1]

    yield making
    for one in made:
        one.close()


def test_a_volume_is_filled_to_its_share_and_empty_again(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(memory=64 << 20), make()
    before = there.used()
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=0.9))
    assert told.wait("appliedAt")
    assert told.evidence("resource")["did"]["filled"] >= 0.89
    assert there.used() >= 0.89 * SIZE
    assert list(there.node.iterdir()) == []
    # What is in memory counts for the container.
    assert there.box.read("memory", "memory.usage_in_bytes") >= 0.89 * SIZE
    assert agent.heal("key-1", "why")
    assert there.used() == before


def test_a_full_volume_has_no_room_for_anybody(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(), make()
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=1))
    assert told.evidence("resource")["did"]["filled"] == 1.0
    with pytest.raises(OSError, match="No space left"):
        (there.node / "file").write_bytes(b"x" * 8192)


def test_what_is_still_being_filled_is_not_told_as_full(mounted: Callable[..., Mounted], make):
    there = mounted()
    make()
    (there.node / "file").write_bytes(b"x" * int(0.995 * SIZE))
    order = Order("run-1/f", "", "", {"kind": "disk", "path": str(there.path), "share": 1}, 60, 60)
    begun = disk.make(order, container.find(there.box.uid, there.box.container))
    assert begun.told()["did"] == {}
    # Where somebody else takes the rest, there is nothing left to be filled.
    (there.node / "other").write_bytes(b"x" * (SIZE - there.used()))
    assert begun.told()["did"] == {"filled": 1.0}


def test_a_file_system_that_keeps_the_last_of_its_free_blocks_is_full(
    mounted: Callable[..., Mounted], make, monkeypatch: pytest.MonkeyPatch
):
    there = mounted()
    make()
    given = volume.Volume.room

    def room(self: volume.Volume) -> tuple[int, int]:
        used, most = given(self)
        return used, most + 3 * 4096

    def interrupted() -> None:
        raise InterruptedError

    monkeypatch.setattr(volume.Volume, "room", room)
    monkeypatch.setattr(signal, "pause", interrupted)
    order = Order("run-1/f", "", "", {"kind": "disk", "path": str(there.path), "share": 1}, 60, 60)
    begun = disk.make(order, container.find(there.box.uid, there.box.container))
    assert begun.told()["did"] == {}
    with pytest.raises(InterruptedError):
        begun.hogs[0]()
    assert begun.told()["did"]["filled"] == 0.997
    assert there.used() == SIZE


def test_nothing_is_left_when_everything_is_killed_at_once(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(), make()
    before = there.used()
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=0.5))
    assert told.evidence("resource")
    there.box.show(*there.box.others())
    (worker,) = agent.workers().values()
    worker._process.kill()
    worker._ended.wait()
    agent.tick()
    assert told.wait("healedAt")
    assert there.used() == before


def test_a_volume_that_takes_no_file_is_refused_before_anything_is_done(
    mounted: Callable[..., Mounted], make, told: Told
):
    there, agent = mounted(), make()
    subprocess.run(["mount", "-o", "remount,ro", there.node], check=True)
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=0.5))
    assert "no file can be made in the volume" in told.wait("message")["message"]
    assert there.box.others() == []


def test_what_would_end_the_container_is_refused(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(memory=SIZE), make()
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=1))
    assert "memory limit is too low" in told.wait("message")["message"]
    assert there.box.others() == []


def test_a_volume_in_memory_that_is_not_limited_in_size_is_refused(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(options="mode=755"), make()
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=0.01))
    assert "not limited in size" in told.wait("message")["message"]
    assert there.box.others() == []


def test_a_volume_that_is_as_full_already_is_refused(mounted: Callable[..., Mounted], make, told: Told):
    there, agent = mounted(), make()
    (there.node / "file").write_bytes(b"x" * (SIZE // 2))
    agent.do(there.box.fault(kind="disk", path=str(there.path), share=0.5))
    assert "as full already" in told.wait("message")["message"]


@pytest.mark.parametrize(("path", "why"), [("/", "no file system of its own"), ("/nowhere", "cannot be opened")])
def test_the_nodes_disk_is_never_filled(boxes: Callable[..., Box], make, told: Told, path: str, why: str):
    box, agent = boxes(), make()
    agent.do(box.fault(kind="disk", path=path, share=0.5))
    assert why in told.wait("message")["message"]
    assert box.others() == []


def test_a_link_is_not_followed_out_of_the_container(boxes: Callable[..., Box], tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Refused, match="cannot be opened"):
        volume.find(boxes().process.pid, str(tmp_path / "link"))
