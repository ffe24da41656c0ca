"""The reference stack's services: orchestrator, agent registry, tool router and the gateway's control plane."""
