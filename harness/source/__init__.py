"""Text into plain values that remember their line, and mappings whose keys are all known; about no subject."""

# Here, where nothing is imported with them: the pytest plugin looks at every file of a project.
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
LARGEST_BYTES = 1_000_000
