"""Find a pod's processes, and freeze, signal, limit or end them."""
