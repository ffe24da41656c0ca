"""The hand in pods and nodes: an agent on each node does what a fault's resource tells it, and heals by itself."""
