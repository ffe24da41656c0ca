"""The keeper undoes by kubectl what the run undoes by requests, and nothing that somebody else has changed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.hands.api import kubectl, undoing
from harness.keeper.resident.docker import check

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
SECRET = "/api/v1/namespaces/shop/secrets"
NOT_OURS = "The request is invalid: the server rejected our request due to an error in our request"
# Answers by the verb it is asked for, or by verb and name, and writes down what it was asked and given.
FAKE = """#!/bin/sh
shift 2
all=$*
case $1 in --namespace=*) shift ;; esac
verb=$1
{ printf '%s\\n' "$all"; [ "$verb" != patch ] || { cat; echo; }; } >> "$ASKED/log"
for which in "$verb-$3" "$verb"; do
  [ ! -f "$ASKED/$which.says" ] || { cat "$ASKED/$which.says"; break; }
done
[ ! -f "$ASKED/$verb.fails" ] || { cat "$ASKED/$verb.fails" >&2; exit 1; }
"""


@dataclass
class Node:
    """A control-plane container with a kubectl that answers as a test wants it."""

    folder: Path
    says: dict[str, str] = field(default_factory=dict)
    fails: dict[str, str] = field(default_factory=dict)

    def run(self, op: dict[str, Any]) -> tuple[int, str, list[str]]:
        """Do an operation; return its exit status, what it printed, and what kubectl was asked."""
        program = self.folder / "kubectl"
        program.write_text(FAKE)
        program.chmod(0o755)
        for kind, texts in (("says", self.says), ("fails", self.fails)):
            for verb, text in texts.items():
                (self.folder / f"{verb}.{kind}").write_text(text)
        said = kubectl.said(op, "control-plane")
        assert check([said]) == [said]
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "ASKED": str(self.folder)}
        done = subprocess.run(said["argv"], capture_output=True, text=True, env=environment)
        log = self.folder / "log"
        return done.returncode, done.stdout + done.stderr, log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


TESTS = [{"op": "test", "path": "/data/key", "value": ""}]
BACK = [{"op": "replace", "path": "/data/key", "value": "c2VjcmV0"}]
PLAIN = {"op": "restore", "path": f"{WEB}/scale", "patch": [{"op": "test", "path": "/spec", "value": {}}, *BACK]}
KEPT = {"op": "restore", "path": f"{SECRET}/db", "patch": TESTS, "copy": f"{SECRET}/copy", "version": "7"}
CART = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/cart"
FAULT = {"abort": {"httpStatus": 503, "percentage": {"value": 12.5}}}
FIELD = {"op": "unroute", "path": CART, "fault": FAULT, "spare": ["", "b"]}
ROUTE = {"op": "unroute", "path": CART, "name": "chaos-run-1"}
SHOWN = '{"abort":{"httpStatus":503,"percentage":{"value":12.5}}}'
OURS = {**PLAIN, "path": WEB, "ours": "chaos.invalid/run-1:none"}


def test_a_patch_is_sent_to_the_part_that_it_is_for(node: Node) -> None:
    code, _, asked = node.run(PLAIN)
    assert code == 0
    assert asked[0].startswith("--namespace=shop patch deployments.v1.apps web --subresource=scale --type=json")
    assert json.loads(asked[1]) == PLAIN["patch"]


def test_to_test_for_nothing_is_to_test_for_null(node: Node) -> None:
    _, _, asked = node.run({"op": "restore", "path": WEB, "patch": [{"op": "test", "path": "/data/key"}]})
    assert json.loads(asked[1]) == [{"op": "test", "path": "/data/key", "value": None}]


@pytest.mark.parametrize("answer", [NOT_OURS, 'Error from server (NotFound): deployments.apps "web" not found'])
def test_what_is_gone_or_no_longer_ours_is_undone(node: Node, answer: str) -> None:
    node.fails["patch"] = answer
    assert node.run(PLAIN)[0] == 0


@pytest.mark.parametrize("answer", ["Unable to connect to the server: EOF", "Error from server (Forbidden): no"])
def test_any_other_refusal_is_tried_again(node: Node, answer: str) -> None:
    node.fails["patch"] = answer
    code, said, _ = node.run(PLAIN)
    assert (code, answer in said) == (1, True)


@pytest.mark.parametrize(("there", "code"), [('{"image": "chaos.invalid/run-1:none"}', 1), ('{"image": "web:2"}', 0)])
def test_what_has_moved_is_not_taken_for_gone(node: Node, there: str, code: int) -> None:
    node.fails["patch"], node.says["get"] = NOT_OURS, there
    assert node.run(OURS)[0] == code


def test_a_kept_value_is_in_no_argument_and_its_copy_goes(node: Node) -> None:
    node.says["get"] = base64.b64encode(json.dumps(BACK).encode()).decode()
    code, said, asked = node.run(KEPT)
    assert code == 0
    assert json.loads(asked[3]) == [*TESTS, *BACK]
    assert asked[-1] == "--namespace=shop delete secrets copy --ignore-not-found --wait=false"
    assert "c2VjcmV0" not in said + "".join(line for line in asked if "patch" in line and "[" not in line)
    assert "c2VjcmV0" not in json.dumps(kubectl.said(KEPT, "control-plane"))


def test_a_refusal_that_quotes_a_kept_value_is_cut(node: Node) -> None:
    node.says["get"] = base64.b64encode(json.dumps(BACK).encode()).decode()
    node.fails["patch"] = "Error from server (BadRequest): c2VjcmV0 is no good"
    code, said, _ = node.run(KEPT)
    assert (code, said.strip()) == (1, "Error from server (BadRequest)")


@pytest.mark.parametrize(("answer", "code"), [("", 1), (NOT_OURS, 0)])
def test_without_its_copy_it_is_undone_only_where_nothing_is_as_the_fault_left_it(
    node: Node, answer: str, code: int
) -> None:
    node.fails |= {"patch": answer} if answer else {}
    assert node.run(KEPT)[0] == code


def test_no_change_can_be_on_its_way_any_more_when_the_copy_goes(node: Node) -> None:
    node.says |= {"get-copy": base64.b64encode(b"[]").decode(), "get-db": "7 "}
    node.fails["patch"] = NOT_OURS
    code, _, asked = node.run(KEPT)
    assert code == 0
    verbs = [line.split()[1] for line in asked if line.startswith("--")]
    assert verbs == ["get", "get", "annotate", "annotate", "patch", "delete"]
    assert "db --overwrite chaos.harness.dev/passed=yes" in asked[2]
    assert "db chaos.harness.dev/passed-" in asked[3]


@pytest.mark.parametrize(("there", "verbs"), [("8 yes", ["annotate", "patch"]), ("8 ", ["patch"]), ("", ["patch"])])
def test_a_mark_that_an_undo_which_was_cut_left_is_taken_away(node: Node, there: str, verbs: list[str]) -> None:
    node.says |= {"get-copy": base64.b64encode(json.dumps(BACK).encode()).decode(), "get-db": there}
    code, _, asked = node.run(KEPT)
    assert code == 0
    assert [line.split()[1] for line in asked if line.startswith("--")] == ["get", "get", *verbs, "delete"]
    assert ("db chaos.harness.dev/passed-" in "".join(asked)) == ("annotate" in verbs)


def test_a_patch_has_no_letter_that_yaml_reads_otherwise_than_json(node: Node) -> None:
    value = "\U0001f600 \u00e9 \x7f\x85\u2028\ufeff \x1b\n"
    back = [{"op": "add", "path": "/data/key", "value": value}]
    _, _, asked = node.run({**PLAIN, "patch": back})
    node.says["get"] = base64.b64decode(undoing.text_of(KEPT["copy"], back)["patch"]).decode()
    assert json.loads(asked[1]) == json.loads(node.says["get"]) == back
    for text in (asked[1], node.says["get"]):
        assert "\\ud83d" not in text
        assert not [letter for letter in text if "\x7f" <= letter <= "\uffff"]


def test_a_look_that_failed_does_not_say_that_nothing_has_moved(node: Node) -> None:
    node.fails |= {"patch": NOT_OURS, "get": "Unable to connect to the server: timeout"}
    assert node.run(OURS)[0] == 1


def test_a_namespace_may_be_called_secrets(node: Node) -> None:
    maps = "/api/v1/namespaces/secrets/configmaps"
    node.says["get"] = undoing.text_of(f"{maps}/copy", BACK)["patch"]
    code, _, asked = node.run({**KEPT, "path": f"{maps}/settings", "copy": f"{maps}/copy"})
    assert code == 0
    assert json.loads(asked[3]) == [*TESTS, *BACK]


def test_a_mapping_that_is_not_there_is_made_first_and_one_that_is_stays(node: Node) -> None:
    made = [{"op": "test", "path": "/data", "value": None}, {"op": "add", "path": "/data", "value": {}}]
    node.says["get-copy"] = base64.b64encode(json.dumps(BACK).encode()).decode()
    asked = node.run({**KEPT, "map": "/data"})[2]
    assert [json.loads(line) for line in asked if line.startswith("[")] == [[*made, *TESTS, *BACK]]
    node.fails["patch"] = NOT_OURS
    code, _, asked = node.run({**KEPT, "map": "/data"})
    assert code == 0
    assert [json.loads(line) for line in asked if line.startswith("[")][1:] == [[*made, *TESTS, *BACK], [*TESTS, *BACK]]
    assert asked[-1].split()[1:4] == ["delete", "secrets", "copy"]


def test_only_what_holds_the_faults_own_text_is_swept(node: Node) -> None:
    node.says["get"] = 'web-abc {"image":"web:1"}\nweb-bad {"image":"chaos.invalid/run-1:none"}\n'
    op = {"op": "sweep", "path": "/apis/apps/v1/namespaces/shop/replicasets", "ours": "chaos.invalid/run-1:none"}
    code, _, asked = node.run(op)
    assert code == 0
    assert asked[1:] == ["--namespace=shop delete replicasets.v1.apps web-bad --ignore-not-found --wait=false"]


def test_what_is_ready_is_not_swept_where_only_the_rest_hangs(node: Node) -> None:
    ours = '{"annotations":{"release":"release-run-1"}}'
    node.says["get"] = f"db-0 True {{}}\ndb-1 True {ours}\ndb-2 False {ours}\ndb-3  {ours}\ndb-4 False {{}}\n"
    op = {"op": "sweep", "path": "/api/v1/namespaces/shop/pods", "ours": '"release-run-1"', "unready": True}
    code, _, asked = node.run(op)
    assert code == 0
    assert '{.metadata.name}{" "}{.status.conditions[?(@.type=="Ready")].status}{" "}{@}{"\\n"}' in asked[0]
    assert [line.split()[3] for line in asked[1:]] == ["db-2", "db-3"]


def test_where_everything_is_ready_nothing_is_swept(node: Node) -> None:
    node.says["get"] = 'db-1 True {"release":"release-run-1"}\n'
    op = {"op": "sweep", "path": "/api/v1/namespaces/shop/pods", "ours": '"release-run-1"', "unready": True}
    code, _, asked = node.run(op)
    assert (code, len(asked)) == (0, 1)


def test_a_deletion_of_what_is_gone_is_fine(node: Node) -> None:
    code, _, asked = node.run({"op": "delete", "path": "/api/v1/namespaces/shop/resourcequotas/chaos-run-1"})
    assert (code, asked) == (0, ["--namespace=shop delete resourcequotas chaos-run-1 --ignore-not-found --wait=false"])


def test_what_lies_in_no_namespace_is_deleted_in_none(node: Node) -> None:
    root = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    code, _, asked = node.run({"op": "delete", "path": f"{root}/chaos-run-1"})
    kind = "validatingwebhookconfigurations.v1.admissionregistration.k8s.io"
    assert (code, asked) == (0, [f"delete {kind} chaos-run-1 --ignore-not-found --wait=false"])


@pytest.mark.parametrize(("found", "asked"), [("", 1), ("chaos.harness.dev/run-1", 2)])
def test_a_taint_is_taken_off_by_its_key_where_it_is_there(node: Node, found: str, asked: int) -> None:
    node.says["get"] = found
    code, _, log = node.run({"op": "untaint", "path": "/api/v1/nodes/worker", "key": "chaos.harness.dev/run-1"})
    assert (code, len(log)) == (0, asked)
    assert log[1:] in ([], ["taint node worker chaos.harness.dev/run-1-"])


@pytest.mark.parametrize(
    ("op", "there", "removed"),
    [
        (FIELD, f"{SHOWN} a", ["0/fault"]),
        (FIELD, f" x\n{SHOWN} a\n b\n{SHOWN} c", ["3/fault", "1/fault"]),
        # What bears a name that is spared, or none where that is spared.
        (FIELD, f"{SHOWN} b\n{SHOWN} \n{SHOWN} b b", ["2/fault"]),
        ({**FIELD, "spare": []}, f"{SHOWN} \n", ["0/fault"]),
        ({**FIELD, "spare": ["a*"]}, f"{SHOWN} ab\n", ["0/fault"]),
        (ROUTE, "a \nchaos-run-1 \nchaos-run-10 \nchaos-run-1 ", ["3", "1"]),
    ],
)
def test_a_fault_is_taken_out_of_routes_wherever_it_is_for_the_version_that_was_read(
    node: Node, op: dict[str, Any], there: str, removed: list[str]
) -> None:
    node.says["get"] = f"41\n{there}\n"
    code, _, asked = node.run(op)
    assert code == 0
    assert asked[0].startswith("--namespace=shop get virtualservices.v1.networking.istio.io cart --ignore-not-found -o")
    shown = '{.name}{" "}' if op is ROUTE else '{.fault}{" "}{.name}'
    looked = f'jsonpath={{.metadata.resourceVersion}}{{"\\n"}}{{range .spec.http[*]}}{shown}{{"\\n"}}{{end}}'
    assert looked in "\n".join(asked)
    version, *rest = json.loads(asked[-1])
    assert version == {"op": "test", "path": "/metadata/resourceVersion", "value": "41"}
    assert rest == [{"op": "remove", "path": f"/spec/http/{at}"} for at in removed]


@pytest.mark.parametrize("there", ["", "41\n", f"41\n{SHOWN[:-1]}, a\n", f"41\n{SHOWN} b\n a\n"])
def test_routes_without_the_fault_and_none_at_all_are_not_written(node: Node, there: str) -> None:
    node.says["get"] = there
    code, _, asked = node.run(FIELD)
    assert (code, [line for line in asked if " patch " in line]) == (0, [])


@pytest.mark.parametrize(
    ("answer", "code", "tries"),
    [
        (NOT_OURS, 1, 5),
        ("Error from server (Conflict): the object has been modified", 1, 5),
        ('Error from server (NotFound): virtualservices "cart" not found', 0, 1),
        ("Unable to connect to the server: EOF", 1, 1),
    ],
)
def test_routes_that_somebody_writes_meanwhile_are_read_anew(node: Node, answer: str, code: int, tries: int) -> None:
    node.says["get"], node.fails["patch"] = f"41\n{SHOWN} a\n", answer
    found, said, asked = node.run(FIELD)
    assert (found, sum(" patch " in line for line in asked)) == (code, tries)
    assert (answer in said) == bool(code)


def test_routes_that_cannot_be_read_are_not_taken_for_healed(node: Node) -> None:
    node.fails["get"] = "Unable to connect to the server: timeout"
    assert node.run(FIELD)[0] == 1


def test_an_operation_of_another_hand_stays_as_it_is() -> None:
    op = {"op": "exec", "container": "worker", "argv": ["true"]}
    assert kubectl.said(op, "control-plane") == op
