"""Pick as the driver picks whose step was read as a fault: by name, by order, by share, or by the run's seed."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

from harness.model.fault import Rule, Target
from harness.model.plan import Victim

OLDEST = "oldest"


def candidates(rule: Rule, found: Sequence[Victim]) -> list[Victim]:
    """Keep those that the rule's name or pattern allows; `found` has the oldest first."""
    named = [one for one in found if one.name == rule.name] if rule.name else list(found)
    matched = [one for one in named if re.search(rule.pattern, one.name)] if rule.pattern else named
    return matched if rule.order == OLDEST else sorted(matched, key=lambda one: one.name)


def of(target: Target, rule: Rule, free: Sequence[Victim], chance: random.Random) -> list[Victim]:
    """Take as many as the rule says, or all where fewer exist."""
    count = math.ceil(rule.share * len(free) / 100) if rule.share else target.least
    count = len(free) if rule.every else min(count, len(free))
    return chance.sample(list(free), count) if rule.shuffled else list(free[:count])
