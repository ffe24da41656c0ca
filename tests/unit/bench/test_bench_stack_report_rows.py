"""The rows of the report: each of the seed's documents on its subjects has one, and each says what it is about."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bench.stack_report.__main__ import SUBJECTS
from bench.stack_report.row import Row
from harness.stack import parts

LAST_LINE = 1954
ROWS = [one for subject in SUBJECTS for one in subject.rows]
ASKED = [one for subject in SUBJECTS if subject.name != "elsewhere" for one in subject.rows]
# The documents of the seed that are about mesh, canary, autoscaling and placement, by what they make.
DOCUMENTS = {
    "HorizontalPodAutoscaler of claude-service": (122, 168),
    "VerticalPodAutoscaler of claude-service": (171, 192),
    "Terraform's node groups": (228, 275),
    "Namespace": (570, 577),
    "Deployment": (580, 698),
    "HorizontalPodAutoscaler": (701, 726),
    "Service": (729, 750),
    "ResourceQuota": (756, 773),
    "LimitRange": (776, 800),
    "PodDisruptionBudget": (803, 813),
    "NetworkPolicy": (816, 856),
    "Gateway": (864, 892),
    "VirtualService": (895, 926),
    "DestinationRule": (929, 962),
    "PeerAuthentication": (965, 973),
    "AuthorizationPolicy": (976, 994),
    "Rollout": (1000, 1060),
    "AnalysisTemplate": (1063, 1087),
    "VerticalPodAutoscaler": (1815, 1838),
    "cluster autoscaler": (1841, 1880),
    "spot InstanceGroup": (1883, 1908),
    "PriorityClass": (1911, 1927),
}


def spans(row: Row) -> list[tuple[int, int]]:
    found = []
    for span in row.lines.split(", "):
        first, _, last = span.partition("-")
        found.append((int(first), int(last or first)))
    return found


def test_names_tell_rows_apart_and_begin_with_their_subject() -> None:
    assert [name for name, count in Counter(one.name for one in ROWS).items() if count > 1] == []
    for subject in SUBJECTS:
        assert all(one.name.startswith(f"{subject.name}/") for one in subject.rows)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_where_the_seed_says_what_and_how_it_is_proved_or_why_not(row: Row) -> None:
    assert row.says
    assert all(1 <= first <= last <= LAST_LINE for first, last in spans(row))
    assert row.part in (*parts.names(), "scaling")
    assert bool(row.prove) == bool(row.done) == (not row.why)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_document_of_the_subjects_has_a_row(document: str) -> None:
    first, last = DOCUMENTS[document]
    assert any(first <= begin and end <= last for row in ASKED for begin, end in spans(row))


# What a document is called and what kind it is asks for nothing; nor do these keys by themselves.
EMPTY = {
    *("apiVersion", "kind", "metadata", "name", "namespace", "spec", "labels", "app", "version", "environment"),
    *("serviceAccountName", "scaleTargetRef", "selector", "matchLabels", "template", "containers", "targetRef"),
}


STARTS = {
    "auto-scaling.yaml": 123,
    "orchestrator.yaml": 570,
    "resource-management.yaml": 756,
    "mesh.yaml": 864,
    "canary.yaml": 1000,
    "cost.yaml": 1815,
}


def test_no_line_of_the_seed_s_own_numbers_is_left_out() -> None:
    """Hold the lines of the four subjects against the seed's copy in stack/seed, which has them in the same order."""
    covered = {line for row in ASKED for first, last in spans(row) for line in range(first, last + 1)}
    left = []
    for name, start in STARTS.items():
        text = (parts.folder().parent / "seed" / name).read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start):
            key = re.match(r"\s*(?:- )?([\w./-]+):", line)
            if key and key[1] not in EMPTY and number not in covered:
                left.append(f"{name} {number}: {line.strip()}")
    assert left == []
