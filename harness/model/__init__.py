"""Pure values: what an experiment asks, what a plan names, what a run saw, what it is worth. No I/O, no clock."""

# Here, where nothing is imported with them: the pytest plugin looks at every file of a project.
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
LARGEST_BYTES = 1_000_000
