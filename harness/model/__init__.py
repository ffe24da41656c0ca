"""Pure values: what an experiment asks, what a plan names, what a run saw, what it is worth. No I/O, no clock."""
