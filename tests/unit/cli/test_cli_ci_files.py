"""The files that run a night elsewhere are what their readers take, and every command in them is one that there is."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.cli import documents, group
from harness.cluster import kubeconfig
from harness.engine.planning.rights import rules_for

ROOT = Path(__file__).parents[3]
GITHUB, GITLAB, CRONJOB = ".github/workflows/nightly.yml", "docs/ci/gitlab-ci.yml", "docs/ci/cronjob.yaml"
TEXT = {name: (ROOT / name).read_text() for name in (GITHUB, GITLAB, CRONJOB)}


def job() -> dict[str, Any]:
    return yaml.safe_load(TEXT[GITHUB])["jobs"]["nightly"]


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [item for item in yaml.safe_load_all(TEXT[CRONJOB]) if item["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    return manifest("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def commands() -> Iterator[list[str]]:
    """Return every command of the three files, as words; those that a comment tells to type are commands, too."""
    gitlab = yaml.safe_load(TEXT[GITLAB])["nightly"]
    lines = [line for step in job()["steps"] if "run" in step for line in step["run"].splitlines()]
    lines += [*gitlab["script"], *gitlab["after_script"]]
    lines += re.findall(r"^#   (harness [^|]*)", TEXT[CRONJOB], re.MULTILINE)
    lines += re.findall(r"`(harness [^`]*|make [^`]*)`", "".join(TEXT.values()))
    yield from (shlex.split(line) for line in lines)
    yield container()["command"]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_a_command_is_one_that_there_is_and_takes_its_options(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    program, *rest = words
    if program == "make":
        subprocess.run(["make", "--dry-run", *rest], check=True, capture_output=True, timeout=60)
        return
    assert program in (".venv/bin/harness", "harness")
    (tmp_path / "config").write_text("")
    rest = [word.replace("/etc/chaos/kubeconfig", str(tmp_path / "config")) for word in rest]
    command = group.get_command(click.Context(group), rest[0])
    assert command, f"harness has no command {rest[0]}"
    # `plan --role` is named without the files that it would need.
    with command.make_context(rest[0], rest[1:], resilient_parsing=rest == ["plan", "--role"]) as made:
        assert not made.args


def test_no_night_goes_through_make_which_swallows_the_exit_code() -> None:
    assert not [words for words in commands() if words[0] == "make" and "nightly" in words and len(words) > 2]
    ran = [step["run"] for step in job()["steps"] if "run" in step] + yaml.safe_load(TEXT[GITLAB])["nightly"]["script"]
    assert not [line for line in ran if line.startswith("make") and "nightly" in line]


def test_the_workflow_asks_for_no_right_but_to_read_and_for_no_action_but_named_versions() -> None:
    workflow = yaml.safe_load(TEXT[GITHUB])
    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in job()["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/(checkout|cache/restore|cache/save|upload-artifact)@v\d+", one) for one in used)
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow[True]) == {"schedule", "workflow_dispatch"}


def test_the_history_outlives_a_night_that_failed() -> None:
    kept = [
        step for step in job()["steps"] if step.get("uses", "").startswith(("actions/cache/save", "actions/upload"))
    ]
    assert [step["if"] for step in kept] == ["always()"] * 2
    gitlab = yaml.safe_load(TEXT[GITLAB])["nightly"]
    assert (gitlab["cache"]["when"], gitlab["artifacts"]["when"]) == ("always", "always")


def test_the_role_is_the_least_that_the_experiments_of_the_cron_job_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = [Path(word) for word in container()["command"] if word.startswith("experiments/")]
    needed = [dict(rule) for experiment in documents.load(files, only="nightly") for rule in rules_for(experiment)]
    least = {json.dumps(rule, sort_keys=True) for rule in needed}
    granted = [json.dumps(rule, sort_keys=True) for rule in manifest("ClusterRole")["rules"]]
    assert sorted(granted) == sorted(least), "`harness plan --role` of the cron job's experiments prints other rules"


def test_the_cron_jobs_kubeconfig_is_one_and_its_context_is_allowed(tmp_path: Path) -> None:
    text = manifest("ConfigMap")["data"]["kubeconfig"].replace("/var/run/secrets", str(tmp_path))
    account = tmp_path / "kubernetes.io" / "serviceaccount"
    account.mkdir(parents=True)
    (account / "token").write_text("secret\n")
    (account / "ca.crt").write_text("certificate\n")
    (tmp_path / "kubeconfig").write_text(text)
    (name,) = [word.removeprefix("--context=") for word in container()["command"] if word.startswith("--context=")]
    access = kubeconfig.load(tmp_path / "kubeconfig", name)
    assert (access.server, access.token_file) == ("https://kubernetes.default.svc", account / "token")
    assert {"name": "HARNESS_CONTEXTS", "value": name} in container()["env"]


def test_the_cron_job_has_the_time_to_undo_and_is_never_doubled() -> None:
    spec = manifest("CronJob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert pod["serviceAccountName"] == manifest("ServiceAccount")["metadata"]["name"]
