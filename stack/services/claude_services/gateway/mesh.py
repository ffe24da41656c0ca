"""What the control plane knows: the watched objects, indexed for translation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_services.gateway.fields import Refused
from claude_services.json_objects import Json

SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(slots=True)
class Mesh:
    """The objects of one namespace, by kind and name."""

    virtual_services: dict[str, Json] = field(default_factory=dict)
    destination_rules: dict[str, Json] = field(default_factory=dict)
    services: dict[str, Json] = field(default_factory=dict)
    endpoint_slices: dict[str, Json] = field(default_factory=dict)
    pods: dict[str, Json] = field(default_factory=dict)

    def rule(self, host: str) -> Json:
        """Return the spec of the DestinationRule for a host, or an empty one."""
        for rule in self.destination_rules.values():
            if rule["spec"].get("host") == host:
                spec: Json = rule["spec"]
                return spec
        return {}

    def port_name(self, host: str, number: int | None) -> str:
        """Return the name of a Service's port; the only port may be left out."""
        service = self.services.get(host)
        if service is None:
            raise Refused(f"destination {host}", "no such Service")
        ports = service["spec"].get("ports", [])
        for port in ports:
            if port["port"] == number or (number is None and len(ports) == 1):
                return str(port.get("name", ""))
        raise Refused(f"destination {host}", f"its Service has no port {number}, only {[p['port'] for p in ports]}")

    def addresses(self, host: str, port_name: str, labels: Mapping[str, str]) -> list[tuple[str, int]]:
        """Return address and port of each ready pod of a Service that carries all `labels`."""
        found: set[tuple[str, int]] = set()
        for piece in self.endpoint_slices.values():
            if piece["metadata"].get("labels", {}).get(SERVICE_LABEL) != host:
                continue
            numbers = [port["port"] for port in piece.get("ports") or [] if port.get("name", "") == port_name]
            for endpoint in piece.get("endpoints") or []:
                if endpoint.get("conditions", {}).get("ready", True) and self._carries(endpoint, labels):
                    found.update((address, number) for address in endpoint["addresses"] for number in numbers)
        return sorted(found)

    def _carries(self, endpoint: Json, labels: Mapping[str, str]) -> bool:
        if not labels:
            return True
        pod = self.pods.get((endpoint.get("targetRef") or {}).get("name", ""), {})
        carried = pod.get("metadata", {}).get("labels", {})
        return all(carried.get(key) == value for key, value in labels.items())
