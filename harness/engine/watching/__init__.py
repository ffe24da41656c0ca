"""Watch a run: the system settling and steady, its load, workloads and machine, and what is fetched when it is over."""
