"""Read what a command line says of a document's `configuration` and `secrets`, as `chaos run` takes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.model.document import Given


def read(words: Sequence[str], files: Sequence[Path], *, option: str = "--var") -> Given:
    """Read variables and files of them as Chaos Toolkit does; raises UsageError for what it could not read.

    `option` is what the variables' option is called where they stand.
    """
    if not words and not files:
        return Given(environ=os.environ)
    from chaoslib import convert_vars, merge_vars

    try:
        for file in files:
            # Chaos Toolkit passes over one that it cannot read.
            file.open().close()
        configuration, secrets = merge_vars(convert_vars(list(words)), [str(file) for file in files])
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise UsageError(
            "a variable cannot be read",
            where=" ".join([*words, *map(str, files)]),
            why=str(error),
            hint=f"{option} name[:type]=value; what {option}-file names holds 'configuration' and 'secrets', or lines"
            " NAME=value",
        ) from error
    return Given(environ=os.environ, configuration=configuration or {}, secrets=secrets or {})
