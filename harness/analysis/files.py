"""Find the one object of a file that says how a canary is judged, whatever controller it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import UsageError
from harness.source.closed import nearest
from harness.source.lines import Source


def named(data: Any) -> str:
    """Return an object's name; empty where it has none."""
    metadata = data.get("metadata") if isinstance(data, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def choose(sources: Sequence[Source], name: str, means: Callable[[Any], bool], kinds: Sequence[str]) -> Source:
    """Return the one object of these kinds, or the one with that name; raises UsageError where that is none."""
    found = [source for source in sources if means(source.data)]
    wanted = [source for source in found if not name or named(source.data) == name]
    if len(wanted) == 1:
        return wanted[0]
    where = str(sources[0].path) if sources else ""
    names = [named(source.data) for source in found]
    if not found:
        raise UsageError("there is nothing here to judge a canary by", where=where, why=f"read are {', '.join(kinds)}")
    if not name:
        what, hint = "there are several objects to judge a canary by", f"--name {names[0]}"
    else:
        what, hint = f"there is no object '{name}' to judge a canary by", nearest(name, names)
    if name and name in names:
        what, hint = f"there are several objects '{name}'", "leave one of them in the file"
    raise UsageError(what, where=where, why=f"there is {', '.join(names)}", hint=hint)
