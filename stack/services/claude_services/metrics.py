"""What the services count, under the names that probes, rules and dashboards read."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from claude_services.breaker import State

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)

REQUESTS = Counter("http_requests_total", "Requests answered.", ["service", "path", "code"])
LATENCY = Histogram("http_request_duration_seconds", "Time to answer.", ["service", "path"], buckets=BUCKETS)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests being answered.", ["service"])
REFUSED = Counter("http_requests_refused_total", "Requests refused for want of room.", ["service"])
RECEIVED = Counter("upstream_received_total", "Requests that arrived, answered or not.", ["service"])

EXECUTIONS = Counter("claude_agent_executions_total", "Agent executions.", ["outcome"])
QUEUE = Gauge("agent_queue_length", "Agent executions in progress.")
DEGRADED = Counter("degraded_answers_total", "Answers given from the last known state.", ["dependency"])

BREAKER_STATE = Gauge("breaker_state", "0 closed, 1 half-open, 2 open.", ["dependency"])
BREAKER_TRANSITIONS = Counter("breaker_transitions_total", "Changes of state.", ["dependency", "from", "to"])
BREAKER_FAST_FAILURES = Counter("breaker_fast_failures_total", "Calls refused by the breaker.", ["dependency"])
CLIENT_CALLS = Counter("client_calls_total", "Calls that the breaker admitted.", ["dependency"])
CLIENT_ATTEMPTS = Counter("client_attempts_total", "Requests sent, retries included.", ["dependency", "outcome"])
CLIENT_RETRIES = Counter("client_retries_total", "Attempts after the first.", ["dependency"])

OUTCOMES = ("ok", "client-error", "server-error", "overloaded", "timeout", "connect-failure", "reset")
MOVES = (
    (State.CLOSED, State.OPEN),
    (State.OPEN, State.HALF_OPEN),
    (State.HALF_OPEN, State.OPEN),
    (State.HALF_OPEN, State.CLOSED),
)


def prepare(dependency: str) -> None:
    """Show every series of a dependency as zero before its first event, so that increases can be computed."""
    BREAKER_STATE.labels(dependency).set(State.CLOSED.value)
    for was, to in MOVES:
        BREAKER_TRANSITIONS.labels(dependency, was.label, to.label)
    for outcome in OUTCOMES:
        CLIENT_ATTEMPTS.labels(dependency, outcome)
    for counter in (BREAKER_FAST_FAILURES, CLIENT_CALLS, CLIENT_RETRIES, DEGRADED):
        counter.labels(dependency)


class PrometheusObserver:
    """Count a client's calls."""

    def call(self, dependency: str) -> None:
        CLIENT_CALLS.labels(dependency).inc()

    def attempt(self, dependency: str, outcome: str) -> None:
        CLIENT_ATTEMPTS.labels(dependency, outcome).inc()

    def retry(self, dependency: str) -> None:
        CLIENT_RETRIES.labels(dependency).inc()

    def fast_failure(self, dependency: str) -> None:
        BREAKER_FAST_FAILURES.labels(dependency).inc()

    def moved(self, dependency: str, was: State, to: State) -> None:
        BREAKER_STATE.labels(dependency).set(to.value)
        BREAKER_TRANSITIONS.labels(dependency, was.label, to.label).inc()
