"""Read what a command line says of a document's `configuration` and `secrets`, as `chaos run` takes it.

What Chaos Toolkit would pass over is refused: with the document's own values a run may meet another system.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.documents.document import Given
from harness.errors import UsageError
from harness.model.experiment import Experiment
from harness.source import SUFFIXES, encoding, lines
from harness.source.closed import Problems, Section, nearest

SECTIONS = ("configuration", "secrets")
LINE = re.compile(r"\s*(?:#.*|[A-Za-z_][A-Za-z0-9_]*\s*=.*)?")


def read(words: Sequence[str], files: Sequence[Path], *, option: str = "--var") -> Given:
    """Read variables and files of them as Chaos Toolkit does; raises UsageError for what it could not read.

    `option` is what the variables' option is called where they stand.
    """
    if not words and not files:
        return Given(environ=os.environ)
    from chaoslib import convert_vars, merge_vars

    for file in files:
        _names(file)
    try:
        configuration, secrets = merge_vars(convert_vars(list(words)), [str(file) for file in files])
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise UsageError(
            "a variable cannot be read",
            where=" ".join([*words, *map(str, files)]),
            why=str(error),
            hint=_hint(option),
        ) from error
    return Given(environ=os.environ, configuration=configuration or {}, secrets=secrets or {})


def require_stated(
    words: Sequence[str], files: Sequence[Path], experiments: Iterable[Experiment], *, option: str = "--var"
) -> None:
    """Refuse a variable that no document states, and a file that has none for any; raises UsageError."""
    stated = [one.stated for one in experiments]
    known = {section: {name for one in stated for name in one.get(section) or ()} for section in SECTIONS}
    for word in words:
        name = word.partition("=")[0].partition(":")[0]
        if name not in known["configuration"]:
            raise UsageError(
                "no document states it",
                where=f"{option} {name}",
                why="a document's `configuration` names what may be replaced; its own values would count",
                hint=nearest(name, known["configuration"]),
            )
    for file in files:
        names = _names(file)
        if names and not any(name in known[section] for section, name in names):
            raise UsageError(
                "nothing in it is stated by any document",
                where=str(file),
                why="a document's `configuration` and `secrets` name what may be replaced; its own values would count",
                hint=nearest(names[0][1], known[names[0][0]]),
            )


def _names(file: Path) -> list[tuple[str, str]]:
    """List what a file replaces, by section and name; lines for the environment are nobody's."""
    text = encoding.read(file, "file of variables")
    if file.suffix not in SUFFIXES:
        for number, line in enumerate(text.splitlines(), 1):
            if not LINE.fullmatch(line):
                hint = "one variable of the environment a line, or a file that is called .yaml or .json"
                raise UsageError(f"{line.strip()!r} is not NAME=VALUE", where=f"{file}:{number}", hint=hint)
        return []
    source = lines.read(text, file)
    problems = Problems(source)
    # A file may hold nothing yet.
    section = Section(problems, source.data or {}, (), "a file of variables", SECTIONS)
    problems.refuse()
    return [(key, name) for key, values in section.data.items() if isinstance(values, dict) for name in values]


def _hint(option: str) -> str:
    return (
        f"{option} name[:type]=value; what {option}-file names holds 'configuration' and 'secrets', or lines NAME=value"
    )
