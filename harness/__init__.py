"""Chaos and resilience test harness for Kubernetes."""

__version__ = "0.1.0"
