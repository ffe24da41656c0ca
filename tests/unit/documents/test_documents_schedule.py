"""When an experiment is due, and which pods it picks besides their labels, as the document says it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.documents import document
from harness.errors import UsageError
from harness.model.fault import Filter
from harness.model.schedule import Schedule

DOCUMENT = """\
title: x
description: x
method:
  - type: action
    name: x
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {func},
               arguments: {{target: {{{target}}}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 5s}}}}, schedule: {{{schedule}}},
     blast-radius: {{namespaces: [shop, cart], pods: 1}}}}
"""
SHOP = "namespace: shop, selector: a=b, pods: 1"


def text(schedule: str = "every: 10m", target: str = SHOP, func: str = "pod_kill") -> str:
    return DOCUMENT.format(schedule=schedule, target=target, func=func)


def loaded(*arguments: str, **more: str):
    return document.loads(text(*arguments, **more), Path("x.yaml"))


def refused(*arguments: str, **more: str) -> str:
    with pytest.raises(UsageError) as error:
        loaded(*arguments, **more)
    return str(error.value)


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        ("every: 1m30s", Schedule(every=90)),
        (
            "cron: '*/10 8-18 * * Mon-Fri', timezone: Europe/Berlin",
            Schedule(0, "*/10 8-18 * * Mon-Fri", "Europe/Berlin"),
        ),
        (
            "every: 10m, excluded-weekdays: [Sat, sunday], excluded-times-of-day: ['22:00-8:00'],"
            " excluded-days-of-year: [Jan1, Feb29]",
            Schedule(600, "", "UTC", (5, 6), ((1320, 480),), ((1, 1), (2, 29))),
        ),
    ],
)
def test_a_document_says_when_it_is_due(editor, schedule, found) -> None:
    assert loaded(schedule).schedule == found
    editor.validate(yaml.safe_load(text(schedule)))


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("timezone: UTC", "needs either 'every' or 'cron'"),
        ("every: 10m, cron: '* * * * *'", "needs either 'every' or 'cron'"),
        ("every: 1s", "'1s' is not between 10s and 8784h"),
        ("cron: '* * * * * *'", "does not have the five fields"),
        ("cron: '61 * * * *'", "is not a cron expression: Bad minute"),
        ("cron: '0 0 31 2 *'", "is not a cron expression"),
        ("cron: '@daily'", "does not have the five fields"),
        ("every: 10m, timezone: Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("every: 10m, timezone: Europe", "is not the name of a time zone"),
        ("every: 10m, timezone: ../UTC", "is not the name of a time zone"),
        ("every: 10m, excluded-weekdays: [Mon, Tue, Wed, Thu, Fri, Sat, Sun]", "never due"),
        ("every: 10m, excluded-weekdays: [Mo]", "'Mo' is not a weekday"),
        ("every: 10m, excluded-times-of-day: ['08:00-08:00']", "is no time at all"),
        ("every: 10m, excluded-times-of-day: ['24:00-08:00']", "is not a time of day"),
        ("every: 10m, excluded-days-of-year: [Feb30]", "is not a day of the year"),
        ("every: 10m, quiet: true", "unknown key 'quiet'"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(schedule, why) -> None:
    assert why in refused(schedule)


def test_a_target_picks_by_annotations_alone_and_in_several_namespaces(editor) -> None:
    more = (
        "namespaces: [shop, cart], annotations: 'chaos=yes', kinds: [ReplicaSet, '!DaemonSet'],"
        " included-pod-names: ^web, excluded-pod-names: canary, minimum-age: 1h, pods: 1"
    )
    (fault,) = loaded(target=more).faults
    assert fault.target.within == ("shop", "cart")
    assert fault.target.filter == Filter("chaos=yes", ("ReplicaSet", "!DaemonSet"), "^web", "canary", 3600)
    editor.validate(yaml.safe_load(text(target=more)))


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("namespace: shop, pods: 1", "a target needs 'selector'"),
        ("selector: a=b, pods: 1", "a target needs 'namespace'"),
        ("namespaces: [], selector: a=b, pods: 1", "a target needs 'namespace'"),
        ("namespace: shop, namespaces: [cart], selector: a=b, pods: 1", "say the same twice"),
        ("namespaces: [shop, mesh], selector: a=b, pods: 1", "namespace 'mesh' is outside the blast radius"),
        ("namespace: shop, annotations: 'chaos>3', pods: 1", "is not a term of a selector"),
        ("namespace: shop, included-pod-names: '(', pods: 1", "is no regular expression"),
        ("namespace: shop, selector: a=b, kinds: [deployment], pods: 1", "is not the kind of a controller"),
        ("namespace: shop, minimum-age: 1h, pods: 1", "a target needs 'selector'"),
    ],
)
def test_a_target_that_would_pick_anything_or_nothing_is_refused(target, why) -> None:
    assert why in refused(target=target)


def test_what_picks_pods_picks_no_nodes() -> None:
    told = refused(target="selector: a=b, annotations: c=d, namespaces: [shop], nodes: 1", func="node_cordon")
    assert "'annotations' picks pods, not nodes" in told
    assert "nodes have no namespace" in told
