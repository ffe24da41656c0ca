"""What one load is told: where, what, how fast and for how long at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.load import written
from harness.load.requests import Origin, origin_of
from harness.load.workload import PLACEHOLDER
from harness.model.load import LoadSpec
from harness.source.closed import Problems, Section
from harness.source.lines import Source

# The longest phases that a document may ask for, and what a run adds to them.
MAX_SECONDS = 7200.0
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Spec:
    """One load; `allow` names the hosts besides this machine it may be sent to.

    `url` is the cluster's gateway and `host` the name it is asked by: where a URL that is only a path goes.
    """

    load: LoadSpec
    out: Path
    url: str = ""
    host: str = ""
    seconds: float = 900.0
    seed: int = 0
    in_flight: int = 2000
    allow: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Name everybody who is asked."""
        whole = (self.url.rstrip("/") + call.url if call.at_gateway else call.url for call in self.load.calls)
        return tuple(dict.fromkeys(origin_of(PLACEHOLDER.sub("x", url)) for url in whole))

    @property
    def server_names(self) -> Mapping[Origin, str]:
        """Return the names that servers must prove in TLS where it is not their URL's."""
        named = dict.fromkeys(self.origins, self.load.tls.server_name) if self.load.tls.server_name else {}
        gateway = {origin_of(self.url): self.host} if self.url and self.host else {}
        return {**gateway, **named}


def from_mapping(values: Mapping[str, Any]) -> Spec:
    """Check a load and return it; raises UsageError. `load` is the section of a document, `folder` where it stands."""
    known = {field.name for field in dataclasses.fields(Spec)} | {"folder"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"unknown key {unknown[0]!r}", where="load", hint=f"known are: {', '.join(sorted(known))}")
    try:
        spec = Spec(
            load=_load(values["load"], Path(values.get("folder", "."))),
            out=Path(values["out"]),
            url=str(values.get("url") or ""),
            host=str(values.get("host") or ""),
            seconds=float(values.get("seconds", 900.0)),
            seed=int(values.get("seed", 0)),
            in_flight=int(values.get("in_flight", 2000)),
            allow=tuple(map(str, values.get("allow", ()))),
        )
    except KeyError as error:
        raise UsageError(f"{error.args[0]} is missing", where="load") from None
    except (TypeError, ValueError) as error:
        raise UsageError("a value is of the wrong kind", where="load", why=str(error)) from None
    _check(spec)
    return spec


def _load(section: Any, folder: Path) -> LoadSpec:
    problems = Problems(Source(Path("load"), section, {}))
    found = written.read(Section(problems, section, (), "'load'", written.KEYS), folder)
    problems.refuse()
    return found


def _check(spec: Spec) -> None:
    if spec.load.at_gateway:
        require_url(spec.url, "load.url")
    for origin in spec.origins:
        if origin.host not in LOCAL and origin.host not in spec.allow:
            raise UsageError(
                f"load is not sent to {origin.host!r}",
                where="load.url",
                why="only this machine's own ports are allowed by default",
                hint=f"name it on purpose: allow: [{origin.host}]",
            )
    if spec.load.at_gateway:
        require_bare(spec.url, "load.url")
    for name, value, most in (("seconds", spec.seconds, MAX_SECONDS), ("in_flight", spec.in_flight, 10_000)):
        if not 0 < value <= most:
            raise UsageError(f"{name} is {value:g}", where=f"load.{name}", why=f"it must be above 0, at most {most:g}")
    if spec.load.ramp > spec.seconds:
        raise UsageError(f"ramp is {spec.load.ramp:g}", where="load.ramp", why="it must lie between 0 and seconds")


def require_url(url: str, where: str) -> None:
    """Refuse what names no server to ask; raises UsageError that names `where` it stands."""
    try:
        parts = urlsplit(url)
        origin_of(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL", where=where, why=str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no http or https URL", where=where)


def require_bare(url: str, where: str) -> None:
    """Refuse what would be dropped in silence: paths are the workload's, and it sends no credentials."""
    parts = urlsplit(url)
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise UsageError(
            "the gateway's URL is more than scheme, host and port",
            where=where,
            why="the workload brings its own paths",
            hint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        )
