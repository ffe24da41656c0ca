"""Break the packets of a pod or a node: rules that lead them into a queue, and the worker that decides on each."""
