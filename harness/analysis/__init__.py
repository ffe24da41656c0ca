"""Judge a canary as the controllers do that would promote it: pure functions, offline, from measurements to a phase."""
