"""Peers of a target as a document names them: networks, pods by label, or a Service."""

from __future__ import annotations

from typing import Any, TypeAlias

from harness.model import units

# A network as text, {"namespace": .., "selector": ..} or {"namespace": .., "service": ..}.
Peer: TypeAlias = str | dict[str, str]
NAMED = ({"namespace", "selector"}, {"namespace", "service"})


def read(value: Any) -> list[Peer]:
    """Read peers; raises ValueError saying what is accepted."""
    return [_one(one) for one in units.listed(value, "peers, like [10.0.0.0/8, {namespace: shop, selector: app=cart}]")]


def _one(value: Any) -> Peer:
    if not isinstance(value, dict):
        (network,) = units.networks([value])
        return network
    if set(value) not in NAMED:
        raise ValueError(
            f"{units.shown(value)} is no peer; write {{namespace: shop, selector: app=cart}},"
            " {namespace: shop, service: cart} or a network"
        )
    return {key: units.text(value[key]) for key in sorted(value)}
