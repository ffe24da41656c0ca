"""Break packets, groups of processes and containers of one node on purpose, and heal them when nobody asks any more.

What lies here runs alone in a container on a node: standard library and iptables, nothing else of the harness. Each
packet fault has a worker of its own, a process inside the target's network namespace that holds the packets in a
netfilter queue. Its rules let everything pass the moment the queue has no owner, so a worker that dies in any way
harms nothing.
"""
