"""Show what went wrong on the standard error."""

from __future__ import annotations

import click

from harness.errors import HarnessError
from harness.report.inert import block


def show(error: HarnessError) -> None:
    """Print an error whose text steers no terminal: what it names, a path or a word of a document, is anybody's."""
    click.echo(f"error: {block(str(error))}", err=True)
