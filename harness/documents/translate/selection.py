"""Values that translated steps are made of, and the reading of a driver's arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.units import shown

# A driver breaks all that it picked one after the other and waits for none.
AT_ONCE = 1_000_000


class Untranslatable(ValueError):
    """Say why a step cannot be read as a fault of ours."""


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """The nodes a step picks: by name, by label, or all."""

    name: str = ""
    selector: str = ""


def only(function: str, arguments: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse an argument that the function does not have."""
    for key in arguments:
        if key not in known:
            raise Untranslatable(f"{function} has no argument '{key}'; it takes {', '.join(known)}")


def _given(arguments: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return an argument or its default; one that says nothing is refused where the driver would stumble over it."""
    value = arguments.get(key, default)
    if value is None and default:
        raise Untranslatable(f"'{key}' is there and says nothing; leave it out for {shown(default)}")
    return default if value is None else value


def text(arguments: Mapping[str, Any], key: str, default: str = "") -> str:
    """Read a text; what is left out is the default."""
    value = _given(arguments, key, default)
    if not isinstance(value, str):
        raise Untranslatable(f"'{key}' must be a text, not {shown(value)}")
    return value


def flag(arguments: Mapping[str, Any], key: str) -> bool:
    """Read true or false; nothing at all is false."""
    value = arguments.get(key)
    if value is not None and not isinstance(value, bool):
        typed = "; env_var_type: bool makes one of what the environment holds" if value in ("true", "false") else ""
        raise Untranslatable(f"'{key}' must be true or false, not {shown(value)}{typed}")
    return bool(value)


def whole(arguments: Mapping[str, Any], key: str, default: int | None) -> int | None:
    """Read a whole number."""
    value = _given(arguments, key, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        typed = "; env_var_type: int makes one of what the environment holds" if str(value).isdecimal() else ""
        raise Untranslatable(f"'{key}' must be a whole number, not {shown(value)}{typed}")
    return value


def one_of(arguments: Mapping[str, Any], key: str, known: tuple[str, ...]) -> str:
    """Read one of a few words, the first by default."""
    value = text(arguments, key, known[0])
    if value not in known:
        raise Untranslatable(f"'{key}' is {shown(value)}, not {' or '.join(known)}")
    return value


def pattern(arguments: Mapping[str, Any], key: str) -> str:
    """Read a regular expression."""
    value = text(arguments, key)
    try:
        re.compile(value)
    except re.error as error:
        raise Untranslatable(f"'{key}' is no regular expression: {error}") from error
    return value
