"""Use up what one container may have, from inside of its own control groups, so that its own limit is what it meets."""
