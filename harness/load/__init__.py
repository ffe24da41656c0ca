"""The load: an open loop in its own process, on time whatever the system under test does."""
