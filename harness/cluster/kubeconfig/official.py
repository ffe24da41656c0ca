"""Have the official client be the one that kubectl would be: the same server, the same identity, kept fresh.

Its own loader leaves out `as`, `as-groups` and `proxy-url`, merges the wrong way round, reads a token file once and
asks a command before it looks for a token. So the loader is replaced, in this process, and requests are signed here.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from harness.cluster.kubeconfig import load, proxies, requests, tls
from harness.cluster.kubeconfig.access import Access
from harness.cluster.kubeconfig.credentials import Credentials, Signature
from harness.errors import HarnessError, PreconditionFailed

if TYPE_CHECKING:
    from urllib3 import HTTPHeaderDict, PoolManager

_LOADER = "kubernetes.config.kube_config"
_ASYNC_LOADER = "kubernetes.aio.config.kube_config"


class _Held:
    """One access as the official client's configuration carries it along; a copy of that shares it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._credentials = Credentials(access)
        self._signature = self._credentials.signature()
        self._tls = tls.context(access)
        self._pool: PoolManager | None = None
        self._memory: list[int] = []
        self.proxy = proxies.choose(access.server, access.proxy)
        self.ca_file = self._file(access.ca)
        self.certificate_file: str | None = None
        self.key_file: str | None = None
        self._show(self._signature)

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def pool(self, given: Mapping[str, Any]) -> PoolManager:
        """Return the connections of one client; those of a certificate that was replaced are closed."""
        from urllib3 import PoolManager, ProxyManager

        options: dict[str, Any] = {"ssl_context": self._tls, **given}
        if self.proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            self._pool = SOCKSProxyManager(self.proxy.replace("socks5://", "socks5h://", 1), **options)
        elif self.proxy:
            headers = proxies.headers(self.proxy)
            self._pool = ProxyManager(self.proxy, proxy_ssl_context=self._tls, proxy_headers=headers, **options)
        else:
            self._pool = PoolManager(**options)
        return self._pool

    def sign(self, headers: Mapping[str, str] | None) -> HTTPHeaderDict:
        """Return the headers of one request, signed."""
        from urllib3 import HTTPHeaderDict

        signed = HTTPHeaderDict(
            {key: value for key, value in (headers or {}).items() if key.lower() != "authorization"}
        )
        if authorization := self.authorization():
            signed["authorization"] = authorization
        for name, value in self._credentials.headers:
            signed.add(name, value.decode("latin-1"))
        return signed

    def authorization(self) -> str:
        """Return the header of the identity as it is now."""
        fresh = self._credentials.signature()
        if (fresh.certificate, fresh.key) != (self._signature.certificate, self._signature.key):
            self._show(fresh)
        self._signature = fresh
        return fresh.authorization

    def refused(self) -> bool:
        """Say, after a refusal, whether there is something else to sign with."""
        return self._credentials.refused(self._signature)

    def _show(self, signature: Signature) -> None:
        if signature.certificate:
            tls.show(self._tls, self.access, signature.certificate, signature.key)
            self.certificate_file, self.key_file = self._file(signature.certificate), self._file(signature.key)
            if self._pool is not None:
                self._pool.clear()

    def _file(self, content: bytes) -> str | None:
        """Put content into a file and return its name, for the parts of the official client that take nothing else."""
        if not content or not hasattr(os, "memfd_create"):
            return None
        descriptor = os.memfd_create("kubeconfig")
        os.write(descriptor, content)
        self._memory.append(descriptor)
        return f"/proc/self/fd/{descriptor}"


def configure(configuration: Any, access: Access) -> None:
    """Fill a configuration of the official client; `install` must have been called before a client is made of it.

    Raises PreconditionFailed where no credentials can be had.
    """
    held = _Held(access)
    configuration.harness = held
    configuration.host = access.server
    configuration.verify_ssl = not access.insecure
    configuration.tls_server_name = access.server_name or None
    configuration.ssl_ca_cert = held.ca_file
    configuration.proxy = held.proxy if held.proxy.startswith("http") else None
    configuration.proxy_headers = proxies.headers(held.proxy) if configuration.proxy else None
    configuration.no_proxy = None

    def refresh(fresh: Any) -> None:
        # The names of two versions of the client; only one is looked at.
        fresh.api_key |= dict.fromkeys(("BearerToken", "authorization"), held.authorization())
        fresh.cert_file, fresh.key_file = held.certificate_file, held.key_file

    configuration.cert_file, configuration.key_file = held.certificate_file, held.key_file
    if held.authorization():
        refresh(configuration)
        configuration.refresh_api_key_hook = refresh


def install() -> None:
    """Replace the official client's loader and sign its requests, now or when it is imported."""
    if not any(isinstance(finder, _Replacing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Replacing())
    for name in (_LOADER, _ASYNC_LOADER, "kubernetes.client.rest", "kubernetes.stream.ws_client"):
        if name in sys.modules:
            _replace(sys.modules[name])


class _Replacing(importlib.abc.MetaPathFinder):
    """Replace what has to be replaced as soon as it has been imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _REPLACED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, real: Any) -> None:
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._real.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        _replace(module)


def _replace(module: Any) -> None:
    if not hasattr(module, "harness"):
        module.harness = True
        _REPLACED[module.__name__](module)


def _loader(module: Any) -> None:
    """Load as kubectl does, whatever the official loader would have read."""

    def load_kube_config(
        config_file: Any = None,
        context: str | None = None,
        client_configuration: Any = None,
        persist_config: bool = True,  # noqa: ARG001 - part of the official signature
        temp_file_path: str | None = None,  # noqa: ARG001
    ) -> None:
        from kubernetes.client import Configuration

        configuration = client_configuration or Configuration()
        try:
            if config_file is not None and not isinstance(config_file, str | Path):
                raise PreconditionFailed("a kubeconfig is read from a file here", why=f"this is {type(config_file)}")
            configure(configuration, load(Path(config_file).expanduser() if config_file else None, context))
        except HarnessError as error:
            raise module.ConfigException(str(error)) from error
        if client_configuration is None:
            Configuration.set_default(configuration)

    module.load_kube_config = load_kube_config
    package = sys.modules.get(module.__name__.rpartition(".")[0])
    if package is not None and hasattr(package, "load_kube_config"):
        package.load_kube_config = load_kube_config  # type: ignore[attr-defined]


def _async_loader(module: Any) -> None:
    """Refuse what the asynchronous loader would leave out."""
    real = module.KubeConfigLoader.load_and_set

    async def load_and_set(loader: Any, configuration: Any) -> None:
        user, cluster = (getattr(part, "value", None) or {} for part in (loader._user, loader._cluster))
        left_out = [key for key in ("as", "as-uid", "as-groups", "as-user-extra") if user.get(key)]
        left_out += ["proxy-url"] if cluster.get("proxy-url") else []
        if left_out:
            raise module.ConfigException(f"kubernetes.aio leaves out {', '.join(left_out)}: use kubernetes.config")
        await real(loader, configuration)

    module.KubeConfigLoader.load_and_set = load_and_set


def _rest(module: Any) -> None:
    """Send each request through our connections, signed; once more where credentials have changed since."""
    official: Any = module.RESTClientObject

    class Signed(official):  # type: ignore[misc]
        def __init__(self, configuration: Any, pools_size: int = 4, maxsize: int | None = None) -> None:
            held: _Held | None = getattr(configuration, "harness", None)
            super().__init__(configuration, pools_size, maxsize)
            self._held = held
            if held is not None:
                options = {"num_pools": pools_size, "maxsize": maxsize or configuration.connection_pool_maxsize or 4}
                options |= {} if configuration.retries is None else {"retries": configuration.retries}
                self.pool_manager = held.pool(options)

        def request(self, method: str, url: str, query_params: Any = None, headers: Any = None, **rest: Any) -> Any:
            requests.note(method)
            if self._held is None:
                return super().request(method, url, query_params, headers, **rest)
            try:
                return super().request(method, url, query_params, self._held.sign(headers), **rest)
            except module.ApiException as error:
                # The client itself stumbles over an error that has no body, as that of a certificate.
                error.body = b"" if error.body is None else error.body
                if error.status != 401 or not self._held.refused():
                    raise
            return super().request(method, url, query_params, self._held.sign(headers), **rest)

    module.RESTClientObject = Signed


def _websocket(module: Any) -> None:
    """Refuse a stream (exec, attach, port-forward) that would be had with other rights than the rest."""

    def guarded(real: Any) -> Any:
        def call(configuration: Any, *arguments: Any, **named: Any) -> Any:
            requests.note("CONNECT")
            held: _Held | None = getattr(configuration, "harness", None)
            if held is not None and (held.access.impersonation or held.proxy.startswith("socks")):
                refusal = module.ApiException(
                    status=0,
                    reason="the official client's streams leave out impersonation and SOCKS proxies: run"
                    " `kubectl exec` in a step of type process",
                )
                refusal.body = b""
                raise refusal
            try:
                return real(configuration, *arguments, **named)
            except module.ApiException as error:
                # The client itself stumbles over an error that has no body.
                error.body = b"" if error.body is None else error.body
                raise

        return call

    module.websocket_call = guarded(module.websocket_call)
    module.portforward_call = guarded(module.portforward_call)


_REPLACED = {
    _LOADER: _loader,
    _ASYNC_LOADER: _async_loader,
    "kubernetes.client.rest": _rest,
    "kubernetes.stream.ws_client": _websocket,
}
