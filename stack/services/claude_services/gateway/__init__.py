"""The gateway's control plane: Istio resources and pod addresses in, Envoy configuration out."""
