"""What chaoskube is told becomes an experiment with a schedule, flag by flag, or is refused with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.documents import document, imports
from harness.documents.imports import Wanted
from harness.documents.imports.flags import FLAGS
from harness.errors import UsageError
from harness.model.experiment import Experiment
from harness.model.fault import Filter
from harness.model.schedule import Schedule

SEED = Path(__file__).parents[3] / "stack" / "seed" / "chaos.yaml"
HEAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: monkey}
spec:
  template:
    spec:
      containers:
        - name: monkey
          image: registry.example/linki/chaoskube:v0.34.0
          args:
"""
SHOP = ["--namespaces=shop", "--labels=app=web"]


@pytest.fixture
def written(tmp_path: Path):
    """Import a Deployment with these arguments and return the text that comes of it."""

    def write(*arguments: str, wanted: Wanted | None = None, more: str = "") -> str:
        path = tmp_path / "chaoskube.yaml"
        path.write_text(HEAD + "".join(f"            - {one!r}\n" for one in arguments) + more)
        (found,) = imports.read([path], wanted or Wanted())
        return found.text

    return write


@pytest.fixture
def imported(written):
    return lambda *arguments, **more: document.loads(written(*arguments, **more), Path("monkey.yaml"))


@pytest.fixture
def refused(written):
    def lines(*arguments: str, **more: Any) -> str:
        with pytest.raises(UsageError) as error:
            written(*arguments, **more)
        return str(error.value)

    return lines


def test_the_seeds_own_chaoskube_becomes_the_schedule_that_it_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "chaos.yaml"
    # The other half of the file is Litmus'.
    path.write_text(SEED.read_text().split("\n---\n")[0])
    (found,) = imports.read([path], Wanted(namespaces=("claude-ecosystem-prod",)))
    made = document.loads(found.text, Path("chaos-monkey.yaml"))
    assert found.name == "chaos-monkey"
    assert made.schedule == Schedule(
        every=600, timezone="UTC", weekdays=(5, 6), times=((22 * 60, 8 * 60),), days=((1, 1), (12, 25))
    )
    (fault,) = made.faults
    assert (fault.kind, fault.parameters) == ("pod_kill", {"grace": None})
    assert fault.target.within == ("claude-ecosystem-prod",)
    assert fault.target.filter == Filter(annotations="chaos.alpha.kubernetes.io/enabled=true")
    assert (made.blast_radius.namespaces, made.blast_radius.pods) == (("claude-ecosystem-prod",), 1)
    comments = [line for line in found.text.splitlines() if line.startswith("# ")]
    assert comments[0] == "# Run it with: harness schedule chaos-monkey.yaml"
    assert (
        "# --exclude-weekdays is no flag of chaoskube's, which does not start with it; read as --excluded-weekdays."
        in comments
    )
    assert "# Not taken over: --log-format, which is about its log." in comments


def test_the_seeds_chaoskube_takes_pods_of_every_namespace_which_no_run_may() -> None:
    with pytest.raises(UsageError) as error:
        imports.read([SEED], Wanted(selector="app=claude-orchestrator"))
    assert "stack/seed/chaos.yaml:19: chaoskube would take pods of every namespace" in str(error.value)


def target(made: Experiment) -> Any:
    return made.faults[0].target


def test_each_flag_that_picks_pods_is_one_key_of_the_target(imported) -> None:
    made = imported(
        *("--namespaces", "shop,cart", "--labels=app in (web, api),!canary", "--annotations=chaos=yes"),
        *("--kinds=ReplicaSet,!DaemonSet", "--included-pod-names=^web", "--excluded-pod-names=-canary-"),
        *("--minimum-age=1h30m", "--max-kill=3"),
    )
    assert target(made).within == ("shop", "cart")
    assert target(made).selector == "app in (web, api),!canary"
    assert target(made).filter == Filter("chaos=yes", ("ReplicaSet", "!DaemonSet"), "^web", "-canary-", 5400.0)
    assert (target(made).pods, made.blast_radius.pods) == (3, 3)


def test_what_is_left_out_is_chaoskubes_default(imported, written) -> None:
    made = imported("--namespaces=shop")
    assert made.schedule == Schedule(every=600, timezone="UTC")
    assert (target(made).pods, target(made).filter) == (1, Filter(included=".*"))
    assert made.faults[0].parameters == {"grace": None}
    # Which touches nothing unless it is told to.
    assert written("--namespaces=shop").startswith("# Run it with: harness schedule monkey.yaml --dry-run\n")


@pytest.mark.parametrize(
    ("flag", "command"),
    [
        ("--no-dry-run", "monkey.yaml"),
        ("--dry-run=false", "monkey.yaml"),
        ("--dry-run", "monkey.yaml --dry-run"),
        ("--max-runtime=2h", "monkey.yaml --dry-run --for 2h"),
        ("--max-runtime=-1s", "monkey.yaml --dry-run"),
    ],
)
def test_what_no_document_can_say_is_said_by_the_command(written, flag, command) -> None:
    assert written(*SHOP, flag).splitlines()[0] == f"# Run it with: harness schedule {command}"


@pytest.mark.parametrize(("flag", "grace"), [("-1s", None), ("0s", 0), ("30s", 30), ("1m", 60)])
def test_the_grace_period_is_the_pods_own_when_it_is_negative(imported, flag, grace) -> None:
    assert imported(*SHOP, f"--grace-period={flag}").faults[0].parameters == {"grace": grace}


def test_when_it_may_kill_is_read_as_chaoskube_reads_it(imported) -> None:
    made = imported(
        *(*SHOP, "--interval=90s", "--timezone=America/New_York", "--excluded-weekdays= sat, Sun"),
        *("--excluded-times-of-day=12:00-13:00,22:00-08:00", "--excluded-days-of-year=Apr1,Dec24"),
    )
    assert made.schedule == Schedule(
        *(90.0, "", "America/New_York", (5, 6), ((720, 780), (1320, 480)), ((4, 1), (12, 24))),
    )


def test_variables_of_the_container_are_flags_and_a_flag_goes_before_its_variable(imported) -> None:
    more = (
        "          env: [{name: CHAOSKUBE_INTERVAL, value: 5m}, {name: CHAOSKUBE_NAMESPACES, value: cart}, {name: X}]\n"
    )
    made = imported("--labels=a=b", "--interval=7m", more=more)
    assert (made.schedule.every, target(made).within) == (420, ("cart",))


def test_namespaces_that_chaoskube_leaves_alone_stay_alone(imported, refused) -> None:
    wanted = Wanted(namespaces=("shop", "kube-system"))
    assert target(imported("--namespaces=!kube-system", "--labels=a=b", wanted=wanted)).within == ("shop",)
    assert "chaoskube.yaml:11: chaoskube leaves namespace 'cart' alone" in refused(
        *SHOP, wanted=Wanted(namespaces=("cart",))
    )


@pytest.mark.parametrize(
    ("flags", "named", "told"),
    [
        (["--namespaces=!shop"], ["shop"], "chaoskube.yaml:11: chaoskube leaves namespace 'shop' alone"),
        (["--namespaces=!shop"], ["shop", "shop"], "chaoskube leaves namespace 'shop' alone"),
        (["--namespaces=shop,!shop"], [], "chaoskube.yaml:11: chaoskube leaves namespace 'shop' alone"),
        (["--client-namespace-scope=shop"], ["other"], "chaoskube.yaml:11: chaoskube leaves namespace 'other' alone"),
        (["--namespaces=cart", "--client-namespace-scope=shop"], [], "chaoskube leaves namespace 'cart' alone"),
        (["--namespaces=!shop", "--client-namespace-scope=shop"], [], "chaoskube leaves namespace 'shop' alone"),
    ],
)
def test_a_namespace_that_chaoskube_leaves_alone_never_becomes_another_one(refused, flags, named, told) -> None:
    assert told in refused(*flags, wanted=Wanted(namespaces=tuple(named)))


def test_a_scope_of_the_client_is_the_namespace_where_none_is_named(imported) -> None:
    assert target(imported("--client-namespace-scope=shop", "--labels=a=b")).within == ("shop",)
    both = imported("--client-namespace-scope=shop", "--namespaces=shop,cart", "--labels=a=b")
    assert target(both).within == ("shop",)


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--namespace-labels=team=shop", "--namespace-labels=team=shop cannot be honoured"),
        ("--slack-webhook=https://hooks.example", "--slack-webhook cannot be honoured"),
        ("--metrics-address=:8080", "--metrics-address cannot be honoured"),
        ("--master=https://api.example", "--master cannot be honoured"),
        ("--kubeconfig=/etc/config", "--kubeconfig cannot be honoured"),
        ("--interval=often", "--interval: 'often' is not a duration"),
        ("--interval=1s", "--interval: '1s' is not between 10s and"),
        ("--timezone=Local", "--timezone: the zone of whatever machine it runs on"),
        ("--timezone=Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("--excluded-weekdays=Someday", "--excluded-weekdays: 'Someday' is not a weekday"),
        ("--excluded-times-of-day=22-8", "is not a time of day"),
        ("--excluded-days-of-year=Feb30", "'Feb30' is not a day of the year"),
        ("--max-kill=0", "--max-kill: '0' is not a count"),
        ("--grace-period=500ms", "is not a whole number of seconds"),
        ("--dry-run=perhaps", "--dry-run: 'perhaps' is not true or false"),
        ("--labels=app:web", "--labels: 'app:web' is not a label selector"),
        ("--kinds=deployment", "--kinds: 'deployment' is not the kind of a controller"),
        ("--included-pod-names=(", "is no regular expression"),
        ("--intervall=5m", "chaoskube has no flag --intervall"),
        ("5m", "'5m' is no flag"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_line(refused, flag, why) -> None:
    told = refused(*SHOP, flag)
    assert why in told
    assert "chaoskube.yaml:13: " in told


def test_a_value_that_is_kept_elsewhere_is_refused(refused) -> None:
    more = "          env: [{name: CHAOSKUBE_LABELS, valueFrom: {configMapKeyRef: {name: a, key: b}}}]\n"
    assert "what CHAOSKUBE_LABELS holds is not known here" in refused("--namespaces=shop", more=more)


def test_a_cron_job_and_a_pod_run_chaoskube_too(tmp_path: Path) -> None:
    pod = {"containers": [{"name": "sidecar", "image": "other"}, {"name": "a", "image": "chaoskube", "args": SHOP}]}
    job = {"spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}, "metadata": {"name": "a"}}
    path = tmp_path / "several.yaml"
    path.write_text(yaml.dump_all([job, {"spec": pod, "metadata": {"name": "b"}}, {"kind": "Service"}, None]))
    assert [one.name for one in imports.read([path], Wanted())] == ["a", "b"]


def test_a_file_without_anything_that_is_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text("kind: Service\n")
    with pytest.raises(UsageError, match="nothing here is known"):
        imports.read([tmp_path / "service.yaml"], Wanted())


def test_the_documentation_has_a_row_for_every_flag() -> None:
    rows = re.findall(r"^\| `--([a-z-]+)`", (SEED.parents[2] / "docs" / "chaoskube.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(FLAGS)
