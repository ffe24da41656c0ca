"""Find what a fault left inside of a node's container: a program for its shell, which prints one line for each.

A healthy node prints nothing. What has a line here is what the hands do on nodes, and what tools beside this one do.
"""

from __future__ import annotations

# A line for each fault that has processes, by the mark that hands give them, for each process that is stopped, and for
# each that may have fewer than a thousand files open: who sets a limit sets it higher.
PROCESSES = r"""
grep -hsaoz '^CHAOS_HARNESS_FAULT=.*' /proc/[0-9]*/environ | tr '\0' '\n' | sort -u | sed 's/^[^=]*=/fault process /'
grep -ls '^State:.T ' /proc/[0-9]*/status | while read -r f; do
  sed -n 's/^Name:\t/process stopped /p' "$f" 2>/dev/null; done
grep -lsE '^Max open files +[0-9]{1,3} ' /proc/[0-9]*/limits | while read -r f; do
  sed -n 's/^Name:\t/process limited /p' "${f%limits}status" 2>/dev/null; done
"""
# A line for each control group that is frozen, of version 1 and 2.
FROZEN = r"""
for f in $(find /sys/fs/cgroup/freezer -name freezer.state 2>/dev/null); do
  read -r s < "$f" && [ "$s" != THAWED ] && echo "cgroup frozen $(dirname "${f#/sys/fs/cgroup/freezer}")"; done
for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
  # Only one of version 2: the many of version 1 have none to find.
  [ -e "$root/cgroup.controllers" ] && for f in $(find "$root" -maxdepth 8 -name cgroup.freeze); do
    read -r s < "$f" && [ "$s" = 1 ] && echo "cgroup frozen $(dirname "$f")"; done; done 2>/dev/null
"""
# kube-proxy's rules name Services and namespaces, which may be called like a tool that breaks things; the pod network
# of nodes that are built here is called after us.
_REST = r"""
for t in iptables ip6tables; do
  $t-save 2>/dev/null | grep -vE '^(:|-A )KUBE-|CHAOS-PTP-MASQ' | grep -i chaos | sed "s/^/$t /"; done
for p in $(lsns -t net -n -o PID 2>/dev/null); do
  sets='iptables-nft ip6tables-nft'
  # Legacy tables are there once somebody has asked for one; to ask makes them.
  read -r _ < "/proc/$p/net/ip_tables_names" && sets="$sets iptables-legacy"
  read -r _ < "/proc/$p/net/ip6_tables_names" && sets="$sets ip6tables-legacy"
  nsenter -t "$p" -n sh -c "for t in $sets; do \$t-save; done" | sed -n 's/^:\(KCH-[^ ]*\).*/pod rules \1/p'
done 2>/dev/null
ipset list -n 2>/dev/null | grep -i chaos | sed 's/^/ipset /'
tc qdisc show 2>/dev/null | grep -E 'netem|tbf|htb|prio' | sed 's/^/qdisc /'
grep -lsazE '^([^ ]*/)?(stress-ng|chaos-[a-z]+)$' /proc/[0-9]*/cmdline | while read -r p; do
  tr '\0' ' ' < "$p" 2>/dev/null | grep -aE '^([^ ]*/)?(stress-ng|chaos-[a-z]+) ' | sed 's/^/process /'; done
ls -d /run/chaos* /tmp/chaos* 2>/dev/null | sed 's/^/file /'
systemctl is-active kubelet containerd 2>/dev/null | grep -v '^active$' | sed 's/^/unit /'
true
"""
SCRIPT = PROCESSES + FROZEN + _REST
