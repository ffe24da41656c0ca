"""HTTP routes of Istio's VirtualServices: all that lead somewhere, or some by name, of one that is named itself.

Where a Service is named instead, it is the VirtualService beside it that leads there. The routes are one list, whose
places mean nothing for long: a Rollout puts routes of its own before the others, and people do. So a route is known by
its name, and whatever is written is written for the one version of the object that was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import ApiError, UsageError
from harness.hands.api import undoing
from harness.model.plan import Victim
from harness.targets.kind import Object, Search

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

SERVICE = "Service/"
# Between a VirtualService and the Service that is meant of it: no other route of it is.
TO = f" to {SERVICE}"
# A route that answers by itself; Istio takes no fault beside it.
ANSWERS = ("redirect", "directResponse")
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts"


def place(namespace: str, name: str = "") -> str:
    """Return the API path of a namespace's VirtualServices, or of one."""
    return "/".join(filter(None, ("/apis/networking.istio.io/v1/namespaces", namespace, "virtualservices", name)))


async def find(search: Search) -> list[tuple[Victim, Object]]:
    """Find the VirtualService that is named, or the one that leads to the named Service.

    Raises UsageError where several do.
    """
    target = search.target
    name, to = target.route.partition("/")[2], ""
    if target.route.startswith(SERVICE):
        to = f"{TO}{name}"
        every_one = await _listed(search.kube, place(target.namespace))
        found = [one for one in every_one if any(_leads(route, name, target.namespace) for route in every(one))]
    else:
        one = await undoing.look(search.kube, place(target.namespace, name))
        found = [one] if one else []
    if len(found) > 1:
        names = sorted(one["metadata"]["name"] for one in found)
        where, hint = f"{target.namespace}/{target.route}", f"route: VirtualService/{names[0]}"
        raise UsageError(f"several VirtualServices lead there: {', '.join(names)}", where=where, hint=hint)
    return [(_victim(one["metadata"], target.namespace, to), one) for one in found]


def _victim(metadata: Object, namespace: str, to: str) -> Victim:
    name = metadata["name"]
    owner, path = f"VirtualService/{name}{to}", place(namespace, name)
    return Victim("route", name, metadata["uid"], namespace, owner=owner, path=path)


async def _listed(kube: Kube, path: str, *hidden: int) -> Sequence[Object]:
    """List a collection; one that is not served, or is hidden by such a status, is empty."""
    try:
        return await kube.list(path)
    except ApiError as error:
        if error.status not in (404, *hidden):
            raise
        return []


async def parts(kube: Kube, victim: Victim, parameters: Object) -> Sequence[Victim]:
    """Name the routes that are meant."""
    item = await undoing.look(kube, victim.path) or {}
    named = (name for _, name in meant(item, victim, parameters))
    return [Victim("route", name, f"{victim.uid}/{name}", victim.namespace) for name in named]


def every(item: Object) -> Sequence[Object]:
    """List the HTTP routes of a VirtualService."""
    return (item.get("spec") or {}).get("http") or []


def meant(item: Object, victim: Victim, parameters: Object) -> list[tuple[int, str]]:
    """List the routes that are meant: where each is and its name, or a # and its number where it has none."""
    wanted, service = parameters.get("routes"), victim.owner.partition(TO)[2]
    found = []
    for number, route in enumerate(every(item)):
        named = route.get("name") in wanted if wanted else _takes(route, parameters)
        if named and (not service or _leads(route, service, victim.namespace)):
            found.append((number, str(route.get("name") or f"#{number + 1}")))
    return found


def _takes(route: Object, parameters: Object) -> bool:
    """Say whether a route hands on any such request; one that nobody can tell of may."""
    if any(key in route for key in ANSWERS):
        return False
    try:
        return bool(narrowed(route, parameters))
    except ValueError:
        return True


def _leads(route: Object, service: str, namespace: str) -> bool:
    """Say whether a route leads to a Service, whose name may be written short or whole."""
    hosts = (one.get("destination", {}).get("host", "").split(".") for one in route.get("route") or ())
    return any(host[0] == service and host[1:2] in ([], [namespace]) and host[2:3] in ([], ["svc"]) for host in hosts)


def amiss(item: Object, victim: Victim, parameters: Object) -> tuple[str, str, str] | None:
    """Say what speaks against a fault of the routes that are meant, why, and what helps; None where nothing does."""
    routes, chosen = every(item), meant(item, victim, parameters)
    names = [name for _, name in chosen]
    known = ", ".join(str(route.get("name") or f"#{number}") for number, route in enumerate(routes, 1)) or "none"
    if missing := [one for one in parameters.get("routes") or () if one not in names]:
        leading = " that leads there" if TO in victim.owner else ""
        hint = "one without a name is meant together with all others alone" if "#" in known else ""
        return f"{victim.owner} has no HTTP route '{missing[0]}'{leading}", f"its routes: {known}", hint
    if not chosen:
        return f"{victim.owner} has no HTTP route for this", f"its routes: {known}", "TCP and TLS have no such fault"
    for number, name in chosen:
        route = routes[number]
        if own := next((key for key in ANSWERS if key in route), ""):
            return f"route {name} answers by itself", f"Istio takes no fault beside {own}", "routes: the others"
        if "fault" in route:
            return f"route {name} has a fault already", "it would be overwritten", "take it out, or name other routes"
        try:
            if not narrowed(route, parameters):
                return f"route {name} takes no such request", "its own match leaves none of that path", "another path"
        except ValueError as error:
            return f"route {name} cannot be narrowed so", str(error), "leave out header and path, or name other routes"
    return None


def narrows(parameters: Object) -> bool:
    """Say whether not all requests of a route are meant."""
    return bool(parameters.get("header") or parameters.get("path"))


def narrowed(route: Object, parameters: Object) -> list[Mapping[str, Any]]:
    """Return what a route matches, of it only what has the header and the path that are meant; nothing for none.

    Raises ValueError where Istio has no words for it.
    """
    header, path = parameters.get("header"), parameters.get("path")
    found: list[Mapping[str, Any]] = []
    for one in route.get("match") or [{}]:
        match = dict(one)
        if header:
            name, _, value = header.partition("=")
            others = {key.lower(): told for key, told in (one.get("headers") or {}).items()}
            if others.get(name.lower(), {"exact": value}) != {"exact": value}:
                raise ValueError(f"it matches the header {name} itself")
            match["headers"] = {**(one.get("headers") or {}), name.lower(): {"exact": value}}
        if path:
            uri = _below(one.get("uri") or {}, path)
            if one.get("ignoreUriCase") or uri is None:
                raise ValueError("it matches paths by an expression, or in whatever case")
            if not uri:
                continue
            match["uri"] = uri
        found.append(match)
    return found


def _below(uri: Object, path: str) -> Object | None:
    """Narrow a match of paths to those that begin so: empty where none is left, None where nobody can say."""
    if not uri:
        return {"prefix": path}
    if "regex" in uri:
        return None
    told = str(uri.get("prefix", uri.get("exact", "")))
    if "prefix" in uri and path.startswith(told):
        return {"prefix": path}
    return uri if told.startswith(path) else {}


def written(
    item: Object, chosen: Sequence[tuple[int, str]], effect: Object, name: str, parameters: Object
) -> list[Mapping[str, Any]]:
    """Return the JSON patch that puts a fault's effect into the routes that are meant, the last one first.

    Where only some requests are meant, they get a route of that name, right before theirs and otherwise like it.
    """
    patch: list[Mapping[str, Any]] = []
    for number, _ in reversed(chosen):
        at, value = f"/spec/http/{number}/fault", dict(effect)
        if narrows(parameters):
            route = every(item)[number]
            at = f"/spec/http/{number}"
            value = {**route, "name": name, "match": narrowed(route, parameters), "fault": dict(effect)}
        patch.append({"op": "add", "path": at, "value": value})
    return patch


def undo(item: Object, victim: Victim, effect: Object, name: str, parameters: Object) -> dict[str, Any]:
    """Return the operation that takes it out again, wherever it is by then."""
    if narrows(parameters):
        return {"op": "unroute", "path": victim.path, "name": name}
    numbers = {number for number, _ in meant(item, victim, parameters)}
    names = [str(route.get("name") or "") for route in every(item)]
    others = {one for number, one in enumerate(names) if number not in numbers}
    spare = sorted(others - {names[number] for number in numbers})
    return {"op": "unroute", "path": victim.path, "fault": dict(effect), "spare": spare}


def taken_back(made: Object, chosen: Sequence[tuple[int, str]], parameters: Object) -> list[Mapping[str, Any]]:
    """Return the JSON patch that takes away what was just written, by its places: nobody else has written since."""
    if narrows(parameters):
        places = [f"/spec/http/{number + before}" for before, (number, _) in enumerate(chosen)]
    else:
        places = [f"/spec/http/{number}/fault" for number, _ in chosen]
    there = [at for at in reversed(places) if undoing.found_at(made, at) is not None]
    return [undoing.version(made), *({"op": "remove", "path": at} for at in there)]


async def stalled(kube: Kube, victim: Victim) -> str:
    """Name a Rollout of Argo's that steers the one route there is, without its name: beside another it stands still."""
    for one in await _listed(kube, ROLLOUTS.format(victim.namespace), 403):
        strategy = one["spec"].get("strategy") or {}
        istio = ((strategy.get("canary") or {}).get("trafficRouting") or {}).get("istio") or {}
        steered = [istio.get("virtualService") or {}, *(istio.get("virtualServices") or ())]
        own = (victim.name, f"{victim.namespace}/{victim.name}")
        if any(vs.get("name") in own and not vs.get("routes") for vs in steered):
            return str(one["metadata"]["name"])
    return ""
