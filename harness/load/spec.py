"""What one load is told: where, what, how fast and for how long at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.load.workloads import WORKLOADS
from harness.model.extension import MAX_RATE

MAX_SECONDS = 5400.0
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Spec:
    """One load; `allow` names the hosts besides this machine it may be sent to."""

    url: str
    host: str
    workload: str
    rate: float
    out: Path
    seconds: float = 900.0
    ramp: float = 0.0
    seed: int = 0
    timeout: float = 10.0
    in_flight: int = 2000
    allow: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int, bool]:
        """Give the host and port to connect to, and whether to speak TLS."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        return parts.hostname or "", parts.port or (443 if secure else 80), secure


def from_mapping(values: Mapping[str, Any]) -> Spec:
    """Check a load and return it; raises UsageError."""
    known = {field.name for field in dataclasses.fields(Spec)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"unknown key {unknown[0]!r}", where="load", hint=f"known are: {', '.join(sorted(known))}")
    try:
        spec = Spec(
            url=str(values["url"]),
            host=str(values.get("host") or ""),
            workload=str(values["workload"]),
            rate=float(values["rate"]),
            out=Path(values["out"]),
            seconds=float(values.get("seconds", 900.0)),
            ramp=float(values.get("ramp", 0.0)),
            seed=int(values.get("seed", 0)),
            timeout=float(values.get("timeout", 10.0)),
            in_flight=int(values.get("in_flight", 2000)),
            allow=tuple(map(str, values.get("allow", ()))),
        )
    except KeyError as error:
        raise UsageError(f"{error.args[0]} is missing", where="load") from None
    except (TypeError, ValueError) as error:
        raise UsageError("a value is of the wrong kind", where="load", why=str(error)) from None
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    host, _, _ = _address(spec)
    if host not in LOCAL and host not in spec.allow:
        raise UsageError(
            f"load is not sent to {host!r}",
            where="load.url",
            why="only this machine's own ports are allowed by default",
            hint=f"name it on purpose: allow: [{host}]",
        )
    _require_bare(spec)
    if spec.workload not in WORKLOADS:
        known = ", ".join(sorted(WORKLOADS))
        raise UsageError(f"unknown workload {spec.workload!r}", where="load.workload", hint=f"one of: {known}")
    for name, value, most in (
        ("rate", spec.rate, MAX_RATE),
        ("seconds", spec.seconds, MAX_SECONDS),
        ("timeout", spec.timeout, 60.0),
        ("in_flight", spec.in_flight, 10_000),
    ):
        if not 0 < value <= most:
            raise UsageError(f"{name} is {value:g}", where=f"load.{name}", why=f"it must be above 0, at most {most:g}")
    if not 0 <= spec.ramp <= spec.seconds:
        raise UsageError(f"ramp is {spec.ramp:g}", where="load.ramp", why="it must lie between 0 and seconds")


def _address(spec: Spec) -> tuple[str, int, bool]:
    try:
        scheme, address = urlsplit(spec.url).scheme, spec.address
    except ValueError as error:
        raise UsageError(f"{spec.url!r} is no URL", where="load.url", why=str(error)) from None
    if scheme not in ("http", "https") or not address[0]:
        raise UsageError(f"{spec.url!r} is no http or https URL", where="load.url")
    return address


def _require_bare(spec: Spec) -> None:
    """Refuse what would be dropped in silence: paths are the workload's, and it sends no credentials."""
    parts = urlsplit(spec.url)
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise UsageError(
            "the gateway's URL is more than scheme, host and port",
            where="load.url",
            why="the workload brings its own paths",
            hint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        )
