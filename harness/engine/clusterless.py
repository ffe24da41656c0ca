"""A run without a cluster: a document that touches none gets its journal, its steps and its rollbacks all the same.

Its steps see no kubeconfig, so that none of them finds its way to a cluster that nobody named.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from harness.cluster.kube import Kube
from harness.engine.lease import Leases
from harness.engine.options import Options
from harness.engine.preflight.scope import Scope
from harness.errors import ClusterUnreachable
from harness.hands.healer import Healer, Nobody
from harness.model.experiment import Experiment

CONTEXT = "none"
# An empty configuration: whoever reads it is told that there is no cluster.
ENVIRONMENT = {"HARNESS_KUBECONFIG": os.devnull, "HARNESS_CONTEXT": ""}


class Nowhere(Kube):
    """No API server at all."""

    def __init__(self) -> None:
        self.context, self.server, self.namespace, self.kubeconfig = CONTEXT, "", "", None

    async def close(self) -> None:
        """Close nothing."""

    async def _ask(self, *_: Any, **__: Any) -> Any:
        raise ClusterUnreachable("this run has no cluster", hint="--context names one")


class Unbound(Leases):
    """A right that is never lost: where no cluster is, no other run can be."""

    def __init__(self) -> None:
        self.scope, self._held = Scope(), []


def meant(experiment: Experiment, options: Options) -> bool:
    """Say whether a run needs no cluster: its document touches none, and the command line names none."""
    return not experiment.clustered and options.context is None and options.kubeconfig is None


@contextlib.asynccontextmanager
async def hold() -> AsyncIterator[tuple[Leases, Healer]]:
    """Hold the right to act where there is nobody to ask."""
    yield Unbound(), Nobody()
