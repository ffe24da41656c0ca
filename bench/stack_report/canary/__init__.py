"""What the seed says of canary releases, lines 999 to 1088."""

from __future__ import annotations

from bench.stack_report.canary.rows import ROWS
from bench.stack_report.canary.watching import ground
from bench.stack_report.row import Subject

SUBJECT = Subject("canary", "Canary", ROWS, ground)
