"""Watch the machine that carries the local cluster: its CPU, its pressure, and who else uses it."""
