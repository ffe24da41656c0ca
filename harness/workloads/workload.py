"""What keeps a number of pods, and how many of them it wants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """A controller of pods: what it is, the UID that its pods name, and where it is read.

    `path` is empty where the API server does not serve its kind to us; `scalable` says that it has a `scale`
    subresource. `namespace` is that of its pods.
    """

    api: str
    kind: str
    name: str
    namespace: str
    uid: str
    path: str = ""
    scalable: bool = False

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        """Name it within the cluster: two kinds may share a name."""
        return f"{self.namespace}/{self}"

    @property
    def what(self) -> tuple[str, str]:
        """Return the group and the kind, without the version."""
        return self.api.rpartition("/")[0], self.kind

    @property
    def collection(self) -> str:
        """Return the path that lists its like; empty where there is none."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many ready pods a workload wants; None: it does not say, or not yet.

    `sure` says that the field is known to mean this. Where it is not, `spec` is a digest of all that was asked for.
    """

    number: int | None
    sure: bool = True
    spec: str = ""

    def again(self, before: int) -> int | None:
        """Return the number that makes it whole again, if it had `before` ready pods; None: it is not known yet.

        What is wanted less than before is no loss, and what is wanted more was never there.
        """
        if not self.sure:
            return before
        return None if self.number is None else min(self.number, before)
