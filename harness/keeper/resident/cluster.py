"""What the cluster is told about a run that died, by shell programs for the control-plane container."""

from __future__ import annotations

_KUBECTL = "k='kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s'; run=$1; "
# Only the run's own Lease is marked: the next run may hold it by now. Agents wait for the mark, so it is tried in one
# request first; what that refuses is looked at, and marked only in the version that was read.
EXPIRE = (
    _KUBECTL
    + r"""
$k -n chaos-system patch lease chaos-run --type=json -p "[
  {\"op\": \"test\", \"path\": \"/spec/holderIdentity\", \"value\": \"$run\"},
  {\"op\": \"add\", \"path\": \"/metadata/annotations/chaos.harness.dev~1expired\", \"value\": \"$run\"}]" && exit 0
held=$($k -n chaos-system get lease chaos-run --ignore-not-found \
  -o 'jsonpath={.spec.holderIdentity} {.metadata.resourceVersion}') || exit 1
set -- $held
[ "$1" = "$run" ] || exit 0
$k -n chaos-system annotate lease chaos-run --overwrite --resource-version="$2" "chaos.harness.dev/expired=$run"
"""
)
CLEAR = (
    _KUBECTL
    + """
for kind in faults nodefaults; do
  found=$($k get crd $kind.chaos.harness.dev --ignore-not-found -o name) || exit 1
  [ -z "$found" ] && continue
  $k delete $kind.chaos.harness.dev --all-namespaces -l "chaos.harness.dev/run=$run" --ignore-not-found || exit 1
done
"""
)
