"""Addresses that must be reached without the user's proxy: loopback, and the cluster under test.

A proxy for the internet does not lead to this machine or to containers on it, and its operator must not see the
requests of a cluster's administrator. Downloads keep the proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1", "[::1]", "0.0.0.0")  # noqa: S104 - compared, never bound
"""In every notation that tools compare: some know networks, some compare text only, and some ask for brackets."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "socks_proxy", "ws_proxy", "wss_proxy")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
_OF_GRPC = "no_grpc_proxy"
"""Where it is set, gRPC does not look at the others."""


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine by its loopback, also where a kubeconfig says "every address" for it."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def direct(env: Mapping[str, str], hosts: Iterable[str] = ()) -> dict[str, str]:
    """An environment for a child, in which loopback and some hosts are reached without a proxy.

    The user's own exceptions stay, from ``NO_PROXY`` and from ``no_proxy``. Without a proxy nothing changes.

    Args:
        env: the environment that it would get otherwise.
        hosts: names, addresses or networks beside loopback.
    """
    made = dict(env)
    if not any(name.lower() in _PROXIES and value for name, value in env.items()):
        return made
    ours = (*LOOPBACK, *hosts)
    given = [made[name] for name in _EXCEPTIONS if made.get(name)]
    together = _joined(*given, *ours)
    for name in _EXCEPTIONS:  # some tools know only the one, some only the other, and an empty one may count
        made[name] = together
    if made.get(_OF_GRPC):
        made[_OF_GRPC] = _joined(made[_OF_GRPC], *ours)
    return made


def _joined(*lists: str) -> str:
    names = (name.strip() for each in lists for name in each.split(","))
    return ",".join(dict.fromkeys(filter(None, names)))
