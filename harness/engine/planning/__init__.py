"""Resolve an experiment against the cluster: targets by name, caps, and the rights that it takes."""
