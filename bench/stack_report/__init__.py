"""Prove by behaviour what the seed says of mesh, canary, autoscaling and placement."""
