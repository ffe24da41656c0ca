"""Resolve an experiment against the cluster: targets by name, caps, rights, and what is added while it runs."""
