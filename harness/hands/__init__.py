"""Whose hand does a fault and undoes it: one room for each. Who acts is a hand, who remembers is the healer."""
