"""How many of those that match a target takes: a count, a share of them, or at most a share, as the seed draws.

Chaos Mesh calls these `one`, `fixed`, `all`, `fixed-percent` and `random-max-percent`, and its words are taken, too. A
share is rounded down, as there. One that rounds down to nothing is refused: a fault without a target proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.model import units

ALL = "all"
MODES = ("one", "all", "fixed", "fixed-percent", "random-max-percent")
ALONE = ("one", "all")
# More than any cluster has: a group of so many is everybody.
EVERYBODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """So many per cent of the `pod`s, `node`s, `zone`s or `workload`s that match.

    `drawn` says that the seed draws from 1 to so many.
    """

    of: str
    percent: float
    drawn: bool = False

    @property
    def shown(self) -> str:
        """Write the share itself."""
        return ALL if self.percent == 100 else f"{self.percent:g} %"

    def most(self, matching: int) -> int:
        """Return the share of so many, rounded down."""
        return math.floor(self._exact(matching))

    def count(self, matching: int, draw: Callable[[int, int], int]) -> tuple[int, str]:
        """Return how many are taken of those that match, and a sentence that shows the rounding.

        `draw` gives a whole number from its first argument to its second. Raises ValueError when there would be none.
        """
        most, exact = self.most(matching), self._exact(matching)
        what = f"{matching} {self.of}{'s' * (matching != 1)}"
        share = f"{self.shown} of {what}"
        rounded = "" if exact == most else f" ({exact.normalize():f} rounded down)"
        if not most:
            raise ValueError(f"{share} = none{rounded}")
        if not self.drawn:
            return most, f"{share} = {most}{rounded}"
        found = draw(1, most)
        return found, f"at most {share} = 1 to {most}{rounded}, the seed drew {found}"

    def _exact(self, matching: int) -> Decimal:
        # Of a binary fraction 29 % of 100 would be 28.
        return Decimal(repr(self.percent)) * matching / 100


def least(matching: int) -> str:
    """Write the smallest share of so many, in whole per cent, that is one of them."""
    return f"{math.ceil(100 / matching)}%"


def amount(of: str) -> Callable[[Any], int | Share]:
    """Return the reader of `pods`, `nodes`, `zones` and `workloads`: 3, 30% or all."""

    def read(value: Any) -> int | Share:
        if value == ALL:
            return Share(of, 100.0)
        if isinstance(value, str) and units.PERCENT.fullmatch(value.strip()):
            return Share(of, percent(value))
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{units.shown(value)} is not a whole number of {of}s, a share like 30%, or all")
        return count(value)

    return read


def by_mode(of: str, mode: str, value: Any) -> int | Share:
    """Read a mode and its value as Chaos Mesh writes them; raises ValueError saying what is accepted."""
    if mode in ALONE:
        if value is not None:
            raise ValueError(f"mode '{mode}' takes no value")
        return 1 if mode == "one" else Share(of, 100.0)
    if value is None:
        raise ValueError(f"mode '{mode}' needs 'value'")
    # Chaos Mesh writes its values as texts.
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if mode == "fixed":
        if not text.isdecimal():
            raise ValueError(f"{units.shown(value)} is not a whole number")
        return count(int(text))
    return Share(of, percent(f"{text.removesuffix('%').strip()}%"), drawn=mode == "random-max-percent")


def percent(value: str) -> float:
    """Read a share in per cent, above 0 and at most 100."""
    match = units.PERCENT.fullmatch(value.strip())
    found = float(match[1]) if match else 0.0
    if not match or not 0 < found <= 100:
        raise ValueError(f"{units.shown(value)} is not a share above 0 % and up to 100 %, like 30%")
    return found


def count(value: Any) -> int:
    """Read a count of at least 1."""
    found = units.integer(value)
    if found < 1:
        raise ValueError(f"{found} is not a count of at least 1")
    return found


def at_once(value: Any) -> int:
    """Read how many are taken at the same time: a count, or all of them."""
    return EVERYBODY if value == ALL else count(value)
