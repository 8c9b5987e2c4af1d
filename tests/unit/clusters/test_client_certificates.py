"""Client certificates: who shows one shows nothing else, and one that nobody can show is an error of ours."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.clusters.client_certificates import kubeconfig, signed_client_certificate
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.probes.certificates import certificate_authority
from tests.unit.clusters.kubeconfigs import NOBODY_ANSWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_who_holds_a_certificate_shows_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not our own token; and the key is in no file of the disk."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    sent: list[tuple[dict[str, str], dict[str, Any]]] = []

    def request(pool: Any, _method: str, _url: str, *, headers: dict[str, str], **_: Any) -> Any:
        sent.append((headers, pool.connection_pool_kw))
        return SimpleNamespace(status=200, data=b"{}")

    monkeypatch.setattr("urllib3.PoolManager.request", request)
    api, pem = KubeApi(file), certificate_authority("somebody").pem
    holder = api.as_holder_of(pem)
    for each in (api, holder):
        each.request("GET", "/version")
    (ours, _), (shown, ways) = sent
    assert "Bearer none" in ours.values()
    assert not any("Bearer" in value for value in shown.values())
    assert ways["cert_file"] == ways["key_file"]
    assert ways["cert_file"].startswith("/proc/self/fd/")
    assert pem == Path(ways["cert_file"]).read_text()


@pytest.mark.parametrize("spoil", [lambda _: "nothing", lambda pem: pem.partition("-----BEGIN RSA")[0]])
def test_what_nobody_can_show_is_an_error(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    """Which does not quote it."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    with pytest.raises(ClusterError, match="client certificate: can't be shown") as error:
        KubeApi(file).as_holder_of(spoil(certificate_authority("somebody").pem))
    assert "BEGIN" not in str(error.value)


class Signer:
    """An API server whose controller signs what is approved."""

    ca_file = Path(__file__)

    def __init__(self, *, signs: bool = True) -> None:
        self.signs, self.made, self.left = signs, [cast("dict[str, Any]", {})], 0

    def applied(self, manifest: dict[str, Any]) -> Any:
        """The request, removed at the end."""
        signer = self

        class Applied:
            def __enter__(self) -> Iterator[dict[str, Any]]:
                signer.made = [manifest]
                return iter(signer.made)

            def __exit__(self, *_: object) -> None:
                signer.left += 1

        return Applied()

    def call(self, _method: str, path: str, *, body: dict[str, Any]) -> None:
        """The approval."""
        assert path.endswith("/approval")
        assert "Approved" == body["status"]["conditions"][0]["type"]

    def wait(self, _path: str, _name: str, ready: Callable[[Any], bool], *, what: str, **_: object) -> Any:
        """The request, signed; or it is gone, or it is late."""
        assert not ready({"status": {}})
        signed = {"status": {"certificate": base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()}}
        if not self.signs:
            raise ClusterError(f"{what} within 30 s")
        assert ready(signed)
        return signed


def test_a_certificate_is_signed_for_a_user() -> None:
    """The request says who; it is removed in every ending."""
    from cryptography.x509 import load_pem_x509_csr

    signer = Signer()
    pem = signed_client_certificate(cast("KubeApi", signer), "somebody")
    assert pem.startswith("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----")
    spec = signer.made[0]["spec"]
    request = load_pem_x509_csr(base64.b64decode(spec["request"]))
    assert ("CN=somebody", ["client auth"]) == (request.subject.rfc4514_string(), spec["usages"])
    assert 1 == signer.left
    with pytest.raises(ClusterError, match="was not signed"):
        signed_client_certificate(cast("KubeApi", late := Signer(signs=False)), "somebody")
    assert 1 == late.left
    document = yaml.safe_load(kubeconfig(cast("KubeApi", signer), pem))
    (user,) = document["users"]
    assert base64.b64decode(user["user"]["client-key-data"]).decode() in pem
