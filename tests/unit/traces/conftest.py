"""Put the stack's services on the path: they are no part of the harness's own package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "stack" / "services"))
