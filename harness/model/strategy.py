"""When a document has its hypothesis asked and its rollbacks done, in Chaos Toolkit's words."""

from __future__ import annotations

DEFAULT = "default"
HYPOTHESIS = (DEFAULT, "before-method-only", "after-method-only", "during-method-only", "continuously", "skip")
ROLLBACKS = (DEFAULT, "always", "never", "deviated")
BEFORE = frozenset({DEFAULT, "before-method-only", "continuously"})
DURING = frozenset({"during-method-only", "continuously"})
AFTER = frozenset({DEFAULT, "after-method-only", "continuously"})
