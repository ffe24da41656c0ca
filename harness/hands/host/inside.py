"""Shell programs that run in a node container, about the node.

They are plain sh with what every node image has, and take what they are about as arguments: an undo that holds one of
them needs nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# $1 cut or mend, $2 what marks the rules of one fault. All that comes in or leaves by eth0 is dropped, where a node of
# kind has its address: in chains where nobody accepts a packet before, and both ways at once. The node keeps its
# address, which `docker network disconnect` would give away; with its container the rules end, too.
_NETWORK = r"""
do=$1 mark=$2 tools=iptables
[ "$do" = mend ] || ip -o link show eth0 > /dev/null || exit
# Without an address of version 6 nothing is to be dropped, and some hosts have no table for it.
[ -z "$(ip -6 addr show dev eth0 scope global 2> /dev/null)" ] || tools="iptables ip6tables"
there() {
  rules=$($tool -w 5 -t mangle -S $1) || exit 1
  echo "$rules" | grep -qE -- "--comment \"?$mark\"? "
}
for tool in $tools; do
  goal="-m comment --comment $mark -j DROP"
  if [ "$do" = cut ]; then
    there PREROUTING && there POSTROUTING && continue
    printf "%s\n" "*mangle" "-I PREROUTING -i eth0 $goal" "-I POSTROUTING -o eth0 $goal" COMMIT |
      $tool-restore --noflush --wait 5 || exit 1
  else
    while there PREROUTING; do $tool -w 5 -t mangle -D PREROUTING -i eth0 $goal || exit 1; done
    while there POSTROUTING; do $tool -w 5 -t mangle -D POSTROUTING -o eth0 $goal || exit 1; done
  fi
done
"""

# $1 stop or start, $2 a unit that systemd starts with the node.
_UNIT = r"""
systemctl "$1" "$2" || exit
if systemctl is-active --quiet "$2"; then now=start; else now=stop; fi
[ "$now" = "$1" ] || { systemctl is-active "$2"; exit 1; }
"""

# $1 raise or lower, $2 what marks one fault, $3 options of the kubelet. No file of the node is changed: the options
# come by two files of this fault's own, in /run, which is empty when a node starts, behind those that the kubelet has.
# A kubelet that runs with them has the mark in its environment, as what agents start has, however far whoever began
# this has come. One at a time: what goes on in a node after its keeper died would be undone before it is done.
_PRESSURE = r"""
do=$1 mark=$2 options=$3
drop=/run/systemd/system/kubelet.service.d/zz-$mark.conf values=/run/$mark.env
exec 9< /run && flock -w 20 9 || exit
kubelet() { cat "/proc/$(systemctl show --property MainPID --value kubelet)/$1" 2> /dev/null | tr "\0" "\n"; }
marked() { kubelet environ | grep -qxF "CHAOS_HARNESS_FAULT=$mark"; }
if [ "$do" = lower ]; then
  begun=
  if [ -e "$drop" ] || marked; then begun=yes; fi
  rm -f "$drop" "$values" && systemctl daemon-reload || exit
  [ -z "$begun" ] || systemctl restart kubelet
  exit
fi
had=$(kubelet environ | sed -n "s/^KUBELET_EXTRA_ARGS=//p" | sed 's/[\\"$`]/\\&/g')
printf 'CHAOS_HARNESS_FAULT=%s\nKUBELET_EXTRA_ARGS="%s %s"\n' "$mark" "$had" "$options" > "$values" &&
  mkdir -p "${drop%/*}" && printf "[Service]\nType=exec\nEnvironmentFile=-%s\n" "$values" > "$drop" &&
  systemctl daemon-reload && systemctl restart kubelet || exit
for option in $options; do
  kubelet cmdline | grep -qxF -- "$option" || { echo "the kubelet takes no KUBELET_EXTRA_ARGS"; exit 1; }
done
"""

# $1 node, $2 key, in the container of the control plane. What the keeper does is done before it undoes it, so that no
# request for the taint arrives after its undo.
_NOTICE = r"""
kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s taint node "$1" "$2:NoSchedule" --overwrite
"""


# $1 pause or resume, $2 name of the processes, $3 fault, $4 seconds after which a timer of that fault resumes them,
# whoever lives by then. The timer pauses them itself: so it can be found, to be ended, before anything is paused, and
# its time is not over before. The kernel keeps 15 letters of a name.
_PROCESS = r"""
do=$1 name=$(printf %.15s "$2") timer=chaos-timer-$3 seconds=$4 pids=
for dir in /proc/[0-9]*; do
  { read -r comm < $dir/comm; } 2> /dev/null && [ "$comm" = "$name" ] && pids="$pids ${dir#/proc/}"
done
if [ "$do" = pause ]; then
  [ -n "$pids" ] || { echo "no process is called $2"; exit 3; }
  # Waited for until it has closed its output.
  paused=$(setsid sh -c "trap '' PIPE; kill -STOP$pids && echo$pids
    exec > /dev/null 2>&1; sleep $seconds; kill -CONT$pids" "$timer" < /dev/null &)
  [ -n "$paused" ] && echo "$paused"
  exit
fi
[ -z "$pids" ] || kill -CONT $pids || exit
for file in /proc/[0-9]*/cmdline; do
  tr "\0" "\n" < "$file" 2> /dev/null | grep -qxF -- "$timer" || continue
  pid=${file#/proc/}
  # It leads a group of its own, with what it waits for.
  kill -- "-${pid%/cmdline}" 2> /dev/null
done
# Again: a timer may have paused them until it was ended.
[ -z "$pids" ] || kill -CONT $pids
"""


def network(container: str, fault: str, do: str) -> dict[str, Any]:
    """Cut a node off, or mend what this fault has cut; a node that was stopped since is whole when it starts."""
    op = _shell(container, _NETWORK, do, _mark(fault))
    return op | {"stopped": "healed"} if do == "mend" else op


def unit(container: str, name: str, do: str) -> dict[str, Any]:
    """Stop or start a service of a node; a node that was stopped since has it again when it starts."""
    op = _shell(container, _UNIT, do, name)
    return op | {"stopped": "healed"} if do == "start" else op


def pressure(container: str, fault: str, options: Sequence[str]) -> dict[str, Any]:
    """Have a node's kubelet start anew with these options more, as long as the fault lasts or the node runs."""
    return _shell(container, _PRESSURE, "raise", _mark(fault), " ".join(options))


def relief(container: str, fault: str) -> dict[str, Any]:
    """Have a node's kubelet start as ever, if it runs with this fault's options; a stopped node has lost them."""
    return _shell(container, _PRESSURE, "lower", _mark(fault)) | {"stopped": "healed"}


def notice(control_plane: str, node: str, key: str) -> dict[str, Any]:
    """Taint a node so that no new pod comes, by kubectl in the control plane's container."""
    return _shell(control_plane, _NOTICE, node, key)


def pause(container: str, process: str, fault: str, seconds: float) -> dict[str, Any]:
    """Pause the processes of this name on a node for some seconds."""
    return _shell(container, _PROCESS, "pause", process, fault, f"{seconds:g}")


def resume(container: str, process: str, fault: str) -> dict[str, Any]:
    """Let the processes of this name go on, and end the timer that would; a stopped node has neither."""
    return _shell(container, _PROCESS, "resume", process, fault) | {"stopped": "healed"}


def _mark(fault: str) -> str:
    return re.sub(r"[^0-9A-Za-z_-]", "-", f"chaos-{fault}")


def _shell(container: str, program: str, *arguments: str) -> dict[str, Any]:
    return {"op": "exec", "container": container, "argv": ["sh", "-c", program.strip(), "sh", *arguments]}
