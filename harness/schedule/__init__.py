"""Run experiments again and again, at their own times: one at a time, each with all that a run promises."""
