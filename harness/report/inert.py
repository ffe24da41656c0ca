"""Make text from outside harmless for terminals and XML: pod names, labels and messages are anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 2000


def inert(value: Any) -> Any:
    """Return plain data whose texts hold no control, direction-changing or half character."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text(str(key)): inert(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [inert(item) for item in value]
    return _text(str(value))


def _text(text: str) -> str:
    if len(text) > MOST:
        text = text[:MOST] + " ..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def line(value: Any) -> str:
    """Return any value as text on one line that neither steers a terminal nor begins a line of its own."""
    return " ".join(str(inert(value)).split())


def block(text: str) -> str:
    """Return a text with its lines, each of them inert."""
    return "\n".join(_text(one) for one in text.split("\n"))


def brief(value: Any, most: int = 200) -> str:
    """Show any value on one line: mappings and lists without the noise of JSON."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {brief(item)}" for key, item in value.items() if item not in (None, "", {}, []))
    elif isinstance(value, list | tuple):
        text = ", ".join(brief(item) for item in value)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 3] + "..."
