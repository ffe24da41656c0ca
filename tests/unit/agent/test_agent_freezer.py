"""A pod's control groups are found while those of others come and go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.agent.resident.processes import cgroups, freezer

UID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11"


def test_a_control_group_that_goes_while_they_are_looked_through_is_passed_over(tmp_path: Path, monkeypatch):
    meant = [f"kubepods/pod{UID}", f"kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice"]
    for name in (*meant, "kubepods/podgone", f"kubepods/pod{UID}x", "other"):
        (tmp_path / name).mkdir(parents=True)
    look = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("podgone"):
            raise FileNotFoundError(path)
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    assert freezer.groups(UID) == sorted(tmp_path / name for name in meant)
