"""A template is read with a closed schema; whatever would be refused, or judged otherwise, has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis import files, reading
from harness.analysis.template import Template
from harness.errors import UsageError
from harness.source import lines

HEAD = "kind: AnalysisTemplate\nmetadata: {name: t}\nspec:\n"
WHOLE = """\
  args:
  - name: service
  - name: limit
    value: "0.95"
  - name: count
    value: "5"
  dryRun:
  - metricName: late.*
  measurementRetention:
  - {metricName: .*, limit: 5}
  metrics:
  - name: success
    interval: 1m
    initialDelay: 30s
    count: "{{args.count}}"
    successCondition: result[0] >= {{ args.limit }}
    failureLimit: 2
    consecutiveErrorLimit: 1
    provider:
      prometheus:
        address: http://prometheus:9090
        timeout: 7
        query: sum(rate(requests{service="{{args.service}}"}[1m]))
  - name: latency
    provider: {prometheus: {query: up}}
"""


def read(text: str, **given: str) -> Template:
    return reading.read(lines.read(text, Path("t.yaml")), given)


def refused(text: str, **given: str) -> str:
    with pytest.raises(UsageError) as error:
        read(text, **given)
    return str(error.value)


def metric(more: str) -> str:
    return f"{HEAD}  metrics:\n  - name: m\n    provider: {{prometheus: {{query: up}}}}\n{more}"


def test_a_template_becomes_its_metrics_with_every_argument_in_its_place() -> None:
    found = read(HEAD + WHOLE, service="cart")
    success, latency = found.metrics
    assert success.query == 'sum(rate(requests{service="cart"}[1m]))'
    assert success.success is not None
    assert success.success.text == "result[0] >= 0.95"
    assert (success.interval, success.initial_delay, success.count, success.timeout) == (60.0, 30.0, 5, 7.0)
    assert (success.failure_limit, success.inconclusive_limit, success.consecutive_error_limit) == (2, 0, 1)
    assert not success.dry_run
    assert (latency.interval, latency.measurements, latency.consecutive_error_limit) == (None, 1, 4)
    assert not found.endless


def test_a_rule_for_dry_runs_is_found_anywhere_in_a_name() -> None:
    text = HEAD + WHOLE.replace("late.*", "t[ea]n")
    assert [one.dry_run for one in read(text, service="cart").metrics] == [False, True]


@pytest.mark.parametrize("rule", ["'*'", "nothing", "'(?=lat)'", "'['"])
def test_a_rule_that_matches_nothing_is_refused_as_the_controller_does(rule: str) -> None:
    assert "t.yaml:11: no metric's name matches" in refused(HEAD + WHOLE.replace("late.*", rule), service="cart")


def test_an_argument_that_nobody_gives_is_refused_by_name() -> None:
    said = refused(HEAD + WHOLE)
    assert "t.yaml:5: 'service' has no value" in said
    assert "--arg service=VALUE" in said


def test_an_argument_from_the_cluster_is_refused_unless_it_is_given() -> None:
    text = (
        f"{HEAD}  args:\n  - name: token\n    valueFrom: {{secretKeyRef: {{name: s, key: k}}}}\n"
        "  metrics:\n  - name: m\n    provider: {prometheus: {query: 'q{{args.token}}'}}\n"
    )
    assert "t.yaml:6: 'token' has no value here" in refused(text)
    assert read(text, token="x").metrics[0].query == "qx"


def test_an_argument_that_the_template_does_not_have_is_refused() -> None:
    assert "did you mean 'service'?" in refused(HEAD + WHOLE, service="cart", servic="cart")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("    failurelimit: 2\n", "t.yaml:7: unknown key 'failurelimit' in a metric"),
        ("    count: 5\n", "t.yaml:7: 'count' above 1 needs an 'interval'"),
        ("    interval: 1s\n    count: 1\n    failureLimit: 2\n", "'count' is below failureLimit"),
        ("    interval: 1s\n    count: 1\n    inconclusiveLimit: 2\n", "'count' is below inconclusiveLimit"),
        ("    failureLimit: -1\n", "t.yaml:7: 'failureLimit' is switched off"),
        (
            "    failureLimit: -1\n    consecutiveSuccessLimit: 3\n    count: 2\n    interval: 1s\n",
            "t.yaml:9: 'count' is below consecutiveSuccessLimit, 3",
        ),
        ("    failureLimit: -2\n", "t.yaml:7: 'failureLimit': -2 is not between -1"),
        ("    inconclusiveLimit: -1\n", "t.yaml:7: 'inconclusiveLimit'"),
        ("    count: many\n", "t.yaml:7: 'count': 'many' is not a whole number"),
        ("    interval: 60\n", "t.yaml:7: 'interval'"),
        ("    interval: 1ms\n", "t.yaml:7: 'interval'"),
        ("    successCondition: sum(result) > 1\n", "t.yaml:7: 'successCondition': 'sum' of the expression language"),
        ("    successCondition: 1\n", "t.yaml:7: 'successCondition': 1 is not a text"),
        ("    successCondition: result > {{args.x}}\n", "t.yaml:7: '{{args.x}}' stands for nothing"),
    ],
)
def test_what_is_wrong_with_a_metric_has_its_line(more: str, said: str) -> None:
    assert said in refused(metric(more))


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("{web: {url: http://x}}", "the provider 'web' is not asked"),
        ("{job: {}}", "the provider 'job' is not asked"),
        ("{prometheus: {query: up, rangeQuery: {start: now()}}}", "'rangeQuery' is not read"),
        ("{prometheus: {address: http://x}}", "prometheus needs 'query'"),
        ("{promtheus: {query: up}}", "did you mean 'prometheus'?"),
        ("{}", "a metric needs a provider"),
    ],
)
def test_only_prometheus_is_asked(provider: str, said: str) -> None:
    assert said in refused(f"{HEAD}  metrics:\n  - name: m\n    provider: {provider}\n")


def test_every_problem_is_told_at_once() -> None:
    said = refused(metric("    count: -1\n    interval: soon\n"))
    assert "t.yaml:7" in said
    assert "t.yaml:8" in said


@pytest.mark.parametrize("spec", ["{}", "{metrics: []}", "[]", "{templates: [{templateName: x}]}"])
def test_a_template_without_metrics_of_its_own_is_refused(spec: str) -> None:
    refused(f"kind: AnalysisTemplate\nspec: {spec}\n")


def test_two_metrics_cannot_have_one_name() -> None:
    assert "more than once" in refused(metric("  - name: m\n    provider: {prometheus: {query: up}}\n"))


def test_the_one_object_of_a_file_is_chosen_or_the_one_with_the_name() -> None:
    two = lines.read_all("kind: AnalysisTemplate\nmetadata: {name: a}\n---\nkind: AnalysisTemplate\n", Path("t.yaml"))
    assert files.named(files.choose(two, "a", reading.means, reading.KINDS).data) == "a"
    for name, said in {"": "--name a", "b": "there is no object 'b'"}.items():
        with pytest.raises(UsageError) as error:
            files.choose(two, name, reading.means, reading.KINDS)
        assert said in str(error.value)
    with pytest.raises(UsageError) as error:
        files.choose(lines.read_all("kind: Rollout\n", Path("t.yaml")), "", reading.means, reading.KINDS)
    assert "nothing here" in str(error.value)
