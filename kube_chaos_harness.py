"""Begin with our own `harness`, whatever else is called so where this is started.

`python -m pytest` searches the working directory before all that is installed, and so does any command when PYTHONPATH
has an empty entry. The command and pytest therefore come in here, under a name that is nobody else's.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

NAME = "harness"
HERE = Path(__file__).resolve().parent


def _ours() -> None:
    """Import the package beside this file; raises ImportError where another of that name was imported before."""
    sys.path.insert(0, str(HERE))
    try:
        found = importlib.import_module(NAME).__file__
    finally:
        sys.path.remove(str(HERE))
    if Path(found or "").resolve().parent != HERE / NAME:
        raise ImportError(f"another {NAME!r} was imported first, from {found or 'a folder'}: call it otherwise")


def main() -> None:
    """Run the command line."""
    importlib.import_module("harness.cli").main()


def __getattr__(name: str) -> Any:
    # pytest's entry point; the command line has no use for it, and pytest takes its time to be imported.
    if name == "plugin":
        return importlib.import_module("harness.pytest_plugin")
    raise AttributeError(name)


_ours()
