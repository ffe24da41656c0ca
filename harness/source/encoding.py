"""Read a file's text: UTF-8, or UTF-16 that begins with its mark, as YAML says and some editors and shells write it.

What is written is UTF-8.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from pathlib import Path

from harness.errors import UsageError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(content: bytes, errors: str = "strict") -> str:
    """Decode a file's content, line ends as they are; raises UnicodeDecodeError unless `errors` says otherwise."""
    return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8", errors)


def read(path: Path, what: str) -> str:
    """Read a file that is called `what`, every line end as one; raises UsageError, with the line of a wrong letter."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the {what}", where=str(path), why=str(error)) from error
    try:
        return io.StringIO(decode(content), newline=None).read()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"cannot read the {what}",
            where=f"{path}:{line}",
            why=str(error),
            hint="save it as UTF-8",
        ) from error


def write(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write a file whole or not at all: what was there stays until the new one is; raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(text, encoding="utf-8", errors=errors)
        draft.replace(path)
    except OSError as error:
        # The draft is nobody's file: a reader looks for the one that was to be written.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
