"""Run Chaos Toolkit activities in a child process that can be killed at any moment.

`worker` is the engine's side, the rest runs in the child, which does without the engine's libraries: it starts sooner.
"""
