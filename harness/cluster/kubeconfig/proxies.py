"""Which proxy a server is asked through: that of its kubeconfig, else what the environment says, by kubectl's rules.

They are Go's, and those of other programs differ: HTTPS_PROXY before https_proxy, ALL_PROXY not at all, NO_PROXY with
CIDRs and ports, nothing through a proxy to this machine itself.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from harness.cluster.kubeconfig.selection import discreet, sound
from harness.errors import PreconditionFailed

PORTS = {"http": 80, "https": 443}
SCHEMES = ("http", "https", "socks5", "socks5h")


def choose(server: str, named: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the proxy's URL, or nothing; raises PreconditionFailed where the environment names what is no proxy.

    `named` is the kubeconfig's own, which holds for every address.
    """
    if named:
        return named
    environment = os.environ if environment is None else environment
    parts = urlsplit(server)
    variable = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    proxy = _variable(environment, variable)
    if not proxy or _spared(parts, _variable(environment, "NO_PROXY")):
        return ""
    url = proxy if urlsplit(proxy).scheme and urlsplit(proxy).netloc else f"http://{proxy}"
    if not sound(url) or urlsplit(url).scheme not in SCHEMES:
        raise PreconditionFailed(
            f"{variable} names no proxy: {discreet(proxy)!r}",
            where=server,
            hint=f"known are {', '.join(SCHEMES)}://HOST:PORT",
        )
    return url


def headers(proxy: str) -> dict[str, str] | None:
    """Return what an HTTP proxy is told of who asks; None where its URL names nobody."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"proxy-authorization": f"Basic {base64.b64encode(who.encode()).decode()}"}


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.lower()) or ""


def _spared(server: SplitResult, exceptions: str) -> bool:
    host = (server.hostname or "").lower()
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    port = str(server.port or PORTS.get(server.scheme, 0))
    return any(_matches(rule.strip().lower(), host, address, port) for rule in exceptions.split(","))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _matches(rule: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: str) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    if "/" in rule:
        try:
            return address is not None and address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            pass
    name, its_port = _parted(rule)
    if its_port not in ("", port) or not name:
        return False
    if (own := _address(name)) is not None or address is not None:
        return own is not None and own == address
    suffix = name.removeprefix("*") if name.startswith("*.") else name
    return host.endswith(suffix) if suffix.startswith(".") else host == suffix or host.endswith(f".{suffix}")


def _parted(rule: str) -> tuple[str, str]:
    """Split a host from its port; an IPv6 address has colons of its own."""
    if rule.startswith("["):
        name, _, rest = rule[1:].partition("]")
        return name, rest.removeprefix(":")
    if rule.count(":") == 1:
        name, _, port = rule.partition(":")
        return name, port
    return rule, ""
