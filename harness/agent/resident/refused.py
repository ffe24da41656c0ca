"""Say no: what cannot be done, and why."""

from __future__ import annotations


class Refused(Exception):
    """What is asked for cannot be done here; nothing is left behind."""

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.what, self.why = what, why
