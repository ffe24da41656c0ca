"""A disk is kept busy through a volume: real writes of some hundred kB, that leave no file behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import disk_io
from harness.agent.resident.resources.order import Order
from tests.unit.agent.box import Box
from tests.unit.agent.told import Told

INSIDE = 'mount $OPTIONS "$0" "$1"; echo there; exec sleep 600'


def mounted(
    boxes: Callable[..., Box], folder: Path, options: str = "--bind", name: str = "pods"
) -> tuple[Box, Path, Path]:
    """Make a container that has a folder of the node's at a path of its own."""
    node = folder / f"{name}/0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11/volumes/kubernetes.io~empty-dir/data"
    path = folder / "data"
    for one in (node, path):
        one.mkdir(parents=True)
    box = boxes("env", f"OPTIONS={options}", "unshare", "--mount", "sh", "-ec", INSIDE, str(node), str(path))
    box.begun()
    return box, node, path


def test_the_disk_of_a_volume_is_written_to_and_nothing_is_left(
    boxes: Callable[..., Box], tmp_path: Path, make, told: Told
):
    box, node, path = mounted(boxes, tmp_path)
    agent = make()
    agent.do(box.fault(kind="io", path=str(path), rate=100))
    assert told.wait("appliedAt")
    assert told.evidence("resource")["did"]["writes"] >= 3
    assert list(node.iterdir()) == []
    assert agent.heal("key-1", "why")
    counted = told.wait("healedAt")["evidence"]["resource"]
    assert counted["written_bytes"] >= 3 * 65536
    assert counted["sync_ms"] >= 0
    assert box.others() == []


@pytest.mark.parametrize(
    ("options", "name", "why"),
    [("--bind", "elsewhere", "no file system of its own"), ("-ttmpfs", "pods", "is memory")],
)
def test_what_is_no_volume_on_a_disk_is_refused(boxes, tmp_path: Path, make, told: Told, options, name, why):
    box, _, path = mounted(boxes, tmp_path, options, name)
    make().do(box.fault(kind="io", path=str(path), rate=100))
    assert why in told.wait("message")["message"]
    assert box.others() == []


@pytest.mark.parametrize("rate", [0, 501])
def test_a_rate_without_bounds_is_refused(boxes: Callable[..., Box], make, told: Told, rate: int):
    make().do(boxes().fault(kind="io", path="/", rate=rate))
    assert f"rate is {rate}" in told.wait("message")["message"]


def test_a_disk_with_little_room_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    volume = SimpleNamespace(room=lambda: (84 << 20, 99 << 20))
    monkeypatch.setattr(disk_io.volume, "find", lambda *_, **__: volume)
    wanted = Order("run-1/f", "", "", {"kind": "io", "path": "/data", "rate": 20}, 10, 60)
    with pytest.raises(Refused, match="too little room"):
        disk_io.make(wanted, SimpleNamespace(pid=0))  # type: ignore[arg-type]
