"""The hand inside of pods: an agent on each node does what a fault's resource tells it, and heals on its own."""
