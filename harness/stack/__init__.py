"""Bring the reference stack of `stack/` up on the local cluster, and take it down."""
