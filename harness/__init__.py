"""Chaos and resilience test harness for Kubernetes."""
