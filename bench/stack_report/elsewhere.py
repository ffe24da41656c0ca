"""What else the seed has: not of these four subjects, and why it is not asked here."""

from __future__ import annotations

from bench.stack_report.row import Row, Subject

NO_CLOUD = "needs a cloud; there is none here"
NO_DATA = "the stack has no data tier yet (errata)"
SHOWN = "the stack has it, and this report does not ask: {} does"

ROWS = [
    Row("elsewhere/multi-cloud", "66-118", "Two clouds, an edge and a management layer", why=NO_CLOUD),
    Row("elsewhere/terraform", "197-324", "Terraform: EKS, RDS and ElastiCache", why=NO_CLOUD),
    Row(
        "elsewhere/services",
        "328-385",
        "20 services of six domains",
        why="the stack has three of them: orchestrator, agent registry (placement/registry) and tool router",
    ),
    Row(
        "elsewhere/grpc",
        "389-440",
        "gRPC AgentService with streaming",
        why="half of its messages are not defined: it does not compile (errata)",
    ),
    Row(
        "elsewhere/breaker",
        "444-516",
        "Circuit breaker around calls of other services",
        why=SHOWN.format("experiments/tool-router, judged by the objective breaker,"),
    ),
    Row(
        "elsewhere/client",
        "518-562",
        "Client: a deadline and 3 retries inside the breaker",
        why=SHOWN.format("experiments/orchestrator/registry_latency.yaml"),
    ),
    Row(
        "elsewhere/scraping",
        "1584-1600",
        "ServiceMonitor: the orchestrators are scraped each 15 s",
        why="no operator here: by the pods' annotations (placement/scraping), each 2 s (errata)",
    ),
    Row("elsewhere/postgres", "1095-1154", "PostgreSQL, three instances, backups", why=NO_DATA),
    Row("elsewhere/redis", "1157-1225", "Redis Cluster of six", why=NO_DATA),
    Row("elsewhere/kafka", "1231-1295", "Kafka of three brokers", why=NO_DATA),
    Row("elsewhere/influxdb", "1298-1355", "InfluxDB", why=NO_DATA),
    Row(
        "elsewhere/zero-trust",
        "1360-1427",
        "Zero trust: WAF, identity provider, encryption",
        why="a picture; of it the mesh",
    ),
    Row(
        "elsewhere/gatekeeper",
        "1432-1504",
        "Gatekeeper: context, user, repositories, limits and labels are checked",
        why="no admission policy here yet; as written it would refuse every image (errata)",
    ),
    Row(
        "elsewhere/falco",
        "1507-1541",
        "Falco rules on processes and files",
        why="no Falco here; the rules are mounted by nothing (errata)",
    ),
    Row(
        "elsewhere/prometheus",
        "1549-1582",
        "Prometheus by its operator: two replicas, 30 days, alerts",
        why="one Prometheus without operator, rules and Alertmanager (errata)",
    ),
    Row("elsewhere/grafana", "1603-1646", "Grafana dashboard", why="no Grafana here (errata)"),
    Row(
        "elsewhere/jaeger", "1649-1686", "Jaeger with Elasticsearch", why="no Jaeger here; services pass request ids on"
    ),
    Row(
        "elsewhere/chaoskube",
        "1694-1729",
        "chaoskube kills pods every 10 minutes",
        why="its flags do not exist (errata); `harness import` makes a schedule of ours of it",
    ),
    Row(
        "elsewhere/litmus",
        "1732-1762",
        "Litmus pod-delete",
        why="nothing starts it (errata); `harness import` makes an experiment of ours of it",
    ),
    Row(
        "elsewhere/velero",
        "1765-1807",
        "Velero backs up daily",
        why="nothing here to back up before the data tier (errata)",
    ),
]

SUBJECT = Subject("elsewhere", "What else the seed has", ROWS)
