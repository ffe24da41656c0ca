"""Plan, run, abort, undo: the walk of one experiment from its document to its verdict."""
