"""The reference stack's services: orchestrator, agent registry and tool router, and what tells Prometheus of them."""
