"""What the seed says of where pods go and what they may take, lines 569 to 857 and 1911 to 1927."""

from __future__ import annotations

from bench.stack_report.placement import losses, network, nodes, pods, probes, shares
from bench.stack_report.placement.common import ground
from bench.stack_report.row import Row, Subject

ELSE = [
    Row(
        "placement/namespace",
        "571-577",
        "Namespace: labels environment and team",
        why="labels that nothing in the seed reads; the rows above are asked in it",
    ),
    Row(
        "placement/grpc",
        "623-624, 747-750",
        "Deployment and Service: gRPC on port 8000",
        why="nothing listens there: the AgentService of the seed does not compile (errata)",
    ),
    Row(
        "placement/settings",
        "630-639, 674-682",
        "Deployment: DATABASE_URL from a Secret, REDIS_URL and /app/config from ConfigMaps",
        why="defined nowhere in the seed, and nothing here reads them until there is a data tier (errata)",
    ),
    Row(
        "placement/image-pull",
        "616-617",
        "Deployment: the image is pulled anew for each pod",
        why="IfNotPresent here: a registry outage would stop every replacement (errata); there is no registry to ask",
    ),
    Row(
        "placement/load-balancer",
        "735-739",
        "Service: a network load balancer of a cloud",
        why="nobody hands out addresses here; the gateway is the way in",
    ),
    Row(
        "placement/storage-quota",
        "766",
        "ResourceQuota: 1Ti of storage asked for",
        why="nothing in the stack claims a volume before the data tier; the count of claims is placement/quota-counts",
    ),
]

_ROWS = [row for one in (pods, probes, nodes, losses, shares, network) for row in one.ROWS]
SUBJECT = Subject("placement", "Placement", [*_ROWS, *ELSE], ground)
