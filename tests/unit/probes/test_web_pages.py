"""What a page's text shows of it, and what Ingresses lead from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.probes.web_pages import PageKind, ingress_routes, is_login, known_application, page_kind

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.api import KubeApi

GRAFANA = """<!DOCTYPE html><html><head><title>Grafana</title><style>.preloader{}</style></head><body>
<div id="reactRoot"></div><div class="preloader__text">If you're seeing this Grafana has failed to load its application files
This could be caused by your reverse proxy settings. If you host grafana under subpath make sure your grafana.ini root_url
setting includes subpath.</div><script>window.grafanaBootData = {user: {}};</script></body></html>"""
SHELL = '<html><head><title>Things</title></head><body><div id="root">Loading...</div><script src="/a.js"></script></body></html>'
LISTING = "<html><body><h1>Directory listing for /</h1><ul><li>block/</li></ul></body></html>"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", PageKind.CONTENT),
        ('{"pods": []}', PageKind.CONTENT),
        (LISTING, PageKind.CONTENT),
        (f"{LISTING}<script>count()</script>{'word ' * 30}", PageKind.CONTENT),
        ('<form><input name="p" type="password"></form>', PageKind.LOGIN),
        ("<input type=password><script src=x></script>", PageKind.LOGIN),
        (f"{LISTING}<form><input type=password></form>{'word ' * 200}", PageKind.MIXED),
        (f"{GRAFANA}<input type=password>", PageKind.APPLICATION),
        (SHELL, PageKind.APPLICATION),
        (f"<noscript>{'You need to enable JavaScript. ' * 20}</noscript>{SHELL}", PageKind.APPLICATION),
        (f"{SHELL}<script>{'a' * 1000}", PageKind.APPLICATION),
        (GRAFANA, PageKind.APPLICATION),
    ],
)
def test_a_program_for_the_browser_shows_nothing_by_itself(body: str, kind: PageKind) -> None:
    """What says something beside its scripts is a page; what asks for a password and says little else is none."""
    assert kind is page_kind(body)


def test_known_applications_are_known_by_their_page() -> None:
    """And no other ones, whatever they are called."""
    known = known_application(GRAFANA)
    assert known is not None
    assert ("Grafana", "/api/org") == (known.name, known.api)
    assert known_application(SHELL) is None
    assert known_application("<title>My Grafana dashboards</title>") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/login", True),
        ("/user/sign-in?next=/", True),
        ("/oauth2/start", True),
        ("/auth/realms/x", True),
        ("/login.html", True),
        ("/", False),
        ("/ui/", False),
        ("/blog/in", False),
        ("/authors", False),
        ("/catalogin", False),
    ],
)
def test_who_is_sent_to_a_login_is_shown_nothing(path: str, expected: bool) -> None:
    """By a whole word of the path."""
    assert expected is is_login(path)


def test_hosts_and_paths_of_ingresses() -> None:
    """Each is asked for as a client would; what no client can ask for is not."""
    paths = [{"path": "/a"}, {"path": "/b(/|$)(.*)"}, {}]
    rules = [{"host": "shop.example.com", "http": {"paths": paths}}, {"host": "*.example.com"}, {}]
    ingress = {"metadata": {"namespace": "web", "name": "shop"}, "spec": {"rules": rules}}
    default = {"metadata": {"namespace": "web", "name": "default"}, "spec": {"defaultBackend": {}}}

    class Api:
        def list(self, path: str) -> list[dict[str, Any]]:
            assert path.endswith("/ingresses")
            return [ingress, default]

    found = ingress_routes(cast("KubeApi", Api()))
    assert [
        ("shop.example.com", "/a"),
        ("shop.example.com", "/b"),
        ("shop.example.com", "/"),
        ("k8ssec.example.com", "/"),
        ("", "/"),
    ] == [(each.host, each.path) for each in found]
    assert "shop.example.com/a (Ingress web/shop)" == str(found[0])
