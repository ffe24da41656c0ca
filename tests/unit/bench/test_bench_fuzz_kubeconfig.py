"""A mutated kubeconfig is read or refused, never a traceback."""

from __future__ import annotations

import pytest

from bench import fuzz_kubeconfig
from harness.cluster import kubeconfig


def test_no_mutated_kubeconfig_ends_in_a_traceback() -> None:
    said: list[str] = []
    assert fuzz_kubeconfig.main(["--count", "150", "--seed", "20261129"], said.append) == 0, said
    assert "'read'" in said[-1], "nothing was sound enough to be read"


def test_a_traceback_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(kubeconfig, "load", broken)
    said: list[str] = []
    assert fuzz_kubeconfig.main(["--count", "2"], said.append) == 2
    assert "planted" in said[0]
