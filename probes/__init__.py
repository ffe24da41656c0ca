"""Probes of the reference stack, as Chaos Toolkit calls them: plain functions with plain answers."""
