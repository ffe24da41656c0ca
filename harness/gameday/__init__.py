"""Game days as plain files in one folder: a plan, approvals, hold points, a log and results."""
