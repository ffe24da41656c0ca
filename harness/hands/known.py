"""Every hand by its name: the folder is the list, a folder in it is a hand."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from harness import hands
from harness.hands.kind import HandKind
from harness.model.fault import Hand


def _found() -> Mapping[Hand, HandKind]:
    rooms = [module.name for module in pkgutil.iter_modules(hands.__path__) if module.ispkg]
    kinds: list[HandKind] = [importlib.import_module(f"{hands.__name__}.{room}.hand").HAND for room in rooms]
    return {kind.hand: kind for kind in kinds}


HANDS = _found()
