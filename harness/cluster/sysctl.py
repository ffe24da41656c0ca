"""The kernel's settings on this machine: read, given back, and what its administrator has written down of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.cluster.cache import Progress

SYSTEM = Path("/proc/sys")
CONFIGURED = tuple(map(Path, ("/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d")))
CONFIGURED_LAST = Path("/etc/sysctl.conf")
# What the kernel sets as well where forwarding ends, and to what.
ALONG: Mapping[str, Mapping[str, str]] = {
    "net.ipv4.ip_forward": {"net/ipv4/conf/all/accept_redirects": "1", "net/ipv4/conf/*/forwarding": "0"},
    "net.ipv6.conf.all.forwarding": {"net/ipv6/conf/*/forwarding": "0"},
}


def read(name: str) -> str | None:
    """Return a setting; None where this kernel has none by that name."""
    try:
        return _path(name).read_text().strip()
    except OSError:
        return None


def along() -> dict[str, dict[str, str]]:
    """Return for each switch of `ALONG` what is otherwise now than the kernel would set it along with that one."""
    return {switch: _unlike(values) for switch, values in ALONG.items()}


def configured(names: Iterable[str]) -> dict[str, str]:
    """Return what this machine's configuration, which is applied when it starts, makes of some settings."""
    files = [*(file for folder in CONFIGURED for file in sorted(folder.glob("*.conf"))), CONFIGURED_LAST]
    found = dict(pair for file in files for pair in _assignments(file))
    return {name: found[name] for name in names if name in found}


def give_back(values: Mapping[str, str], taken_along: Mapping[str, str], progress: Progress) -> dict[str, str]:
    """Set these, and what the kernel takes along with them; return what may not be set."""
    refused, before = {}, {name: read(name) for name in taken_along}
    for name, value in values.items():
        try:
            _path(name).write_text(value)
            progress(f"given back: {name} = {value}")
        except OSError:
            refused[name] = value
    for name, value in taken_along.items():
        # What others have set meanwhile the kernel has not just set.
        if read(name) not in (None, before[name], value):
            _path(name).write_text(value)
    return refused


def _unlike(values: Mapping[str, str]) -> dict[str, str]:
    # By their paths: an interface may have a dot in its name.
    names = {str(path.relative_to(SYSTEM)): to for pattern, to in values.items() for path in SYSTEM.glob(pattern)}
    return {name: value for name, to in names.items() if (value := read(name)) not in (None, to)}


def _assignments(file: Path) -> Iterable[tuple[str, str]]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, is_one, value = line.strip().removeprefix("-").partition("=")
        if is_one and not name.startswith(("#", ";")):
            yield name.strip().replace("/", "."), value.strip()


def _path(name: str) -> Path:
    return SYSTEM / (name if "/" in name else name.replace(".", "/"))
