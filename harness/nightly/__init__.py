"""Sets of experiments run again and again: repeats, the nightly run, its history, its comparison and its page."""
