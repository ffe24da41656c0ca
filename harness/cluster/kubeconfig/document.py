"""One kubeconfig file as values, typed as kubectl types them: a file that kubectl cannot read is refused here, too."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cluster.kubeconfig import yaml_text
from harness.errors import PreconditionFailed

Read = Callable[[Any, str], Any]
_NAMES: Mapping[type, str] = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a map"}


class _Wrong(Exception):
    """A value is not of the type that its field has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One named cluster, user or context, where it was found, and the keys in it that nobody knows."""

    name: str
    path: Path
    fields: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """What one kubeconfig, or several merged, say; `remarks` tell what was not used."""

    current: str = ""
    clusters: Mapping[str, Entry] = field(default_factory=dict)
    users: Mapping[str, Entry] = field(default_factory=dict)
    contexts: Mapping[str, Entry] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read(path: Path) -> Document:
    """Read one file; raises FileNotFoundError where there is none, PreconditionFailed for what is no kubeconfig."""
    try:
        return parse(path.read_bytes(), path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PreconditionFailed("the kubeconfig cannot be read", where=str(path), why=why) from None


def parse(content: bytes, path: Path) -> Document:
    """Type one file's content; raises PreconditionFailed."""
    where = str(path)
    try:
        value, more = yaml_text.read(yaml_text.decoded(content))
    except UnicodeDecodeError as error:
        raise PreconditionFailed("the kubeconfig is not text", where=where, why=str(error)) from None
    except ValueError as error:
        raise PreconditionFailed("the kubeconfig is not YAML", where=where, why=str(error)) from None
    if value is None:
        return Document()
    if not isinstance(value, dict):
        why = f"it holds {_kind(value)}, not a map"
        raise PreconditionFailed("the kubeconfig is not one", where=where, why=why)
    try:
        _finite(value)
        found = _document(value, path)
    except (_Wrong, RecursionError) as error:
        raise PreconditionFailed("the kubeconfig is not one", where=where, why=yaml_text.brief(error)) from None
    rest = [f"{where}: only the first of its YAML documents is used"] if more else []
    return replace(found, remarks=(*found.remarks, *rest))


def _finite(value: Any) -> None:
    """Refuse a number that is none wherever it stands: kubectl reads through JSON, which has none of those."""
    if isinstance(value, float) and not math.isfinite(value):
        raise _Wrong(f"{value} is not a number that JSON has")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)


def _document(value: dict[Any, Any], path: Path) -> Document:
    if (_text(value.get("kind"), "kind") or "Config", _text(value.get("apiVersion"), "apiVersion") or "v1") != (
        "Config",
        "v1",
    ):
        raise _Wrong("it must be of kind Config and apiVersion v1")
    known = {"kind", "apiVersion", "preferences", "clusters", "users", "contexts", "current-context", "extensions"}
    return Document(
        current=_text(value.get("current-context"), "current-context"),
        clusters=_named(value, "clusters", "cluster", CLUSTER, path),
        users=_named(value, "users", "user", USER, path),
        contexts=_named(value, "contexts", "context", CONTEXT, path),
        remarks=tuple(f"{path}: {key!r} is not known and not used" for key in value if key not in known),
    )


def _named(
    value: Mapping[Any, Any], group: str, key: str, fields: Mapping[str, Read], path: Path
) -> Mapping[str, Entry]:
    found: dict[str, Entry] = {}
    for number, item in enumerate(_list(value.get(group), group)):
        item = _map(item, f"{group}[{number}]")
        name = _text(item.get("name"), f"{group}[{number}].name")
        if name in found:
            raise _Wrong(f"{group} has {name!r} twice")
        at = f"{key} {name!r}"
        inner = _map(item.get(key), at)
        typed = {name: read(inner.get(name), f"{at}: {name}") for name, read in fields.items()}
        strange = [str(one) for one in inner if one not in fields]
        strange += [f"exec.{one}" for one in _map(inner.get("exec"), at) if key == "user" and one not in EXEC]
        found[name] = Entry(name, path, typed, tuple(strange))
    return found


# -- types: null is the zero value, as in Go --------------------------------------------------------------------------


def _kind(value: Any) -> str:
    return _NAMES.get(type(value), "text" if isinstance(value, str) else type(value).__name__)


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Wrong(f"{where} is {_kind(value)}, not text")
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise _Wrong(f"{where} has half a character")
    return value


def _flag(value: Any, where: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _Wrong(f"{where} is {_kind(value)}, not true or false")
    return bool(value)


def _list(value: Any, where: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise _Wrong(f"{where} is {_kind(value)}, not a list")
    return value or []


def _map(value: Any, where: str) -> dict[Any, Any]:
    if value is not None and not isinstance(value, dict):
        raise _Wrong(f"{where} is {_kind(value)}, not a map")
    return value or {}


def _data(value: Any, where: str) -> bytes:
    text = _text(value, where)
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise _Wrong(f"{where} is not base64") from None


def _texts(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(one, f"{where}[{number}]") for number, one in enumerate(_list(value, where)))


def _lists(value: Any, where: str) -> Mapping[str, tuple[str, ...]]:
    return {_text(str(key), where): _texts(one, f"{where}.{key}") for key, one in _map(value, where).items()}


def _variables(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    pairs = (_map(one, f"{where}[{number}]") for number, one in enumerate(_list(value, where)))
    return tuple(
        (_text(one.get("name"), f"{where}: name"), _text(one.get("value"), f"{where}: value")) for one in pairs
    )


def _exec(value: Any, where: str) -> Mapping[str, Any] | None:
    if value is None:
        return None
    given = _map(value, where)
    return {name: read(given.get(name), f"{where}.{name}") for name, read in EXEC.items()}


def _provider(value: Any, where: str) -> str | None:
    return None if value is None else _text(_map(value, where).get("name"), f"{where}.name") or "without a name"


def _extensions(value: Any, where: str) -> Mapping[str, Any]:
    items = [_map(one, f"{where}[{number}]") for number, one in enumerate(_list(value, where))]
    try:
        return {_text(one.get("name"), f"{where}: name"): json.loads(json.dumps(one.get("extension"))) for one in items}
    except (TypeError, ValueError) as error:
        raise _Wrong(f"{where} cannot be written as JSON: {error}") from None


CLUSTER: Mapping[str, Read] = {
    "server": _text,
    "tls-server-name": _text,
    "insecure-skip-tls-verify": _flag,
    "certificate-authority": _text,
    "certificate-authority-data": _data,
    "proxy-url": _text,
    "disable-compression": _flag,
    "extensions": _extensions,
}
USER: Mapping[str, Read] = {
    "client-certificate": _text,
    "client-certificate-data": _data,
    "client-key": _text,
    "client-key-data": _data,
    "token": _text,
    "tokenFile": _text,
    "as": _text,
    "as-uid": _text,
    "as-groups": _texts,
    "as-user-extra": _lists,
    "username": _text,
    "password": _text,
    "auth-provider": _provider,
    "exec": _exec,
    "extensions": _extensions,
}
CONTEXT: Mapping[str, Read] = {"cluster": _text, "user": _text, "namespace": _text, "extensions": _extensions}
EXEC: Mapping[str, Read] = {
    "command": _text,
    "args": _texts,
    "env": _variables,
    "apiVersion": _text,
    "installHint": _text,
    "provideClusterInfo": _flag,
    "interactiveMode": _text,
}
