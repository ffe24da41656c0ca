"""The cluster room: Docker, kind, image builds and the Kubernetes client."""
