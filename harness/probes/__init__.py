"""Read-only questions to Kubernetes, Prometheus and HTTP servers, asked synchronously: what probes are made of."""
