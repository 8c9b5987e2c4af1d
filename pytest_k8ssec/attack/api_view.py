"""What the API server shows to whoever has a token: the Secrets and ConfigMaps that it may read, searched for credentials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY, METADATA_OF_ONE
from pytest_k8ssec.errors import as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.credentials import Piece, of_values
from pytest_k8ssec.facts.variables import contents
from pytest_k8ssec.probes.identities import NOBODY, Identity, RbacRules, api_evidence

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
        for plural, kind in _READABLE.items():
            for ask in _asks(api, rules, namespace, plural):
                with as_probe_error():
                    answer = identity.api.request(ask.method, ask.path, token=identity.token, **ask.options)
                given = answer.ok or (ask.read and answer.status == 404)
                # An incomplete list of rights says nothing against a right that is not in it, so there a refusal does.
                if not given and answer.status not in ((404,) if rules.complete else (403, 404)):
                    unread.append(api_evidence(identity.user, f"{ask.method} {ask.path}", answer))
                if given and ask.read:
                    with as_probe_error():
                        answer = api.request("GET", ask.read)
                pieces += _pieces(answer.body, kind) if answer.ok else []
    return pieces, unread


@dataclass(frozen=True, slots=True)
class _ApiAsk:
    """One request of somebody's, by which objects are shown to him."""

    path: str
    method: str = "GET"
    options: Mapping[str, Any] = field(default_factory=dict)
    read: str = ""
    """Where the answer only shows that he has the right: what our administrator reads in his stead."""


def _asks(api: KubeApi, rules: RbacRules, namespace: str, plural: str) -> Iterator[_ApiAsk]:
    """What an identity is to be asked to read: the whole list, or each object that a right is about; and what else shows them.

    Whoever may watch, or patch, or delete all, is answered with the objects too. That is shown by one that does not exist,
    in a dry run where it writes.
    """
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    if rules.grants("list", plural) or not rules.complete:
        yield _ApiAsk(path)
    if rules.grants("list", plural):
        return
    for verb in _SHOWING:
        if rules.grants(verb, plural) or not rules.complete:
            yield _shown(path, verb, NOBODY, path)
        for name in rules.names(verb, plural) if verb != "deletecollection" else ():
            yield _shown(path, verb, name, f"{path}/{name}")
    for name in rules.names("list", plural):
        yield _ApiAsk(path, options={"params": {"fieldSelector": f"metadata.name={name}"}})
    names = rules.names("get", plural)
    if rules.grants("get", plural):
        with as_probe_error():
            names = [each["metadata"]["name"] for each in api.list(path)]
    yield from (_ApiAsk(f"{path}/{name}") for name in names)


_SHOWING = ("watch", "patch", "deletecollection")


def _shown(path: str, verb: str, name: str, read: str) -> _ApiAsk:
    if verb == "patch":
        options = {"params": {"dryRun": "All"}, "headers": {**METADATA_OF_ONE, **MERGE_PATCH}, "body": {}}
        return _ApiAsk(f"{path}/{name}", "PATCH", options, read)
    only = {"fieldSelector": f"metadata.name={name}"}
    if verb == "watch":
        return _ApiAsk(path, "GET", {"params": {**only, "watch": "true", "timeoutSeconds": "1"}}, read)
    return _ApiAsk(path, "DELETE", {"params": {**only, "dryRun": "All"}, "headers": METADATA_OF_MANY}, read)


def _pieces(body: Body, kind: str) -> list[Piece]:
    """What is in an object, or in a list of such."""
    found = []
    for item in (body["items"] or ()) if "items" in body else (body,):
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        values = {f"{name}/{key}": value for key, value in contents({**item, "kind": kind}).items()}
        found += of_values(values, kind)
    return found
