"""Build the JSON Schema for editors from the catalogue: `python -m harness.documents.schema > harness/schema.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from harness.checkers import OBJECTIVES
from harness.documents import extension, schedule
from harness.documents import target as targets
from harness.documents.activity import KEYS, REFERENCE, UNASKED
from harness.documents.document import TOP
from harness.documents.fault import MOST_TIMES
from harness.documents.provider import ACTIONS, LONGEST_PAUSE, NEEDED, PROVIDERS
from harness.faults import FAULTS
from harness.faults.kind import FaultKind
from harness.load import workload, written
from harness.model import peer, share, strategy
from harness.model.experiment import SETS
from harness.model.parameter import Parameter, Type
from harness.stack import parts

Schema = dict[str, Any]

DURATION: Schema = {"type": ["string", "integer"], "pattern": r"^(\d+(\.\d+)?(ms|s|m|h))+$", "maximum": 0}
RATIO: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
        {"type": "number", "minimum": 0, "maximum": 1},
    ]
}
TEXT: Schema = {"type": "string", "minLength": 1}
PEER: Schema = {
    "anyOf": [
        TEXT,
        *(
            {
                "type": "object",
                "properties": dict.fromkeys(sorted(keys), TEXT),
                "required": sorted(keys),
                "additionalProperties": False,
            }
            for keys in peer.NAMED
        ),
    ]
}
TYPES: Mapping[Type, Schema] = {
    Type.DURATION: DURATION,
    Type.RATIO: RATIO,
    Type.TEXT: TEXT,
    Type.INTEGER: {"type": "integer"},
    Type.NUMBER: {"type": "number"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.SIGNAL: {"type": "string", "pattern": "^(SIG)?[A-Z][A-Z0-9+]*$"},
    Type.BANDWIDTH: {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[kMG]?bit/s$"},
    Type.NETWORKS: {"type": "array", "minItems": 1, "items": TEXT},
    Type.PEERS: {"type": "array", "minItems": 1, "items": PEER},
    Type.ADDRESSES: {"type": "array", "minItems": 1, "items": TEXT},
    Type.PORTS: {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    Type.NAMES: {"type": "array", "minItems": 1, "items": TEXT},
}
COUNT: Schema = {"type": "integer", "minimum": 1}
ALL: Schema = {"const": share.ALL}
NAMES: Schema = {"type": "array", "items": TEXT, "minItems": 1}
FILTERS: Mapping[str, Schema] = {
    "annotations": TEXT,
    "kinds": {"type": "array", "items": {"type": "string", "pattern": rf"^{targets.KIND.pattern}$"}},
    "included-pod-names": TEXT,
    "excluded-pod-names": TEXT,
    "minimum-age": DURATION,
}
AMOUNT: Schema = {"anyOf": [COUNT, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}, ALL]}


def build() -> Schema:
    """Return the schema of an experiment; what needs two places of the document to judge is left to the loader."""
    top: Mapping[str, Schema] = {
        "title": TEXT,
        "description": TEXT,
        "tags": {"type": "array", "items": TEXT},
        "steady-state-hypothesis": _closed(
            {"title": TEXT, "probes": _list(_activity(fault=None)), "controls": {"type": "array"}}, "title"
        ),
        "configuration": {"type": "object"},
        "secrets": {"type": "object", "additionalProperties": {"type": "object"}},
        "runtime": _closed(
            {
                "hypothesis": _closed({"strategy": {"const": strategy.DEFAULT}}),
                "rollbacks": _closed({"strategy": {"enum": list(strategy.ROLLBACKS)}}),
            }
        ),
        "method": _list(
            {"anyOf": [_activity(fault=None), _reference(), *(_activity(fault=kind) for kind in FAULTS.values())]}
        ),
        "rollbacks": _list({"anyOf": [_activity(fault=None), _reference()]}),
        "extensions": {"type": "array", "items": {"anyOf": [_extension(), _foreign()]}, "contains": _named()},
    }
    schema = _closed({key: top.get(key, {}) for key in TOP}, "title", "description", "method", "extensions")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "harness experiment", **schema}


def _closed(properties: Mapping[str, Schema], *required: str, about: str = "") -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return {"description": about, **found} if about else found


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _parameter(parameter: Parameter) -> Schema:
    found = {"description": parameter.summary, **TYPES[parameter.type]}
    if parameter.choices:
        # A signal is also taken with its SIG.
        long = [f"SIG{name}" for name in parameter.choices] if parameter.type is Type.SIGNAL else []
        found["enum"] = [*parameter.choices, *long]
    if parameter.type in (Type.INTEGER, Type.NUMBER):
        limits = {"minimum": parameter.minimum, "maximum": parameter.maximum}
        found |= {key: value for key, value in limits.items() if value is not None}
    if parameter.default is not None and parameter.type is not Type.DURATION:
        found["default"] = parameter.default
    return found


def _activity(fault: FaultKind | None) -> Schema:
    provider: Schema = {"anyOf": [_provider(kind) for kind in PROVIDERS]}
    if fault:
        provider = _closed(
            {
                "type": {"const": "python"},
                "module": {"const": ACTIONS},
                "func": {"const": fault.name},
                "arguments": _arguments(fault),
            },
            "type",
            "module",
            "func",
            "arguments",
        )
    pause = {"type": ["number", "string"], "minimum": 0, "maximum": LONGEST_PAUSE, "pattern": r"^\$\{.+\}$"}
    pauses = _closed(dict.fromkeys(("before", "after"), pause))
    properties: dict[str, Schema] = {
        "type": {"const": "action"} if fault else {"enum": ["probe", "action"]},
        "name": TEXT,
        "provider": provider,
        "pauses": pauses,
        "timeout": {"type": "number"},
        "controls": {"type": "array"},
        "background": {"type": "boolean"},
    }
    about = fault.summary if fault else ""
    keys = [key for key in KEYS if key != "ref" and not (fault and key in UNASKED)]
    return _closed({key: properties.get(key, {}) for key in keys}, "type", "name", "provider", about=about)


def _reference() -> Schema:
    return _closed({key: {"background": {"type": "boolean"}, "ref": TEXT}.get(key, {}) for key in REFERENCE}, "ref")


def _provider(kind: str) -> Schema:
    properties: dict[str, Schema] = {key: {} for key in PROVIDERS[kind]}
    properties |= dict.fromkeys(NEEDED[kind], TEXT) | {"type": {"const": kind}}
    if kind == "python":
        # Ours is described fault by fault; here it would accept any argument.
        properties["module"] = {**TEXT, "not": {"const": ACTIONS}}
    return _closed(properties, "type", *NEEDED[kind])


def _arguments(fault: FaultKind) -> Schema:
    parameters = {parameter.name: _parameter(parameter) for parameter in fault.parameters}
    counted, taken = f"{fault.target}s", targets.TAKES[fault.target]
    known: dict[str, Schema] = {
        **dict.fromkeys(("namespace", "selector", "hosting", "container"), TEXT),
        counted: AMOUNT,
        "mode": {"enum": list(share.MODES)},
        "value": {"type": ["integer", "string"]},
        "at-once": {"anyOf": [COUNT, ALL]},
        "config": {"type": "string", "pattern": f"^{targets.CONFIG.pattern}$"},
        "route": {"type": "string", "pattern": f"^{targets.ROUTE.pattern}$"},
        "component": {"enum": list(targets.COMPONENTS)},
    }
    if fault.target == "pod":
        known |= {"namespaces": NAMES, **FILTERS}
    keys = [key for key in targets.KEYS if key in taken and (key != "container" or fault.container)]
    target = _closed({key: known[key] for key in keys}, *targets.NEEDED[fault.target])
    if counted in taken:
        target["oneOf"] = [{"required": [counted]}, {"required": ["mode"]}]
        target["dependentRequired"] = {"value": ["mode"]}
    if fault.target == "pod":
        target["allOf"] = [
            {"oneOf": [{"required": ["namespace"]}, {"required": ["namespaces"]}]},
            {"anyOf": [{"required": [key]} for key in targets.PICKING]},
        ]
    course = {"duration": DURATION, "times": {**COUNT, "maximum": MOST_TIMES}, "every": DURATION}
    course |= {"late": {"type": "boolean"}} if fault.target == "pod" else {}
    needed = (one.name for one in fault.parameters if one.required)
    return _closed({"target": target, **course, **parameters}, "target", *needed)


def _extension() -> Schema:
    objectives = {
        kind.name: _closed(
            {**{each.name: _parameter(each) for each in kind.parameters}, "why": TEXT},
            *(each.name for each in kind.parameters if each.required and each.name not in extension.INHERITED),
            about=kind.summary,
        )
        for kind in OBJECTIVES.values()
    }
    number = {"type": "integer", "minimum": 0}
    names = [verdict.value for verdict in extension.EXPECTABLE]
    properties: dict[str, Schema] = {
        "name": {"const": "harness"},
        "sets": _list({"enum": list(SETS)}),
        "load": _load(),
        "phases": _closed(dict.fromkeys(extension.LONGEST, DURATION)),
        "objectives": _closed(objectives),
        "abort-when": _closed({"availability-below": RATIO, "for": DURATION}, "availability-below"),
        "blast-radius": _closed({"namespaces": _list(TEXT), "pods": number, "nodes": number}, "namespaces"),
        "expect": _closed({"verdict": {"enum": names}, "reason": TEXT}, "verdict"),
        "uncovered": {"type": "boolean", "description": "Lets steps run that no plan covers; no PASS by these alone."},
        "schedule": _schedule(),
        "parts": {"type": "array", "items": {"enum": parts.names()}, "description": "Parts of the stack it needs."},
        "choose": _list(_closed({"from": {**_list(TEXT), "minItems": 2}, "take": COUNT}, "from")),
    }
    return _closed({key: properties[key] for key in extension.KEYS}, "name")


def _schedule() -> Schema:
    period = {"type": "string", "pattern": rf"^{schedule.PERIOD.pattern}$"}
    day = {"type": "string", "pattern": rf"^{schedule.DAY.pattern}$"}
    properties: dict[str, Schema] = {
        "every": DURATION,
        "cron": TEXT,
        "timezone": TEXT,
        "excluded-weekdays": _list({"type": "string"}),
        "excluded-times-of-day": _list(period),
        "excluded-days-of-year": _list(day),
    }
    found = _closed({key: properties[key] for key in schedule.KEYS}, about="When `harness schedule` runs it by itself.")
    return {**found, "oneOf": [{"required": ["every"]}, {"required": ["cron"]}]}


def _load() -> Schema:
    rate = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*/\s*(s|m)$"}
    status = {"anyOf": [{"type": "integer", "minimum": 200, "maximum": 599}, {"type": "string"}]}
    value = {"type": ["string", "number"]}
    elsewhere = {"anyOf": [_closed({"env": TEXT}, "env"), _closed({"file": TEXT}, "file")]}
    drawn = {
        "anyOf": [
            {"type": "array", "items": value, "minItems": 1},
            _closed({"from": {"type": "integer"}, "to": {"type": "integer"}}, "from", "to"),
        ]
    }
    asked: dict[str, Schema] = {
        "name": TEXT,
        "weight": {"type": "number", "exclusiveMinimum": 0},
        "url": TEXT,
        "method": TEXT,
        "headers": {"type": "object", "additionalProperties": {"anyOf": [value, elsewhere]}},
        "body": {},
        "expect": _closed(
            {
                "status": {"anyOf": [status, {**_list(status), "minItems": 1}]},
                "json": {"type": "object", "minProperties": 1},
            }
        ),
    }
    properties: dict[str, Schema] = {
        "workload": {**TEXT, "examples": written.shipped()},
        "rate": rate,
        "stages": {**_list(_closed({"rate": rate, "for": DURATION}, "rate")), "minItems": 1},
        "ramp": DURATION,
        "timeout": DURATION,
        "redirects": {"type": "integer", "minimum": 0, "maximum": written.MOST_REDIRECTS},
        "http": {"enum": ["1.1", "2", 1.1, 2]},
        "tls": _closed(
            {**dict.fromkeys(("ca", "certificate", "key", "server-name"), TEXT), "verify": {"type": "boolean"}}
        ),
        **asked,
        "values": {"type": "object", "additionalProperties": drawn},
        "operations": {**_list(_closed({key: asked[key] for key in workload.CALL_KEYS})), "minItems": 1},
    }
    found = _closed({key: {"description": written.ABOUT[key], **properties[key]} for key in written.KEYS})
    return {**found, "oneOf": [{"required": ["rate"]}, {"required": ["stages"]}]}


def _foreign() -> Schema:
    return {"type": "object", "properties": {"name": {"not": {"const": "harness"}}}}


def _named() -> Schema:
    return {"type": "object", "properties": {"name": {"const": "harness"}}, "required": ["name"]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build(), indent=1) + "\n")
