"""What an experiment can come to in a night, and what each of these words means."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """What an experiment came to in one night; MEANS tells each."""

    RIGHT = "right"
    FLIP = "flip"
    REGRESSION = "regression"
    WRONG = "wrong"
    UNPROVEN = "unproven"


MEANS = {
    State.RIGHT: "as declared at once",
    State.FLIP: "as declared in the second run only",
    State.REGRESSION: "wrong twice where earlier nights were right, beyond chance",
    State.WRONG: "wrong, and that it is new cannot be told",
    State.UNPROVEN: "nothing could be said about the system",
}
