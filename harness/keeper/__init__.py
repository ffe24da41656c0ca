"""The keeper: a container beside the nodes that undoes what a dead run left on the host."""
