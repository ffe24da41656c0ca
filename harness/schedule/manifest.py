"""Write what runs a schedule inside of a cluster, with no right beyond what its experiments need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.documents import document
from harness.engine.planning.rights import roles_for
from harness.errors import UsageError
from harness.load import written
from harness.model.experiment import Experiment
from harness.source import encoding

NAME = "chaos-schedule"
PLACE, RUNS = "/schedule", "/runs"
CONTEXT = "in-cluster"
# Where load and queries go is told to a run by its surroundings.
HANDED_ON = ("HARNESS_GATEWAY", "HARNESS_HOST", "HARNESS_PROMETHEUS")
USER = 10001
# SIGTERM undoes what is broken; this is its time.
GRACE_SECONDS = 120
# A ConfigMap holds a MiB; a little is its frame.
MOST_BYTES = 1_000_000

Object = dict[str, Any]


class _Text(str):
    """A file's text, which stays readable inside of another file."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they stand."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write each value out."""
        return True


_Dumper.add_representer(
    _Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def text(experiments: Sequence[Experiment], image: str, options: Sequence[str]) -> str:
    """Return the objects as one file for `kubectl apply`; raises UsageError as `objects` does."""
    return yaml.dump_all(objects(experiments, image, options), Dumper=_Dumper, sort_keys=False, width=1000)


def objects(experiments: Sequence[Experiment], image: str, options: Sequence[str]) -> list[Object]:
    """Return the objects that run these experiments by their schedules; `options` are of the command.

    Raises UsageError where the files do not fit into one ConfigMap, or a workload is not among them.
    """
    files = _files(experiments)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAME}},
        *_rights(experiments),
        _config(files),
        _claim(),
        _deployment([_place(one.path) for one in experiments], files, image, options),
    ]


def _place(path: Path) -> str:
    """Return where a file lies for the scheduler; an experiment is named for its folder."""
    return f"{path.resolve().parent.name}/{path.name}"


def _files(experiments: Iterable[Experiment]) -> dict[str, str]:
    """Return the text of every file that the experiments are made of, by its place."""
    found: dict[str, Path] = {}
    for one in experiments:
        slo = document.slo_for(one.path)
        wanted = {_place(one.path): one.path.resolve(), **_workload(one), **({document.SLO_FILE: slo} if slo else {})}
        for place, file in wanted.items():
            if found.setdefault(place, file) != file:
                raise UsageError(
                    f"two files would lie at {place}", why=f"{found[place]} and {file}", hint="a schedule for each"
                )
    texts = {place: encoding.read(file, "file") for place, file in found.items()}
    if (size := sum(len(text.encode()) for text in texts.values())) > MOST_BYTES:
        raise UsageError(f"the experiments have {size} bytes, a ConfigMap holds {MOST_BYTES}", hint="several schedules")
    return texts


def _workload(one: Experiment) -> dict[str, Path]:
    """Return the file of a workload of one's own by its place; raises UsageError where its name leads elsewhere."""
    if not one.load or "workload" not in one.load.written:
        return {}
    name, folder = one.load.workload, Path(one.load.folder)
    file = written.path_of(name, folder)
    if file and (Path(name).is_absolute() or ".." in Path(name).parts):
        raise UsageError(
            f"the workload {name} does not lie below the experiment's folder",
            where=str(one.path),
            why="a cluster is given what lies there, and finds it by the same name",
            hint=f"copy it to {folder / written.OWN_FOLDER}",
        )
    if file is None or file.is_relative_to(written.SHIPPED):
        return {}
    return {f"{one.path.resolve().parent.name}/{file.relative_to(folder)}": file.resolve()}


def _key(place: str) -> str:
    """Return the key of a file: a ConfigMap's keys have no slash."""
    return place.replace("/", "..")


def _rights(experiments: Sequence[Experiment]) -> Iterable[Object]:
    for role in roles_for(experiments):
        metadata = {**role["metadata"], "name": NAME}
        yield {**role, "metadata": metadata}
        yield {
            "apiVersion": role["apiVersion"],
            "kind": f"{role['kind']}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}],
        }


def _config(files: Mapping[str, str]) -> Object:
    data = {_key(place): _Text(text) for place, text in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAME}, "data": data}


def _claim() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME, "namespace": NAME},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }


def _deployment(places: Sequence[str], files: Mapping[str, str], image: str, options: Sequence[str]) -> Object:
    labels = {"app": NAME}
    surroundings = {"HARNESS_CONTEXTS": CONTEXT} | {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    container = {
        "name": "schedule",
        "image": image,
        "workingDir": "/work",
        "command": [
            *(".venv/bin/harness", "schedule", f"--context={CONTEXT}", f"--runs={RUNS}", *options),
            *(f"{PLACE}/{place}" for place in places),
        ],
        "env": [{"name": name, "value": value} for name, value in surroundings.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "experiments", "mountPath": PLACE, "readOnly": True},
            {"name": "runs", "mountPath": RUNS},
        ],
    }
    pod = {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            **{"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {
                "name": "experiments",
                "configMap": {"name": NAME, "items": [{"key": _key(place), "path": place} for place in files]},
            },
            {"name": "runs", "persistentVolumeClaim": {"claimName": NAME}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAME},
        "spec": {
            "replicas": 1,
            # Never two: the old one ends, its run undone, before the new one begins.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
