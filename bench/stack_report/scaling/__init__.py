"""What the seed says of autoscaling, lines 122 to 192, 701 to 726 and 1814 to 1908."""

from __future__ import annotations

from bench.stack_report.row import Subject
from bench.stack_report.scaling.rows import ROWS
from bench.stack_report.scaling.watching import ground

SUBJECT = Subject("scaling", "Autoscaling", ROWS, ground)
