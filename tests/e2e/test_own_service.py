"""Whoever owns another service follows the README, with a Role in one namespace and nothing more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from harness.cluster import kubeconfig
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from tests.e2e import farm
from tests.e2e.live import ROOT, docker, events, starved, unchanged, verdict_of
from tests.e2e.namespaces import emptied
from tests.e2e.test_kubeconfig import named
from tests.readme import commands

pytestmark = pytest.mark.e2e
CONTEXT, NAMESPACE, ACCOUNT = "staging", "shop", "someone"
WHO = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
ADMIN = f"kubectl --context {CONTEXT} -n {NAMESPACE}"
SECTION = commands("Your own service")
HERE = ("make install", ". .venv/bin/activate", "cp ", "export ")
IMAGE = "python:3.13-alpine"
AUDIT = "cat /var/log/kubernetes/audit*.log"
LIMIT_SECONDS = 600.0
END = "--- that was it:"


@dataclass(frozen=True)
class Answer:
    """What somebody typed, what the README says of it, and what came of it; `runs` are the folders that it made."""

    typed: str
    promised: str
    code: int
    said: str
    runs: tuple[Path, ...] = ()


class Terminal:
    """A shell in which somebody types, who has a checkout with nothing but what is to be copied, and a kubeconfig."""

    def __init__(self, folder: Path, kubectl: Path) -> None:
        self.kubeconfig, self.folder = folder / "config", folder / "shop"
        checkout = folder / "checkout"
        checkout.mkdir(parents=True)
        (checkout / "docs").symlink_to(ROOT / "docs")
        (checkout / ".venv").symlink_to(sys.prefix)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HARNESS", "KUBE"))}
        own = {"KUBECONFIG": str(self.kubeconfig), "HARNESS_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        self.shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=checkout,
            env={**kept, **own, "PATH": f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"},
            start_new_session=True,
        )

    def type(self, command: str, promised: str = "") -> Answer:
        """Type one command and wait until it has ended, or until it was sent to the background."""
        assert self.shell.stdin
        assert self.shell.stdout
        before = self.runs()
        watchdog = threading.Timer(LIMIT_SECONDS, self.end)
        watchdog.start()
        self.shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{END}' $?\n")
        self.shell.stdin.flush()
        said: list[str] = []
        for line in self.shell.stdout:
            if line.startswith(END):
                break
            said.append(line)
        else:
            pytest.fail(f"{command}: the shell ended, or was ended after {LIMIT_SECONDS:g} s\n{''.join(said)}")
        watchdog.cancel()
        made = tuple(run for run in self.runs() if run not in before)
        return Answer(command, promised, int(line.removeprefix(END)), "".join(said), made)

    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs").glob("*"))

    def close(self) -> None:
        """End the shell and whatever it left in the background."""
        self.end()
        self.shell.communicate()

    def end(self) -> None:
        if self.shell.poll() is None:
            os.killpg(self.shell.pid, signal.SIGTERM)


@dataclass
class Walk:
    """Two people, and what each command of the section came to."""

    administrator: Terminal
    someone: Terminal
    answers: list[Answer] = field(default_factory=list)

    def of(self, words: str) -> list[Answer]:
        return [one for one in self.answers if one.typed.startswith(words)]

    def asked(self, words: str) -> str:
        """Ask the cluster as the administrator."""
        answer = self.administrator.type(f"{ADMIN} {words}")
        assert answer.code == 0, answer
        return answer.said.strip()


@pytest.fixture(scope="module")
def walk(cluster: LocalCluster, image: str, kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The whole section, typed as it stands; but for the tool's installation, a name and the shop's image."""
    folder = tmp_path_factory.mktemp("own")
    walked = Walk(Terminal(folder / "administrator", kubectl), Terminal(folder / "someone", kubectl))

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await emptied(kube, NAMESPACE)

    with unchanged(cluster):
        try:
            follow(walked, cluster, image)
            yield walked
        finally:
            walked.someone.close()
            walked.administrator.close()
            anyio.run(remove)


def follow(walked: Walk, cluster: LocalCluster, image: str) -> None:
    """Type each command in the terminal of whoever the README says it is for; end where one fails."""
    administrator, someone = walked.administrator, walked.someone
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["contexts"][0]["name"] = CONTEXT
    administrator.kubeconfig.write_text(yaml.safe_dump(config))
    running = next(number for number, (command, _) in enumerate(SECTION) if " proxy " in command)
    for number, (command, promised) in enumerate(SECTION):
        if command == "make install":
            continue
        if number == running:
            introduce(walked, cluster)
        theirs = number != running and (number < running or command.startswith("kubectl"))
        typed = command.replace("jane@shop.example", WHO)
        terminals = (administrator, someone) if command.startswith(HERE) else (administrator if theirs else someone,)
        for terminal in terminals:
            answer = terminal.type(typed, promised)
            walked.answers.append(answer)
            assert answer.code == (1 if promised.startswith("DEVIATED") else 0) or answer.runs, answer
        if command.startswith("cp "):
            shop = administrator.folder / "shop.yaml"
            text = shop.read_text()
            assert IMAGE in text
            shop.write_text(text.replace(IMAGE, image))


def introduce(walked: Walk, cluster: LocalCluster) -> None:
    """Hand whoever runs it a kubeconfig: a service account, to which the README bound the Role."""
    access = kubeconfig.load(cluster.kubeconfig, cluster.context)
    walked.asked(f"create serviceaccount {ACCOUNT}")
    token = walked.asked(f"create token {ACCOUNT} --duration=1h")
    ca = walked.someone.kubeconfig.with_name("ca.pem")
    ca.write_bytes(access.ca)
    config = {
        "clusters": [{"name": "c", "cluster": {"server": access.server, "certificate-authority": str(ca)}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
    }
    walked.someone.kubeconfig.write_text(yaml.safe_dump(config))
    whoami = walked.someone.type(f"kubectl --context {CONTEXT} auth whoami -o jsonpath='{{.status.userInfo.username}}'")
    assert whoami.said.strip() == WHO


def test_every_run_comes_to_the_verdict_that_the_readme_promises(walk: Walk) -> None:
    ran = walk.of("harness run")
    assert [len(one.runs) for one in ran] == [4, 1, 1]
    for answer in ran:
        promised, _, reason = answer.promised.partition(": ")
        verdicts = [verdict_of(run) for run in answer.runs]
        known = [verdict for verdict in verdicts if not starved(verdict)]
        assert {verdict["verdict"] for verdict in known} <= {promised.partition(",")[0]}, answer.said
        if len(known) == len(verdicts):
            assert answer.code == (1 if promised == "DEVIATED" else 0), answer.said
            assert all(reason in verdict["reason"] for verdict in verdicts)


def test_each_experiment_reached_what_it_is_about_and_saw_no_further_than_its_namespace(walk: Walk) -> None:
    whole, *_ = walk.of("harness run")
    victims = []
    for run in whole.runs:
        journal = events(run)
        (scope,) = [one["data"] for one in journal if one["type"] == "scope"]
        assert scope["namespace"] == NAMESPACE  # type: ignore[index]
        victims += [one["data"]["victim"] for one in journal if one["type"] == "fault.injected"]  # type: ignore[index]
    assert {victim.rpartition("/")[2].partition("-")[0] for victim in victims} == {"db", "report", "web"}
    assert all(victim.startswith(f"{NAMESPACE}/") for victim in victims)


def test_doctor_plan_report_and_undo_say_what_the_readme_says_of_them(walk: Walk) -> None:
    (doctor,) = walk.of("harness doctor")
    assert f"all granted in namespace {NAMESPACE}" in doctor.said
    assert "\n  x " not in doctor.said
    *_, plan = walk.of("harness plan")
    assert plan.said.count(f"{NAMESPACE}/web-") >= 3, "one to be killed and two to be evicted"
    assert f"{NAMESPACE}/db-" in plan.said
    assert f"{NAMESPACE}/report-now-" in plan.said
    (report,) = walk.of("harness report")
    assert (walk.someone.folder / report.said.split()[-1]).is_file()
    (undo,) = walk.of("harness undo")
    assert undo.promised in undo.said


def test_nothing_is_left_behind(walk: Walk) -> None:
    _, compared = walk.of("harness fingerprint")
    assert compared.promised in compared.said
    assert left(walk) == []
    (ended,) = walk.of("kill")
    assert ended.code == 0


def left(walk: Walk) -> list[str]:
    """Name the Leases and Faults of the namespace, each as KIND/NAME."""
    said = walk.asked("get leases,faults.chaos.harness.dev,nodefaults.chaos.harness.dev -o name")
    return [word for word in said.split() if "/" in word]


def test_nothing_outside_of_the_namespace_was_touched(walk: Walk, cluster: LocalCluster) -> None:
    lines = docker(cluster, "exec", cluster.control_plane, "sh", "-c", f"{AUDIT} | grep -F '{WHO}'").splitlines()
    asked = [one for one in map(json.loads, lines) if one["user"]["username"] == WHO]
    # A review only asks who one is and what one may do.
    changed = [one for one in asked if not one["objectRef"]["resource"].startswith("selfsubject")]
    assert {("delete", "pods", ""), ("create", "pods", "eviction")} <= {did(one) for one in changed}
    assert [did(one) for one in changed if one["objectRef"].get("namespace") != NAMESPACE] == []
    elsewhere = walk.someone.type(f"kubectl --context {CONTEXT} auth can-i delete pods --namespace default")
    assert elsewhere.said.split()[0] == "no"


def did(event: dict[str, Any]) -> tuple[str, str, str]:
    about = event["objectRef"]
    return event["verb"], about["resource"], about.get("subresource", "")


@pytest.mark.parametrize(
    ("verb", "resource", "question", "document"),
    [
        ("delete", "pods", "delete pods", "db_kill.yaml"),
        ("create", "pods/eviction", "create pods --subresource=eviction", "web_evict.yaml"),
        ("get", "services/proxy", "get services/web:80 --subresource=proxy", "web_kill.yaml"),
        ("create", "faults", "create faults.chaos.harness.dev", "report_kill.yaml"),
        ("create", "leases", "create leases.coordination.k8s.io", "report_kill.yaml"),
    ],
)
def test_without_one_rule_of_the_role_a_run_ends_with_one_line_that_names_it(
    walk: Walk, tmp_path: Path, verb: str, resource: str, question: str, document: str
) -> None:
    role = json.loads(walk.asked("get role chaos-harness -o json"))
    kept = [rule for rule in role["rules"] if not (resource in rule["resources"] and verb in rule["verbs"])]
    assert len(kept) == len(role["rules"]) - 1
    less = named("rbac.authorization.k8s.io/v1", "Role", "chaos-harness", rules=kept)
    pods = "get pods -o jsonpath='{.items[*].metadata.uid}'"
    before = walk.asked(pods)
    may = f"kubectl --context {CONTEXT} -n {NAMESPACE} auth can-i {question}"
    try:
        change(walk, tmp_path, less)
        farm.until(lambda: walk.someone.type(may).code == 1)
        done = walk.someone.type(f"harness run --context {CONTEXT} {document}")
    finally:
        change(walk, tmp_path, {**less, "rules": role["rules"]})
        farm.until(lambda: walk.someone.type(may).code == 0)
    assert done.code == 4, done.said
    (error,) = [line for line in done.said.splitlines() if line.startswith("error: ")]
    assert f"context {CONTEXT}" in error
    assert "this user may not" in error
    assert resource.partition("/")[0] in done.said
    assert "harness plan --role" in done.said
    assert "Traceback" not in done.said
    assert done.runs == ()
    assert walk.asked(pods) == before
    assert left(walk) == []


def change(walk: Walk, folder: Path, role: dict[str, Any]) -> None:
    (folder / "role.json").write_text(json.dumps(role))
    walk.asked(f"replace -f {folder / 'role.json'}")
