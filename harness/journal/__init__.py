"""The append-only record of a run: one event a line, redacted on the way in, readable after any death of its writer."""
