"""Who owns a pod, how many pods its owner wants, how many of its own are ready, and whether anybody replaces it."""

from __future__ import annotations

from harness.workloads.owners import Owners
from harness.workloads.workload import Wanted, Workload

__all__ = ["Owners", "Wanted", "Workload"]
