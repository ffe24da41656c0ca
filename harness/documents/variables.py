"""Read what a document takes from elsewhere: `configuration` and `secrets`, as far as they are known before the run.

The values themselves are Chaos Toolkit's business, in the process that runs the steps. Here it is only asked whether
all of them can be had, and what a `${name}` stands for where the plan depends on it.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from harness.model.units import shown
from harness.source.closed import Problems, Section, nearest
from harness.source.lines import Place

ENV = ("type", "key", "default", "env_var_type")
SECRET_ENV = ("type", "key")
VAULT = ("type", "path", "key")
NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
USED = re.compile(rf"\$\{{({NAME.pattern})\}}")
KINDS = ("env", "probe")
TYPES = ("str", "string", "int", "integer", "float", "number", "bytes", "bool", "json")
PROBE = "probe"
# Where the value stands that only the run will fetch, and the group whose names it will.
LATER: Mapping[str, Any] = MappingProxyType({})
NAMELESS: Mapping[str, Any] = MappingProxyType({})
WORD_BY_WORD = "Chaos Toolkit would hand on these very words as the value"


@dataclass(frozen=True, slots=True)
class Variables:
    """What `${name}` stands for; `late` names what only a probe at the run's begin, or Vault, can tell.

    `nameless` says that there are secrets whose very names only Vault knows.
    """

    configuration: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    late: frozenset[str] = frozenset()
    nameless: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Every name that is known to stand for something."""
        return frozenset(
            {*self.configuration, *self.late, *(name for group in self.secrets.values() for name in group)}
        )

    def undefined(self, value: Any) -> list[str]:
        """Name each `${name}` in a value that stands for nothing; none where nobody can tell."""
        found = USED.findall(json.dumps(value, default=str))
        return [] if self.nameless else [name for name in dict.fromkeys(found) if name not in self.names]

    def known(self, value: Any) -> Any:
        """Replace each `${name}`; None where that has to wait for the run."""
        try:
            return self.fill(value)
        except ValueError:
            return None

    def fill(self, value: Any) -> Any:
        """Replace each `${name}` as Chaos Toolkit does; raises ValueError where that has to wait for the run."""
        if not self.configuration and not self.secrets and not self.late:
            return value
        from chaoslib import substitute

        text = json.dumps(value, default=str)
        for name in self.late:
            if re.search(rf"\$(\{{{re.escape(name)}\}}|{re.escape(name)}\b)", text):
                raise ValueError(f"'${{{name}}}' is known only when the run has asked for it")
        return substitute(value, dict(self.configuration), dict(self.secrets))


def read(problems: Problems, top: Section, environ: Mapping[str, str]) -> Variables:
    """Read both sections; what cannot be had is a problem, so that no step meets a variable that is none."""
    configuration, late = _configuration(problems, _section(problems, top, "configuration"), environ)
    secrets = _secrets(problems, _section(problems, top, "secrets"), environ)
    vaults = [name for group in secrets.values() for name, value in group.items() if value is LATER]
    nameless = any(group is NAMELESS for group in secrets.values())
    found = Variables(configuration, secrets, frozenset({*late, *vaults}), nameless)
    _unreplaced(problems, top, found)
    return found


def _unreplaced(problems: Problems, top: Section, variables: Variables) -> None:
    """Refuse a variable inside the value of another, and one whose name Chaos Toolkit does not look for."""
    text = json.dumps(top.data, default=str, ensure_ascii=False)
    for place, value in _values(top):
        name, kind = str(place[-1]), value.get("type") if isinstance(value, dict) else None
        # One that is not used may be a place for what other parts of the document take over.
        used = f"${{{name}}}" in text
        meant = kind != PROBE and (used or isinstance(value, str) or kind == "env")
        if meant and any(one in variables.names for one in USED.findall(json.dumps(value, default=str))):
            problems.add(
                place,
                f"no variable is replaced in '{name}'",
                why="Chaos Toolkit replaces them in steps, not in one another",
                hint="write the value out, or put it together where it is needed",
            )
        if used and kind != PROBE and isinstance(value, dict) and isinstance(value.get("provider"), dict):
            problems.add(place, f"a probe is of type probe, not {shown(kind)}", why=WORD_BY_WORD, hint="type: probe")
        if used and not NAME.fullmatch(name):
            problems.add(
                place,
                f"no variable is called '{name}'",
                why="Chaos Toolkit looks for names of letters, digits and underscores, and no digit first",
                hint=re.sub(r"\W", "_", name).lstrip("0123456789"),
            )


def _values(top: Section) -> list[tuple[Place, Any]]:
    """List what both sections state, each with its place; the last word of that is its name."""
    configuration, secrets = top.data.get("configuration"), top.data.get("secrets")
    found: list[tuple[Place, Any]] = []
    if isinstance(configuration, dict):
        found += [((*top.at("configuration"), name), value) for name, value in configuration.items()]
    for group, values in secrets.items() if isinstance(secrets, dict) else ():
        if isinstance(values, dict) and values.get("type") != "vault":
            found += [((*top.at("secrets"), group, name), value) for name, value in values.items()]
    return found


def _section(problems: Problems, top: Section, key: str) -> Section:
    value = top.data.get(key)
    # Any name may be given here, so none is unknown.
    return Section(problems, {} if value is None else value, top.at(key), f"'{key}'", _names(value))


def _names(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, dict) else ("name: value",)


def _configuration(
    problems: Problems, section: Section, environ: Mapping[str, str]
) -> tuple[dict[str, Any], frozenset[str]]:
    found: dict[str, Any] = {}
    late = set()
    for name, value in section.data.items():
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == PROBE:
            late.add(name)
        elif kind == "env":
            found[name] = _env(problems, Section(problems, value, section.at(name), f"'{name}'", ENV), environ)
        elif kind in ("file", "vault"):
            problems.add(
                (*section.at(name), "type"),
                f"configuration does not come from a {kind}",
                why=WORD_BY_WORD,
                hint="harness run --var-file FILE, or type: env",
            )
        else:
            _as_it_stands(problems, name, value, section.at(name))
            found[name] = value
    return found, frozenset(late)


def _as_it_stands(problems: Problems, name: str, value: Any, place: Place) -> None:
    """Refuse a value that was meant to be fetched from somewhere and is handed on as it stands instead."""
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(kind, str) and "key" in value and set(value) <= {*ENV}:
        problems.add(
            (*place, "type"),
            f"{shown(kind)} is no place to read '{name}' from",
            why=WORD_BY_WORD,
            hint=nearest(kind, KINDS),
        )
    elif _fetched(value):
        problems.add(
            place,
            f"'{name}' reads from the environment inside another value",
            why=WORD_BY_WORD,
            hint="give it a name of its own, and write ${name} where it is needed",
        )


def _fetched(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any((isinstance(one, dict) and one.get("type") == "env" and "key" in one) or _fetched(one) for one in inside)


def _env(problems: Problems, section: Section, environ: Mapping[str, str]) -> Any:
    key = section.data.get("key")
    if not isinstance(key, str) or not key:
        problems.add(section.place, f"{section.name} needs 'key'", why="it names the environment variable")
        return None
    kind = section.data.get("env_var_type")
    if kind is not None and kind not in TYPES:
        problems.add(
            section.at("env_var_type"), f"{shown(kind)} is no type of a variable", hint=nearest(str(kind), TYPES)
        )
        return None
    if key not in environ and "default" not in section:
        problems.add(
            section.at("key"),
            f"the environment variable {key} is not set",
            why=f"{section.name} is read from it, and has no default",
            hint=f"{key}=... before the command, or 'default: ...' beside it",
        )
        return None
    text = environ.get(key, section.data.get("default"))
    from chaoslib import convert_to_type

    try:
        return convert_to_type(kind, text)
    except (ValueError, TypeError, AttributeError):
        # The value may be a secret.
        held = f"what the environment variable {key} holds" if key in environ else "the default"
        problems.add(section.at("key"), f"{held} is no {kind}")
        return None


def _secrets(problems: Problems, section: Section, environ: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for group, value in section.data.items():
        place = section.at(group)
        if isinstance(value, dict) and value.get("type") == "vault":
            _vault(problems, value, place)
            found[group] = NAMELESS
        elif not isinstance(value, dict) or value.get("type") == "env":
            problems.add(
                place,
                f"the secret '{group}' stands outside of a group",
                why="a provider asks for a group by its name, and nothing could be replaced by this one",
                hint=f"secrets: {{{group}: {{name: ...}}}}",
            )
        else:
            found[group] = {
                name: _secret(problems, name, item, (*place, name), environ) for name, item in value.items()
            }
    return found


def _secret(problems: Problems, name: str, value: Any, place: Place, environ: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        _as_it_stands(problems, name, value, place)
        return value
    kind = value.get("type")
    if kind == "vault":
        _vault(problems, value, place)
        return LATER
    if kind == "env":
        section = Section(problems, value, place, f"'{name}'", SECRET_ENV)
        if isinstance(section.data.get("key"), str):
            return _env(problems, section, environ)
        problems.add(place, f"{section.name} needs 'key'", why="it names the environment variable")
    elif kind == "file":
        problems.add(
            (*place, "type"),
            "secrets do not come from a file by themselves",
            why=WORD_BY_WORD,
            hint="harness run --var-file FILE, or type: env",
        )
    elif kind == PROBE:
        problems.add((*place, "type"), "secrets do not come from a probe", why=WORD_BY_WORD, hint="configuration does")
    else:
        nested = {key: item for key, item in value.items() if not isinstance(item, dict)}
        _as_it_stands(problems, name, nested, place)
        return {key: _secret(problems, key, item, (*place, key), environ) for key, item in value.items()}
    return None


def _vault(problems: Problems, value: Mapping[str, Any], place: Place) -> None:
    section = Section(problems, dict(value), place, "a secret from Vault", VAULT)
    section.get("path", str, "", required="it says where the secret lies")
    if importlib.util.find_spec("hvac") is None:
        problems.add(
            place,
            "secrets from Vault need the package hvac",
            why="Chaos Toolkit would go on with an empty secret",
            hint="pip install 'chaostoolkit-lib[vault]'",
        )
