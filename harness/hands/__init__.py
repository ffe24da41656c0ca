"""Whose hand does a fault and undoes it: one room for each."""
