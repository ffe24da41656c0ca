"""Undo what was broken, from any process, and say whether anything is left."""
