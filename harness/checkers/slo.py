"""The arithmetic of service-level objectives: error budgets, burn rates and the alerts built on them.

A burn rate of 1 spends the budget exactly over the objective's period; all comparisons are strict, as in the SRE
workbook: an alert needs both of its windows above its factor.
"""

from __future__ import annotations

import math


def burn_rate(error_ratio: float, objective: float) -> float:
    """Give how many times faster than allowed the budget is spent; infinite when nothing may fail and something did."""
    allowed = 1 - objective
    if allowed <= 0:
        return math.inf if error_ratio > 0 else 0.0
    return error_ratio / allowed


def factor(budget_share: float, period: float, window: float) -> float:
    """Give the burn rate that spends a share of the period's budget within a window (both in seconds)."""
    return budget_share * period / window


def budget_spent(bad: float, total: float, objective: float) -> float:
    """Give the share of the budget that so many bad operations spend, of a period that will hold `total`."""
    return burn_rate(bad / total, objective) if total else 0.0


def fires(long_ratio: float, short_ratio: float, objective: float, threshold: float) -> bool:
    """Say whether a two-window alert fires: both windows burn strictly faster than the threshold."""
    # Compared as ratios: dividing by a tiny budget first would lose what tells the two apart.
    limit = threshold * (1 - objective)
    return long_ratio > limit and short_ratio > limit


def detection_time(error_ratio: float, objective: float, threshold: float, long_window: float) -> float:
    """Give the seconds until a constant error ratio, starting from none, lifts the long window above the threshold."""
    limit = threshold * (1 - objective)
    return math.inf if error_ratio <= limit else long_window * limit / error_ratio
