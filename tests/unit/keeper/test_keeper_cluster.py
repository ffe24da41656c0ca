"""What the keeper's programs ask of the cluster, by a kubectl of this test."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.keeper.resident import cluster

KUBECTL = """#!/bin/sh
printf '%s\\n' "$*" >> "$ASKED"
case "$*" in
  *" patch lease "*) exit "$PATCHED" ;;
  *" get lease "*) printf '%s' "$HELD" ;;
esac
"""


@pytest.fixture
def expire(tmp_path: Path):
    """Mark run-1 expired, and return what was asked for, without the words that are always there."""
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    asked = tmp_path / "asked"

    def marking(*, patched: bool, held: str = "") -> list[str]:
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "ASKED": str(asked)}
        environment |= {"PATCHED": str(int(not patched)), "HELD": held}
        subprocess.run(["sh", "-c", cluster.EXPIRE, "sh", "run-1"], env=environment, check=True)
        text = asked.read_text().replace("--kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s ", "")
        return ["-n " + one.strip() for one in text.split("-n chaos-system")[1:]]

    return marking


def test_a_run_is_marked_expired_by_one_request_where_it_still_holds_the_lease(expire):
    (asked,) = expire(patched=True)
    document = asked[asked.index("[") :]
    assert json.loads(document) == [
        {"op": "test", "path": "/spec/holderIdentity", "value": "run-1"},
        {"op": "add", "path": "/metadata/annotations/chaos.harness.dev~1expired", "value": "run-1"},
    ]


def test_a_lease_that_the_request_does_not_fit_is_looked_at_and_marked_as_it_was_read(expire):
    *_, last = expire(patched=False, held="run-1 77")
    assert last == "-n annotate lease chaos-run --overwrite --resource-version=77 chaos.harness.dev/expired=run-1"


@pytest.mark.parametrize("held", ["run-2 77", "", " 77"], ids=["another's", "gone", "nobody's"])
def test_a_lease_that_is_not_the_runs_is_left_alone(expire, held: str):
    assert not any("annotate" in one for one in expire(patched=False, held=held))
