"""A server is asked through the proxy that kubectl would take."""

from __future__ import annotations

import pytest

from harness.cluster.kubeconfig import proxies
from harness.errors import PreconditionFailed

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "environment", "through"),
    [
        ("https://api:6443", {}, ""),
        ("https://api:6443", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api:6443", {"https_proxy": PROXY}, PROXY),
        ("https://api:6443", {"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, PROXY),
        ("https://api:6443", {"HTTP_PROXY": PROXY}, ""),
        ("https://api:6443", {"ALL_PROXY": PROXY}, ""),
        ("http://api", {"HTTP_PROXY": "proxy:3128"}, PROXY),
        ("https://api:6443", {"HTTPS_PROXY": "socks5://proxy:1080"}, "socks5://proxy:1080"),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://127.9.9.9:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, ""),
    ],
)
def test_the_environment_is_heeded_as_kubectl_heeds_it(server: str, environment: dict[str, str], through: str) -> None:
    assert proxies.choose(server, "", environment) == through


@pytest.mark.parametrize(
    ("server", "exceptions", "spared"),
    [
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "192.168.0.0/16, 10.1.0.0/16", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://[fd00::7]:6443", "fd00::/8", True),
        ("https://10.1.2.3:6443", "10.1.2.3", True),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://10.1.2.3:6443", "10.1.2.3:443", False),
        ("https://10.1.2.3", "10.1.2.3:443", True),
        ("https://api.example.com", "example.com", True),
        ("https://example.com", "example.com", True),
        ("https://notexample.com", "example.com", False),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", ".example.com", True),
        ("https://api.example.com", "*.example.com", True),
        ("https://example.com", "*.example.com", False),
        ("https://API.example.com", "api.EXAMPLE.com", True),
        ("https://api", "*", True),
        ("https://api", " , ,", False),
        ("https://10.1.2.3", "2.3", False),
        ("https://api", "10.0.0.0/8", False),
        ("https://api", "api:6443", False),
    ],
)
def test_exceptions_are_hosts_domains_ports_and_address_ranges(server: str, exceptions: str, spared: bool) -> None:
    found = proxies.choose(server, "", {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions})
    assert (found == "") is spared


def test_a_kubeconfig_s_own_proxy_holds_for_every_address() -> None:
    assert proxies.choose("https://127.0.0.1:6443", "socks5://p:1", {"NO_PROXY": "*"}) == "socks5://p:1"


@pytest.mark.parametrize("proxy", ["ftp://me:open@proxy", "me:open@proxy:port"])
def test_a_proxy_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(PreconditionFailed, match="names no proxy") as caught:
        proxies.choose("https://api", "", {"HTTPS_PROXY": proxy})
    assert "open" not in str(caught.value)


def test_a_proxy_that_knows_its_users_is_told_who_asks() -> None:
    assert proxies.headers("http://proxy:3128") is None
    assert proxies.headers("http://me@proxy:3128") == {"proxy-authorization": "Basic bWU6"}


def test_what_is_no_proxy_is_refused() -> None:
    with pytest.raises(PreconditionFailed, match="HTTPS_PROXY"):
        proxies.choose("https://api", "", {"HTTPS_PROXY": "ftp://proxy"})
