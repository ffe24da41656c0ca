"""One Chaos Toolkit document in the child: its variables, its controls and its activities, by Chaos Toolkit's own code.

The engine says what happens and in which order. What a control of somebody else's is told is told here, by the same
functions, and what it interrupts is answered as an interruption.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from chaoslib.activity import execute_activity
from chaoslib.caching import cache_activities
from chaoslib.configuration import load_configuration, load_dynamic_configuration
from chaoslib.control import Control, get_controls
from chaoslib.control.python import cleanup_control, import_control, initialize_control
from chaoslib.exceptions import ActivityFailed, ChaosException, InterruptExecution
from chaoslib.experiment import ensure_experiment_is_valid
from chaoslib.hypothesis import run_steady_state_hypothesis, within_tolerance
from chaoslib.run import EventHandlerRegistry, initialize_run_journal
from chaoslib.secret import load_secrets

from harness.cluster.kubeconfig import requests

Answer = dict[str, Any]
HIDDEN = "[redacted]"
# Drivers that do whatever they do by the official client, whose requests are counted here.
DRIVERS = "chaosk8s."
# By whom a driver would be known to a cluster that it finds without a kubeconfig; beside one it passes over these.
WHO = ("KUBERNETES_API_KEY", "KUBERNETES_CERT_FILE", "KUBERNETES_USERNAME")
# What is shorter hides nothing, and would turn up anywhere.
SHORTEST_SECRET = 4


class Interrupted(BaseException):
    """A step or a control has asked for the end of the run, by a signal; no step may take it for its own failure."""


class Document:
    """What was begun, and everything that happens to it until the child ends."""

    def __init__(self, wish: Callable[[], str] = str) -> None:
        self.wish = wish
        self.experiment: dict[str, Any] = {"title": "", "method": [], "controls": []}
        self.size = _size(self.experiment)
        self.configuration: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}
        self.registry = EventHandlerRegistry()
        self.journal: dict[str, Any] = {"status": None, "deviated": False, "run": [], "rollbacks": []}
        self.scopes: dict[str, Control] = {}

    def begin(self, document: Mapping[str, Any], validated: bool) -> Answer:
        """Take a document in; `validated` says that this was done before, in a child that is no more.

        Raises ChaosException for what Chaos Toolkit refuses, and for what it would let pass without doing it.
        """
        self._take(document, validated)
        asked = copy.deepcopy(self.configuration)
        self.configuration = load_dynamic_configuration(asked, self.secrets)
        lost = [name for name in asked if name not in self.configuration]
        if lost:
            raise ChaosException(f"configuration {', '.join(lost)}: its probe gave no value")
        self.size = _size(self.experiment)
        self.journal = initialize_run_journal(self.experiment)
        self.registry = EventHandlerRegistry()
        self.registry.started(self.experiment, self.journal)
        self._controls()
        return {}

    def check(self, document: Mapping[str, Any]) -> Answer:
        """Refuse what `begin` would refuse, as far as that is known before anything is asked or called."""
        self._take(document, validated=False)
        self._imported()
        return {}

    def _take(self, document: Mapping[str, Any], validated: bool) -> None:
        self.experiment = dict(document)
        cache_activities(self.experiment)
        if not validated:
            ensure_experiment_is_valid(self.experiment)
            cache_activities(self.experiment)
        self.configuration = load_configuration(self.experiment.get("configuration") or {})
        self.secrets = load_secrets(self.experiment.get("secrets") or {}, self.configuration)
        _same_cluster(self.secrets)

    def _imported(self) -> list[dict[str, Any]]:
        """Import the modules of all controls and return these, each name once."""
        found: dict[str, dict[str, Any]] = {}
        for control in get_controls(self.experiment):
            name = str(control.get("name", ""))
            if name not in found and import_control(control) is None:
                raise ChaosException(f"control {name!r}: its module {control['provider']['module']} cannot be imported")
            found.setdefault(name, control)
        return list(found.values())

    def _controls(self) -> None:
        for control in self._imported():
            name = control.get("name", "")
            try:
                initialize_control(
                    control, self.experiment, self.configuration, self.secrets, event_registry=self.registry
                )
            except Exception as error:
                raise ChaosException(f"control {name!r} cannot be set up: {type(error).__name__}: {error}") from error

    def activity(self, activity: Mapping[str, Any], role: str = "method") -> Answer:
        """Run one activity with its pauses and controls, and say what came of it."""
        before = requests.made()
        runs = self.journal["rollbacks" if role == "rollbacks" else "run"] if role != "hypothesis" else None
        run = execute_activity(
            self.experiment,
            dict(activity),
            self.configuration,
            self.secrets,
            dry=None,
            event_registry=self.registry,
            runs=runs,
        )
        if _size(self.experiment) != self.size:
            raise ChaosException("a control added or removed steps while the run was under way, which is not followed")
        found: Answer = {"status": run["status"], "output": run["output"], "error": _error(run)}
        if (asked := requests.since(before)) and str(activity["provider"].get("module")).startswith(DRIVERS):
            found["changed"] = asked.changes > 0
        if "tolerance" in activity and run["status"] == "succeeded":
            met = within_tolerance(
                _tolerance(activity["tolerance"], self), run["output"], self.configuration, self.secrets
            )
            found["tolerance_met"] = run["tolerance_met"] = bool(met)
        return found

    def hypothesis(self) -> Answer:
        """Ask the hypothesis as Chaos Toolkit does: probe by probe, up to the first that misses."""
        state = run_steady_state_hypothesis(
            self.experiment, self.configuration, self.secrets, dry=None, event_registry=self.registry
        )
        probes = [
            {
                "name": run["activity"]["name"],
                "ok": run["status"] == "succeeded" and bool(run["tolerance_met"]),
                "value": run["output"],
                "error": _error(run),
            }
            for run in (state or {}).get("probes", [])
        ]
        return {"output": {"met": (state or {}).get("steady_state_met"), "probes": probes}}

    def enter(self, level: str, context: Mapping[str, Any] | None = None) -> Answer:
        """Tell controls and listeners that a part begins: experiment, hypothesis, method, rollback or an activity."""
        if level == "experiment":
            self.registry.running(self.experiment, self.journal, self.configuration, self.secrets, None, {})
        for known, tell in (("method", self.registry.start_method), ("rollback", self.registry.start_rollbacks)):
            if level == known:
                tell(self.experiment)
        scope = self.scopes[_key(level, context)] = Control()
        scope.begin(level, self.experiment, self._context(level, context), self.configuration, self.secrets)
        return {}

    def leave(
        self, level: str, context: Mapping[str, Any] | None = None, state: Mapping[str, Any] | None = None
    ) -> Answer:
        """Tell controls and listeners that a part has ended, in the state that the engine gives."""
        scope = self.scopes.pop(_key(level, context), None)
        if scope is None:
            return {}
        if level == "experiment":
            self.journal |= state or {}
        known: Any = {"experiment": self.journal, "method": self.journal["run"], "rollback": self.journal["rollbacks"]}
        scope.with_state(known.get(level, state))
        try:
            scope.end(level, self.experiment, self._context(level, context), self.configuration, self.secrets)
        finally:
            if level == "method":
                self.registry.method_completed(self.experiment, self.journal["run"])
            elif level == "rollback":
                self.registry.rollbacks_completed(self.experiment, self.journal)
            elif level == "experiment":
                self._clean_up()
        return {}

    def pending(self) -> Answer:
        """Tell whether a step or a control has asked for the end of the run and nobody has been told yet."""
        return {"output": self.wish()}

    def interrupted(self) -> Answer:
        """Tell listeners that the run was interrupted."""
        self.journal["status"] = "interrupted"
        self.registry.interrupted(self.experiment, self.journal)
        return {}

    def _clean_up(self) -> None:
        seen: set[str] = set()
        try:
            for control in get_controls(self.experiment):
                if control.get("name") not in seen:
                    seen.add(control.get("name"))
                    cleanup_control(control)
        finally:
            self.registry.finish(self.journal)

    def _context(self, level: str, context: Mapping[str, Any] | None) -> Any:
        if level == "activity":
            return dict(context or {})
        return self.experiment.get("steady-state-hypothesis") if level == "hypothesis" else self.experiment


def answer(act: Callable[[], Answer]) -> Answer:
    """Do something and say what came of it; whatever is raised becomes the answer, never the end of the child."""
    began = time.monotonic()
    result: Answer = {"status": "succeeded", "output": None, "error": None, "tolerance_met": None}
    try:
        result |= act()
    except (InterruptExecution, Interrupted) as error:
        result |= {"status": "interrupted", "error": str(error) or type(error).__name__}
    except ActivityFailed as error:
        result |= {"status": "failed", "error": str(error)}
    # SystemExit too: an activity may end itself, but not the worker. It is no failure that a step may have.
    except (Exception, SystemExit) as error:
        result |= {"status": "failed", "error": f"{type(error).__name__}: {error}", "fatal": True}
    return {**result, "duration": time.monotonic() - began}


def _size(experiment: Mapping[str, Any]) -> list[int]:
    probes = (experiment.get("steady-state-hypothesis") or {}).get("probes") or []
    return [len(one) for one in (probes, experiment.get("method") or [], experiment.get("rollbacks") or [])]


def masked(value: Any, secrets: Any) -> Any:
    """Return a value without the document's secrets, wherever in it they stand, and without what is no whole text."""
    return _masked(value, [text for text in _texts(secrets) if len(text) >= SHORTEST_SECRET])


def _masked(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, str):
        for text in hidden:
            value = value.replace(text, HIDDEN)
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: _masked(item, hidden) for key, item in value.items()}
    return [_masked(item, hidden) for item in value] if isinstance(value, list | tuple) else value


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping | list):
        return [text for item in (value.values() if isinstance(value, Mapping) else value) for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _same_cluster(secrets: Mapping[str, Any]) -> None:
    """Refuse secrets that would lead a step to another cluster than the one this run holds."""
    context = os.environ.get("HARNESS_CONTEXT", "")
    for group in secrets.values():
        # One that is empty means the current context, which is the run's.
        named = (group.get("KUBERNETES_CONTEXT") if isinstance(group, Mapping) else None) or context
        if named != context:
            raise ChaosException(f"the secrets name another cluster context than this run's, {context or 'none'}")
        if isinstance(group, Mapping) and "KUBERNETES_HOST" in group:
            raise ChaosException("the secrets name a cluster by its host; a run names one by --context")
        if who := [key for key in WHO if isinstance(group, Mapping) and key in group]:
            raise ChaosException(f"the secrets say who asks a cluster, {who[0]}; here that is who the kubeconfig names")


def _key(level: str, context: Mapping[str, Any] | None) -> str:
    return f"{level} {(context or {}).get('name', '')}"


def _tolerance(tolerance: Any, document: Document) -> Any:
    from chaoslib import substitute

    if isinstance(tolerance, str):
        return substitute(tolerance, document.configuration, document.secrets)
    return copy.deepcopy(tolerance)


def _error(run: Mapping[str, Any]) -> str | None:
    """Return the last line of what an activity raised, without the words that only its class adds."""
    told = [line for line in run.get("exception") or [] if line.strip()]
    if not told:
        return None
    return str(told[-1]).strip().removeprefix("chaoslib.exceptions.ActivityFailed: ")
