"""Let `python -m harness.cli` be the command line."""

from harness.cli import main

main()
