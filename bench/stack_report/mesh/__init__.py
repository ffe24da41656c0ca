"""What the seed says of the mesh, lines 863 to 995."""

from __future__ import annotations

from bench.stack_report.mesh import destination, identity, routing
from bench.stack_report.mesh.behind import ground
from bench.stack_report.row import Subject

SUBJECT = Subject("mesh", "Mesh", [*routing.ROWS, *destination.ROWS, *identity.ROWS], ground)
