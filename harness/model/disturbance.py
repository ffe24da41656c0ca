"""What a fault disturbs: it says so itself, and each objective says which disturbances can break it."""

from __future__ import annotations

import enum


class Disturbance(enum.StrEnum):
    """One way to disturb a system.

    SERVING: whoever answers is interrupted. ABRUPT: without a word, so that callers' requests hang or break; what
    leaves in good order is no reason for a breaker to open. EVICTION: the eviction API is asked. CAPACITY: there is
    less room for what comes next. NETWORK: packets are late, lost or changed, or requests late on their way. DATA: what
    is kept is out of reach. RELEASE: another version serves, some or all. CONTROL_PLANE: nobody repairs anything.
    """

    SERVING = "serving"
    ABRUPT = "abrupt"
    EVICTION = "eviction"
    CAPACITY = "capacity"
    NETWORK = "network"
    DATA = "data"
    RELEASE = "release"
    CONTROL_PLANE = "control-plane"
