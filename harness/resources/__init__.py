"""What the cluster is told of a fault: its resource, the definitions of that, Events on its target."""
