"""Keep a ledger of what is broken on purpose, and heal it as soon as the run that broke it is gone.

This package runs alone in a container beside the node containers: standard library only, the Docker socket, a ledger
on a volume; or with the commands of a table in the place of Docker, wherever somebody starts it. It speaks JSON lines
on a Unix socket; one connection that said hello is one run. The end of that connection, or a lease without a beat (on a
clock that goes on while the machine sleeps), heals all that the run registered and marks the run expired in the
cluster, where it reaches one. A keeper that starts has lost every connection, so it heals what its ledger names.
"""
