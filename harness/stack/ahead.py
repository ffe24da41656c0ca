"""What a start is about to fetch and build, how long that takes, and how much disk: told before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.cluster import command, daemon, disk, docker, kind, local, up
from harness.cluster.build import debian, gobuild, nodeimage
from harness.cluster.cache import cache_dir, offline
from harness.stack import istio, source

BUILDING = "building"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that lacks: seconds on 2 cores, and megabytes to download; as measured on 2026-11-30."""

    what: str
    seconds: float
    megabytes: int = 0


# What fetches from the distribution fetches its package lists, too.
DOCKER = Step("Docker from the distribution", 20, 75)
DEBIAN = Step("a Debian base image", 55, 65)
NODE = Step("a node image", 60, 60)
PULLED = Step("a node image from a registry", 60, 400)
GO = Step("the Go toolchain", 20, 75)
REST = (Step("the cluster", 65), Step("keeper and agents", 15))
IMAGES, STACK = Step("the stack's images", 35, 115), Step("the stack", 50)


def said(host: str | None, parts: Sequence[str], *, stack: bool = True) -> str:
    """Tell what is ahead of a start with these parts on a daemon, or on none yet; nothing where nothing lacks."""
    wanted = parts if stack else ()
    whole = steps(host, wanted)
    if not whole:
        return ""
    text = f"{', '.join(step.what for step in whole)}: {_cost(whole)}"
    if NODE in whole and not offline():
        text += f"; where a container registry answers {_cost(steps(host, wanted, registry=True))}"
    if not _is_there():
        text += f"; {disk.needed(stack=stack)[0]} GiB of disk, {disk.free():.0f} are free"
    return text


def steps(host: str | None, parts: Sequence[str], *, registry: bool = False) -> list[Step]:
    """List what lacks for a cluster, if there is none, and for these parts of the stack, in the order of its making."""
    found = [] if _is_there() else _cluster(host, registry=registry)
    if parts:
        programs = [source.PROGRAMS[folder] for folder in source.images(parts).values() if folder in source.PROGRAMS]
        found += _programs([*programs, istio.MANIFESTS])
        if not _is_there():
            found += [IMAGES if not (cache_dir() / "packages").exists() else replace(IMAGES, megabytes=0), STACK]
    if any(step.what.startswith(BUILDING) for step in found) and not gobuild.has_go():
        found.insert(0, GO)
    return found


def _is_there() -> bool:
    """Say whether there is a cluster that a start would keep."""
    cluster = local.current()
    return cluster is not None and up.is_current(cluster)


def _cluster(host: str | None, *, registry: bool) -> list[Step]:
    lacking = daemon.missing(host)
    asked = host if not lacking else None
    node = bool(asked and nodeimage.present(asked))
    found = [DOCKER] if lacking else []
    if not node:
        found += [PULLED] if registry else _programs(nodeimage.PROGRAMS)
    if not (asked and docker.has_image(asked, debian.TAG)):
        found.append(DEBIAN)
    if not node and not registry:
        found.append(NODE)
    if not kind.own_executable():
        found += _programs(["kind"])
    return [*found, *REST]


def _programs(names: Iterable[str]) -> list[Step]:
    missing = [name for name in dict.fromkeys(names) if not gobuild.cached(name).exists()]
    seconds = sum(gobuild.SECONDS[name] for name in missing)
    megabytes = sum(gobuild.MEGABYTES.get(name, 0) for name in missing)
    return [Step(f"{BUILDING} {', '.join(missing)}", seconds, megabytes)] if missing else []


def _cost(whole: Iterable[Step]) -> str:
    seconds, megabytes = sum(step.seconds for step in whole), sum(step.megabytes for step in whole)
    return f"about {command.duration(seconds)} on 2 cores{f', at most {megabytes} MB to download' if megabytes else ''}"
