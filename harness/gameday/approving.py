"""Approvals bind to the hash of the plan, the experiments' documents included; any edit voids them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import PreconditionFailed, UsageError
from harness.gameday import log, plan
from harness.gameday.log import Entry
from harness.gameday.plan import GameDay
from harness.source.closed import nearest

APPROVAL = "approval"
# So much of a hash a person compares.
SHORT = 12


@dataclass(frozen=True, slots=True)
class Approval:
    """The last approval that somebody gave; `changed` names what was edited since, and voids it."""

    entry: Entry
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"{self.entry.who} approved {str(self.entry.data.get('hash'))[:SHORT]}, {self.entry.at:%Y-%m-%d %H:%M}Z"
        return f"{said}, void, since then changed: {'; '.join(self.changed)}" if self.changed else said


def approve(day: GameDay, name: str) -> None:
    """Write an approval of the plan as it is now; raises UsageError for whoever is none of its approvers."""
    approvers, role = day.roles["approvers"], day.role(name)
    known = next((one for one in approvers if plan.same(one, name)), None)
    if known is None:
        what = f"{name!r} is the {role} and no approver" if role else f"{name!r} is no approver of this game day"
        raise UsageError(what, where=str(day.folder / plan.FILE), why=plan.APPROVING, hint=nearest(name, approvers))
    # As a list: a part may be called like a secret.
    log.append(day.folder, APPROVAL, known, role=role, hash=day.hash, parts=list(day.parts.items()))


def standing(day: GameDay, entries: Sequence[Entry]) -> list[Approval]:
    """Return the last approval of each who has given one, and what was edited since."""
    last = {entry.who: entry for entry in entries if entry.type == APPROVAL}
    return [Approval(entry, _changed(day, entry)) for entry in last.values()]


def _changed(day: GameDay, entry: Entry) -> tuple[str, ...]:
    if entry.data.get("hash") == day.hash:
        return ()
    before = dict(entry.data.get("parts") or ())
    return tuple(name for name in {**day.parts, **before} if day.parts.get(name) != before.get(name)) or ("the log",)


def require(day: GameDay, entries: Sequence[Entry]) -> str:
    """Say which approvals hold; raises PreconditionFailed, with what was edited, where they are too few."""
    found = standing(day, entries)
    held = [one for one in found if not one.changed]
    if len(held) >= plan.APPROVALS:
        return "; ".join(map(str, held))
    raise PreconditionFailed(
        f"{len(held)} of {plan.APPROVALS} approvals hold for plan {day.hash[:SHORT]}",
        where=str(day.folder / plan.FILE),
        why="; ".join(str(one) for one in found if one.changed),
        hint=f"harness gameday approve --as NAME, of {', '.join(day.roles['approvers'])}",
    )
