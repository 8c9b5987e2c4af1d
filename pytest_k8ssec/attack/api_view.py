"""What the API server shows to whoever has a token: the Secrets and ConfigMaps that it may read, searched for credentials."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.credentials import Piece, of_values
from pytest_k8ssec.facts.variables import contents
from pytest_k8ssec.probes.identities import Identity, RbacRules, api_evidence

_READABLE = {"configmaps": "ConfigMap", "secrets": "Secret"}


def pieces_shown(api: KubeApi, identity: Identity, namespaces: Iterable[str]) -> tuple[list[Piece], list[Evidence]]:
    """What looks like a credential in the objects of some namespaces that an identity reads by its own token.

    Args:
        api: with our own credentials, which tell the names of objects: who may get one, and knows its name, has it.

    Returns:
        the pieces, and the answers by which it was not given what it may have.

    Raises:
        ProbeError: no HTTP answer came, or our administrator could not list names.
    """
    pieces: list[Piece] = []
    unread: list[Evidence] = []
    for namespace in namespaces:
        rules = identity.rules(namespace)
        if rules.evidence.status != 201:
            unread.append(rules.evidence)
        # An incomplete list of rights says nothing against a right that is not in it, so there a refusal does.
        expected = (404,) if rules.complete else (403, 404)
        for plural, kind in _READABLE.items():
            for path in _paths(api, rules, namespace, plural):
                with as_probe_error():
                    answer = identity.api.request("GET", path, token=identity.token)
                if not answer.ok and answer.status not in expected:
                    unread.append(api_evidence(identity.user, f"GET {path}", answer))
                pieces += _pieces(answer.body, kind) if answer.ok else []
    return pieces, unread


def _paths(api: KubeApi, rules: RbacRules, namespace: str, plural: str) -> list[str]:
    """What an identity is to be asked to read: the whole list, or each object that it may get."""
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    if rules.grants("list", plural) or not rules.complete:
        return [path]
    names = rules.names("get", plural)
    if rules.grants("get", plural):
        with as_probe_error():
            names = [each["metadata"]["name"] for each in api.list(path)]
    return [f"{path}/{name}" for name in names]


def _pieces(body: Body, kind: str) -> list[Piece]:
    """What is in an object, or in a list of such."""
    found = []
    for item in (body["items"] or ()) if "items" in body else (body,):
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        values = {f"{name}/{key}": value for key, value in contents({**item, "kind": kind}).items()}
        found += of_values(values, kind)
    return found
