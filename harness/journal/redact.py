"""Turn any value into plain JSON without its secrets."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[redacted]"

_SECRET_KEY = re.compile(
    r"token|passw|secret|authorization$|client[-_]?key|private[-_]?key|api[-_]?key|credential|cookie", re.I
)
# One look decides for most strings that none of the costlier patterns can match.
_SUSPICIOUS = re.compile(r"bearer|basic |eyJ|://|-----BEGIN|token|passw|secret|key|credential|authorization", re.I)
_SECRET_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.I), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?"), HIDDEN),
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"([\w-]*(?:token|password|passwd|secret|api[-_]?key|client-key-data|credential|authorization)"
            r"[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!(?:bearer|basic)\b)[^\s\"'&,;}\[]+",
            re.I,
        ),
        rf"\1{HIDDEN}",
    ),
)
_SECRET_FLAG = re.compile(r"^--?[\w-]*(token|password|secret|api-?key|credential)[\w-]*$", re.I)


def clean(value: Any) -> Any:
    """Return `value` as plain JSON data with every secret replaced."""
    if value is None or (isinstance(value, bool | int) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return clean(value.value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        return _sequence(value)
    if isinstance(value, set | frozenset):
        return sorted((clean(item) for item in value), key=str)
    if isinstance(value, bytes):
        return _text(value.decode(errors="replace"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({item.name: getattr(value, item.name) for item in dataclasses.fields(value)})
    return _text(str(value))


def _text(text: str) -> str:
    if _SUSPICIOUS.search(text):
        for pattern, replacement in _SECRET_TEXT:
            text = pattern.sub(replacement, text)
    return text


def _mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    is_secret_object = values.get("kind") == "Secret"
    plain: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key)
        hidden = bool(_SECRET_KEY.search(name)) or (is_secret_object and name in ("data", "stringData"))
        plain[name] = HIDDEN if hidden and _can_hide(value) else clean(value)
    return plain


def _can_hide(value: Any) -> bool:
    return value not in (None, "", {}, []) and not isinstance(value, bool | int | float)


def _sequence(values: list[Any] | tuple[Any, ...]) -> list[Any]:
    plain: list[Any] = []
    after_flag = False
    for value in values:
        plain.append(HIDDEN if after_flag and isinstance(value, str) else clean(value))
        after_flag = isinstance(value, str) and bool(_SECRET_FLAG.match(value))
    return plain
