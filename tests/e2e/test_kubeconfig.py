"""kubectl and the harness, asked by the same kubeconfig, are the same person, or both are refused."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster import kubeconfig
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import HarnessError
from harness.probes import kubernetes as probes
from tests.e2e.kubeconfigs import People, Shape, beside, shapes
from tests.e2e.namespaces import emptied
from tests.e2e.tunnels import Tunnel, tunnel
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e
NAMESPACE = "t-people"
ROLE = "t-people-impersonate"
CAROL = "t-carol"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SIGNING = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
REFUSED = "refused"
Who = str | Mapping[str, Any]


@pytest.fixture(scope="module")
def tunnels() -> Iterator[tuple[Tunnel, Tunnel]]:
    with tunnel("http") as http, tunnel("socks5") as socks:
        yield http, socks


@pytest.fixture(scope="module")
def people(
    cluster: LocalCluster, tunnels: tuple[Tunnel, Tunnel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    """Two service accounts and a person with a certificate, who may impersonate anybody."""
    folder = tmp_path_factory.mktemp("carol")
    key, request, stranger = (folder / name for name in ("key.pem", "request.pem", "stranger.pem"))
    openssl(
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={CAROL}/O=t-x"
    )
    alien = ("-keyout", folder / "alien.pem", "-out", stranger, "-subj", "/CN=stranger", "-days", "1")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *alien)

    async def make() -> People:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", named("v1", "Namespace", NAMESPACE), kind="apply")
            tokens = [await token_of(kube, NAMESPACE, name) for name in ("alice", "bob")]
            await kube.patch(f"{RBAC}/clusterroles/{ROLE}", impersonators(), kind="apply")
            await kube.patch(f"{RBAC}/clusterrolebindings/{ROLE}", binding(), kind="apply")
            access = kubeconfig.load(cluster.kubeconfig, cluster.context)
            return People(
                server=access.server,
                ca=access.ca,
                alice=tokens[0],
                bob=tokens[1],
                certificate=await sign(kube, request.read_bytes()),
                key=key.read_bytes(),
                stranger=stranger.read_bytes(),
                proxy=tunnels[0].url,
                socks=tunnels[1].url,
                dead="http://127.0.0.1:9",
            )

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            for path in (f"{RBAC}/clusterrolebindings/{ROLE}", f"{RBAC}/clusterroles/{ROLE}", f"{SIGNING}/{CAROL}"):
                with contextlib.suppress(HarnessError):
                    await kube.delete(path)
            await emptied(kube, NAMESPACE)

    try:
        yield anyio.run(make)
    finally:
        anyio.run(remove)


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


def named(version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def impersonators() -> dict[str, Any]:
    groups = [("", ["users", "groups", "serviceaccounts"]), ("authentication.k8s.io", ["uids", "userextras/*"])]
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": ["impersonate"]} for group, kinds in groups]
    extras = ["userextras/t.example.com/k", "userextras/plain"]
    rules.append({"apiGroups": ["authentication.k8s.io"], "resources": extras, "verbs": ["impersonate"]})
    return named("rbac.authorization.k8s.io/v1", "ClusterRole", ROLE, rules=rules)


def binding() -> dict[str, Any]:
    accounts = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE} for name in ("alice", "bob")]
    carol = {"kind": "User", "name": CAROL, "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": ROLE, "apiGroup": "rbac.authorization.k8s.io"}
    version = "rbac.authorization.k8s.io/v1"
    return named(version, "ClusterRoleBinding", ROLE, roleRef=role, subjects=[*accounts, carol])


async def token_of(kube: Kube, namespace: str, name: str, secret: Mapping[str, Any] | None = None) -> str:
    """Make a service account and ask for a token of it, one that lives as long as a Secret where one is given."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
    await kube.patch(path, named("v1", "ServiceAccount", name), kind="apply")
    spec: dict[str, Any] = {"expirationSeconds": 3600}
    if secret:
        metadata = secret["metadata"]
        spec["boundObjectRef"] = {
            "kind": "Secret",
            "apiVersion": "v1",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str((await kube.create(f"{path}/token", asked))["status"]["token"])


async def sign(kube: Kube, request: bytes) -> bytes:
    """Have the cluster sign a request for a client certificate."""
    with contextlib.suppress(HarnessError):
        await kube.delete(f"{SIGNING}/{CAROL}")
    spec = {
        "request": base64.b64encode(request).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "expirationSeconds": 3600,
    }
    made = await kube.create(SIGNING, named("certificates.k8s.io/v1", "CertificateSigningRequest", CAROL, spec=spec))
    condition = {"type": "Approved", "status": "True", "reason": "Test", "message": "for a test"}
    await kube.replace(f"{SIGNING}/{CAROL}/approval", {**made, "status": {"conditions": [condition]}})
    found: list[str] = []

    async def signed() -> bool:
        found[:] = [(await kube.get(f"{SIGNING}/{CAROL}")).get("status", {}).get("certificate", "")]
        return bool(found[0])

    await until(signed)
    return base64.b64decode(found[0])


# -- three who are asked -----------------------------------------------------------------------------------------------


def lay_out(folder: Path, shape: Shape, people: People) -> None:
    """Write a shape's files, and what lies beside every kubeconfig."""
    for name, content in {**beside(people), **shape.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if isinstance(text, str) and text.startswith("#!"):
            path.chmod(0o700)


def environment(folder: Path, shape: Shape) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": os.environ["PATH"], **shape.environment}


def by_kubectl(kubectl: Path, folder: Path, shape: Shape) -> Who:
    words = [str(kubectl), "auth", "whoami", "-o", "json", "--request-timeout=10s"]
    words += ["--context", shape.context] if shape.context else []
    words += ["--kubeconfig", shape.kubeconfig] if shape.kubeconfig else []
    done = subprocess.run(
        words, cwd=folder, env=environment(folder, shape), stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    return plain(json.loads(done.stdout)["status"]["userInfo"]) if done.returncode == 0 else REFUSED


def by_harness(shape: Shape) -> Who:
    async def ask() -> dict[str, Any]:
        chosen = Path(shape.kubeconfig) if shape.kubeconfig else None
        async with Kube(kubeconfig.load(chosen, shape.context)) as kube:
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            return (await kube.create(REVIEWS, body))["status"]["userInfo"]  # type: ignore[no-any-return]

    try:
        return plain(anyio.run(ask))
    except HarnessError:
        return REFUSED


def by_probe(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> Who:
    """Ask through the official client, as probes and foreign steps do."""
    from kubernetes.client import ApiException, AuthenticationV1Api, V1SelfSubjectReview
    from urllib3.exceptions import HTTPError

    for name, value in (("HARNESS_KUBECONFIG", shape.kubeconfig), ("HARNESS_CONTEXT", shape.context)):
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    probes._client.cache_clear()
    try:
        with probes.client() as client:
            found = AuthenticationV1Api(client).create_self_subject_review(V1SelfSubjectReview(), _request_timeout=10)
            return plain(client.sanitize_for_serialization(found)["status"]["userInfo"])
    except (HarnessError, ApiException, HTTPError):
        return REFUSED


def plain(found: Mapping[str, Any]) -> Who:
    """Leave out what differs from one token of a person to the next."""
    extra = {key: value for key, value in (found.get("extra") or {}).items() if "credential-id" not in key}
    return {
        **{key: found.get(key) for key in ("username", "uid")},
        "groups": sorted(found.get("groups") or []),
        "extra": extra,
    }


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.case(7, "a kubeconfig that narrows who we are", "the same identity as kubectl's, everywhere")
def test_kubectl_the_harness_and_its_probes_are_the_same_person(
    people: People,
    kubectl: Path,
    tunnels: tuple[Tunnel, Tunnel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, differences = [], []
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    for number, shape in enumerate(shapes(people)):
        folder = tmp_path / str(number)
        lay_out(folder, shape, people)
        before = [one.carried for one in tunnels]
        theirs = by_kubectl(kubectl, folder, shape)
        through = [one.carried > was for one, was in zip(tunnels, before, strict=True)]
        with monkeypatch.context() as there:
            there.chdir(folder)
            for name, value in environment(folder, shape).items():
                there.setenv(name, value)
            before = [one.carried for one in tunnels]
            ours = by_harness(shape)
            same_way = through == [one.carried > was for one, was in zip(tunnels, before, strict=True)]
            probed = by_probe(shape, there)
        who = theirs["username"] if isinstance(theirs, dict) else theirs
        rows.append(f"{shape.name:<60} {who}")
        differs = ours == probed == REFUSED != theirs
        same = differs if shape.differs else theirs == ours == probed and same_way
        if not same:
            differences.append(f"{shape.name}: kubectl {theirs}, harness {ours}, probes {probed}, same way {same_way}")
    print("\n".join(rows))
    assert len(rows) >= 60
    assert len({row.split()[-1] for row in rows}) > 4, "everybody was refused, or the same"
    assert not differences, "\n".join(differences)
