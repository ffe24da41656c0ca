"""Stand in front of runc on hosts without CAP_SYS_RESOURCE, and strip what such a host cannot grant.

This file is also the shim itself: `install` copies it, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

MISSING = "CAP_SYS_RESOURCE"
MISSING_BIT = 24
RUNC = "@RUNC@"


def needed(status: str = "/proc/self/status") -> bool:
    """Say whether this host withholds CAP_SYS_RESOURCE."""
    try:
        lines = Path(status).read_text().splitlines()
    except OSError:
        return False
    bounding = next((line.split()[1] for line in lines if line.startswith("CapBnd:")), "")
    return bool(bounding) and not int(bounding, 16) >> MISSING_BIT & 1


def install(path: Path, runc: str) -> Path:
    """Write the shim as an executable in front of `runc`."""
    text = Path(__file__).read_text().replace('"@RUNC@"', repr(runc), 1)
    script = f"#!{os.path.realpath(sys.executable)} -IS\n{text}"
    if not path.exists() or path.read_text() != script:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(script)
        draft.chmod(0o755)
        draft.replace(path)
    return path


def strip(process: dict[str, Any]) -> None:
    """Remove the missing capability, and any wish to be spared by the OOM killer, from an OCI process."""
    for names in (process.get("capabilities") or {}).values():
        if names and MISSING in names:
            names.remove(MISSING)
    if (process.get("oomScoreAdj") or 0) < 0:
        del process["oomScoreAdj"]


def document(argv: list[str]) -> Path | None:
    """Return the file that describes the process an OCI command line is about to start."""
    if "exec" in argv:
        named = _option(argv, "--process", "-p")
        return Path(named) if named else None
    if "create" in argv or "run" in argv:
        return Path(_option(argv, "--bundle", "-b") or ".") / "config.json"
    return None


def _option(argv: list[str], long: str, short: str) -> str | None:
    for index, word in enumerate(argv):
        if word in (long, short) and index + 1 < len(argv):
            return argv[index + 1]
        if word.startswith(f"{long}="):
            return word.partition("=")[2]
    return None


def main(argv: list[str]) -> None:
    """Strip the process this command starts, then become the real runtime."""
    file = document(argv)
    if file is not None and file.exists():
        content = json.loads(file.read_text())
        strip(content["process"] if file.name == "config.json" else content)
        file.write_text(json.dumps(content))
    os.execv(RUNC, [RUNC, *argv])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
