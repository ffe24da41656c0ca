"""Read what was sampled: one value an event while the run goes on, a whole series an event when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.journal.event import Event
from harness.model.history import Sample


def read(events: Iterable[Event]) -> Iterator[Sample]:
    """Return every sample in the order it was written, in seconds since the run began."""
    for event in events:
        data = event.data
        if event.type == "sample":
            time = event.t if data.get("time") is None else data["time"]
            yield Sample(time, data["series"], data["value"], data.get("labels") or {})
        elif event.type == "series":
            for number, value in enumerate(data["values"]):
                # Where Prometheus has no point there is no sample: silence is for a checker to see.
                if value is not None:
                    time = data["start"] + number * data["step"]
                    yield Sample(time, data["series"], value, data["labels"])
