"""Group 1 of the walk: what is mounted in a container, Secrets and tokens among it, and what else it logs in with."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_k8ssec.agent.tasks import Readable, Task, WhichFile
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.attack.container import Answers, Container
from pytest_k8ssec.attack.graph import Edge, Kind, Status, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import Meter
from pytest_k8ssec.attack.placement import secret_volumes, variables
from pytest_k8ssec.attack.rights import ANYBODY
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.credentials import found_credentials, of_files, of_values
from pytest_k8ssec.facts.variables import spoken_words, variables_of
from pytest_k8ssec.probes.identities import Identity, account_user, holder, show_credential

_WHOEVER = Vertex(Kind.IDENTITY, "whoever a credential is of")
_FOUND = {Outcome.DONE: Status.PROVEN, Outcome.ABSENT: Status.REFUTED}


def mount_tasks(container: Container) -> list[Task]:
    """What the container is asked about its mounts."""
    mounts = container.template["spec"]["containers"][0].get("volumeMounts") or ()
    held = secret_volumes(container.template["spec"])
    return [
        container.tokens,
        *(WhichFile(each["mountPath"]) for each in mounts),
        *(Readable(each["mountPath"]) for each in mounts if each["name"] in held),  # no others: a node's hold devices
    ]


def volumes(container: Container, found: Answers) -> Iterator[Edge]:
    """Edges to what is mounted, and to the Secrets that can be read there or are environment variables."""
    spec = container.template["spec"]
    namespace, workload, _ = container.name.split("/")
    held = secret_volumes(spec)
    for mount in spec["containers"][0].get("volumeMounts") or ():
        volume = Vertex(Kind.VOLUME, f"{namespace}/{workload}/{mount['name']}")
        there = found[str(WhichFile(mount["mountPath"]))].evidence
        status = {Outcome.DONE: Status.PROVEN, Outcome.DENIED: Status.REFUTED}.get(there.outcome, Status.UNKNOWN)
        yield container.edge("volume-discover", volume, status, there)
        for secret in held.get(mount["name"], ()):
            opened = found[str(Readable(mount["mountPath"]))].evidence
            known = Status.UNKNOWN if opened.broken else _FOUND.get(opened.outcome, Status.UNKNOWN)
            yield Edge(KINDS["secret-volume"], volume, Vertex(Kind.SECRET, f"{namespace}/{secret}"), known, opened)
    for secret in variables(spec["containers"][:1]):
        told = container.scene.told(f"the pod template of {workload}", "a twin has none of its variables")
        yield container.edge("secret-variable", Vertex(Kind.SECRET, f"{namespace}/{secret}"), Status.INFERRED, told)


def stolen_tokens(
    container: Container, answer: Answer, meter: Meter, identities: dict[str, Identity]
) -> Iterator[Edge]:
    """Edges for each token that was found; the API server says whose token it is."""
    account = str(container.template["spec"].get("serviceAccountName") or "default")
    own = Vertex(Kind.IDENTITY, account_user(container.pod.vantage.namespace, account))
    there = answer.raw.get("tokens", [])
    if not there or answer.evidence.broken:
        known = Status.REFUTED if answer.evidence.outcome is Outcome.ABSENT else Status.UNKNOWN
        yield container.edge("token-steal", own, known, answer.evidence)
    for token in there:
        claimed = str(token["claims"].get("sub", ""))
        meter.request()
        identity = holder(container.scene.cluster.api, token["token"], claimed)
        review = identity.who_am_i()
        status = {201: Status.PROVEN, 401: Status.REFUTED}.get(review.status or 0, Status.UNKNOWN)
        user = review.detail if status is Status.PROVEN else claimed
        if status is Status.PROVEN:
            identities[user] = identity
        yield container.edge("token-steal", Vertex(Kind.IDENTITY, user), status, review)


def held_credentials(
    container: Container, answer: Answer, meter: Meter, identities: dict[str, Identity]
) -> Iterator[Edge]:
    """Edges for what logs in besides mounted tokens: in variables, in base64, certificates with their keys.

    What the API server refuses is no edge: it may be an innocent text that has the form of a credential.
    """
    api, namespace = container.scene.cluster.api, container.pod.vantage.namespace
    variables = variables_of(api, namespace, container.template["spec"]["containers"][0])
    if variables.unread:
        unread = f"can't be read: {', '.join(variables.unread)}"
        yield container.edge("credential-use", _WHOEVER, Status.UNKNOWN, container.scene.told("its variables", unread))
    words = spoken_words(container.template["spec"]["containers"][:1])
    pieces = [
        *of_values(variables.values, "variable"),
        *of_values(words, "argument"),
        *of_files(answer.raw.get("pieces") or []),
    ]
    stolen = {each["token"] for each in answer.raw.get("tokens") or []}
    if not pieces:
        return
    keys = container.scene.signing_keys()
    found = found_credentials(pieces, keys)
    if keys.unread and any("private key" in each for each in found.others):
        told = container.scene.told("what a private key in it signs", f"can't be read: {', '.join(keys.unread)}")
        yield container.edge("credential-use", ANYBODY, Status.UNKNOWN, told)
    for each in (one for one in found.credentials if one.token not in stolen):
        if each.form != "bootstrap token":  # of which an innocent text often has the form
            meter.request()
        try:
            identity, review, taken = show_credential(api, each)
        except ProbeError as error:
            told = container.scene.told(f"show the {each.form} in {each.place}", str(error))
            yield container.edge("credential-use", _WHOEVER, Status.UNKNOWN, told)
            continue
        if taken and not each.anybody:
            identities[identity.user] = identity
        if taken is not False:
            user = Vertex(Kind.IDENTITY, identity.user) if taken else _WHOEVER
            user = ANYBODY if taken and each.anybody else user
            yield container.edge("credential-use", user, Status.PROVEN if taken else Status.UNKNOWN, review)
