"""Say the same undo as a shell program for kubectl in the control-plane container, where the keeper does it.

The programs take all that they are about as arguments: an undo that holds one of them needs nothing else. What somebody
else has changed meanwhile, and what is gone, is as good as undone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.hands.api.undoing import PASSED, PATCH, written

Op = Mapping[str, Any]
_KUBECTL = "k='kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s'\n"

# $1 namespace, $2 type, $3 name, $4 subresource, $5 patch, $6 type and $7 name of the copy that holds the patch's rest,
# $8 what nobody else would have put there, $9 the version that a change may be on its way for, $10 the patch for where
# the mapping that it adds to is not there. A copy's rest is no argument: whoever lists processes would read it.
_RESTORE = (
    _KUBECTL
    + r"""
in=${1:+--namespace=$1} part=${4:+--subresource=$4} rest=
if [ -n "$7" ]; then
  rest=$($k $in get "$6" "$7" --ignore-not-found -o 'jsonpath={.data.PATCH}') || exit 1
  [ "$6" != secrets ] || rest=$(printf %s "$rest" | base64 -d) || exit 1
  now=$($k $in get "$2" "$3" --ignore-not-found \
    -o 'jsonpath={.metadata.resourceVersion} {.metadata.annotations.ESCAPED}') || exit 1
  case $now in "$9 "*) now=' yes'; $k $in annotate "$2" "$3" --overwrite PASSED=yes || exit 1 ;; esac
  case $now in *' yes') $k $in annotate "$2" "$3" PASSED- || exit 1 ;; esac
fi
other=
for patch in ${10:+"${10}"} "$5"; do
  other=
  [ -z "$rest" ] || patch="${patch%]},${rest#[}"
  if said=$(printf %s "$patch" | $k $in patch "$2" "$3" $part --type=json --patch-file=/dev/stdin 2>&1); then
    [ -z "$7" ] || [ -n "$rest" ] || { echo "the copy $7 is gone"; exit 1; }
    break
  fi
  case $said in
  *"(NotFound)"*) break ;;
  *"due to an error in our request"*) other=yes ;;
  *) [ -z "$7" ] || said=${said%%:*}; echo "$said"; exit 1 ;;
  esac
done
if [ -n "$other" ] && [ -n "$8" ]; then
  now=$($k $in get "$2" "$3" --ignore-not-found -o json) || exit 1
  case $now in *"$8"*) echo "$8 is still in $2 $3"; exit 1 ;; esac
fi
[ -z "$7" ] || $k $in delete "$6" "$7" --ignore-not-found --wait=false
""".replace("PATCH", PATCH)
    .replace("PASSED", PASSED)
    .replace("ESCAPED", PASSED.replace(".", r"\."))
)
# $1 namespace, $2 type, $3 what nobody else would have put there, $4 whether what is ready stays.
_SWEEP = (
    _KUBECTL
    + r"""
ready=
[ -z "$4" ] || ready='{.status.conditions[?(@.type=="Ready")].status}{" "}'
found=$($k --namespace="$1" get "$2" \
  -o 'jsonpath={range .items[*]}{.metadata.name}{" "}'"$ready"'{@}{"\n"}{end}') || exit 1
[ -z "$4" ] || found=$(printf '%s\n' "$found" | grep -v '^[^ ]* True ')
for name in $(printf '%s\n' "$found" | grep -F -e "$3" | cut -d' ' -f1); do
  $k --namespace="$1" delete "$2" "$name" --ignore-not-found --wait=false || exit 1
done
"""
)
# $1 namespace, $2 type, $3 name.
_DELETE = _KUBECTL + '$k ${1:+--namespace="$1"} delete "$2" "$3" --ignore-not-found --wait=false\n'
# $1 node, $2 key.
_UNTAINT = (
    _KUBECTL
    + r"""
found=$($k get node "$1" --ignore-not-found -o "jsonpath={.spec.taints[?(@.key==\"$2\")].key}") || exit 1
[ -z "$found" ] || $k taint node "$1" "$2-"
"""
)
# $1 namespace, $2 type, $3 name, $4 the words of JSONPath that show of a route what is the fault's, then what may spare
# it, $5 what is the fault's, $6 where in the route it is, empty for all of it, $7 what spares a route, each in a line.
_UNROUTE = (
    _KUBECTL
    + r"""
in=${1:+--namespace=$1} said=
for try in 1 2 3 4 5; do
  found=$($k $in get "$2" "$3" --ignore-not-found \
    -o "jsonpath={.metadata.resourceVersion}{\"\n\"}{range .spec.http[*]}$4{\"\n\"}{end}") || exit 1
  number=-1 version= places=
  while IFS= read -r line; do
    case $number in -1) version=$line line= ;; esac
    case $line in "$5 "*)
      case $7 in *"
${line#"$5 "}
"*) ;; *) places=",{\"op\":\"remove\",\"path\":\"/spec/http/$number$6\"}$places" ;; esac ;;
    esac
    number=$((number + 1))
  done <<END
$found
END
  [ -n "$places" ] || exit 0
  patch="[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"$version\"}$places]"
  said=$(printf %s "$patch" | $k $in patch "$2" "$3" --type=json --patch-file=/dev/stdin 2>&1) && exit 0
  case $said in
  *"(NotFound)"*) exit 0 ;;
  *"due to an error in our request"* | *"(Conflict)"*) ;;
  *) break ;;
  esac
done
echo "$said"
exit 1
"""
)


@dataclass(frozen=True, slots=True)
class Place:
    """What kubectl calls the object, or the collection, of an API path."""

    namespace: str
    type: str
    name: str = ""
    part: str = ""


def place(path: str) -> Place:
    """Read an API path."""
    root, *words = path.strip("/").split("/")
    kind = "" if root == "api" else f".{words[1]}.{words[0]}"
    words = words[1 if root == "api" else 2 :]
    namespace = ""
    if words[0] == "namespaces" and len(words) > 2:
        namespace, words = words[1], words[2:]
    plural, name, part = [*words, "", ""][:3]
    return Place(namespace, f"{plural}{kind}", name, part)


def said(op: Op, container: str) -> dict[str, Any]:
    """Return an operation of this hand as one that runs in a container; any other as it is."""
    words = WORDS.get(op["op"])
    if words is None:
        return dict(op)
    program, arguments = words(op)
    return {"op": "exec", "container": container, "argv": ["sh", "-c", program.strip(), "sh", *arguments]}


def _restore(op: Op) -> tuple[str, list[str]]:
    what = place(op["path"])
    copy = place(op["copy"]) if "copy" in op else Place("", "")
    # To test for nothing is to test for null.
    patch = [{"value": None, **one} if one["op"] == "test" else one for one in op["patch"]]
    whole = ""
    if holder := op.get("map"):
        # First of all: what is below it cannot be tested for before.
        missing, made = ({"op": do, "path": holder, "value": value} for do, value in (("test", None), ("add", {})))
        whole = written([missing, made, *patch])
    arguments = [what.namespace, what.type, what.name, what.part, written(patch), copy.type, copy.name]
    return _RESTORE, [*arguments, op.get("ours", ""), op.get("version", ""), whole]


def _sweep(op: Op) -> tuple[str, list[str]]:
    what = place(op["path"])
    return _SWEEP, [what.namespace, what.type, op["ours"], "yes" if op.get("unready") else ""]


def _delete(op: Op) -> tuple[str, list[str]]:
    what = place(op["path"])
    return _DELETE, [what.namespace, what.type, what.name]


def _untaint(op: Op) -> tuple[str, list[str]]:
    return _UNTAINT, [place(op["path"]).name, op["key"]]


def _unroute(op: Op) -> tuple[str, list[str]]:
    what = place(op["path"])
    if "name" in op:
        return _UNROUTE, [what.namespace, what.type, what.name, '{.name}{" "}', op["name"], "", ""]
    # As kubectl writes JSON: sorted, and without a space.
    fault = json.dumps(op["fault"], sort_keys=True, separators=(",", ":"))
    spare = "".join(f"{one}\n" for one in op["spare"])
    shown = '{.fault}{" "}{.name}'
    return _UNROUTE, [what.namespace, what.type, what.name, shown, fault, "/fault", f"\n{spare}" if spare else ""]


WORDS: Mapping[str, Callable[[Op], tuple[str, list[str]]]] = {
    "restore": _restore,
    "sweep": _sweep,
    "delete": _delete,
    "untaint": _untaint,
    "unroute": _unroute,
}
