"""Read amounts as Kubernetes writes them."""

from __future__ import annotations

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def cores(text: str) -> float:
    """Read a quantity of CPUs, such as `100m` or `2`."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def size(text: str) -> float:
    """Read a quantity of bytes, such as `128Mi` or `134217728`."""
    unit = next((one for one in UNITS if text.endswith(one)), "")
    return float(text.removesuffix(unit)) * UNITS.get(unit, 1)
