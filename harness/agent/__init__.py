"""The agent: on each node, it does what must be done inside a pod's namespaces and undoes it when its run is gone."""
