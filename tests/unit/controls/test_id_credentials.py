"""Credentials in a pod: each is shown to the API server, and a search that broke has found no absence."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.agent.remote.agent import pieces
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.controls.id import credentials as module
from pytest_k8ssec.controls.id.credentials import test_id_credentials as credentials
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.facts.credentials import found_credentials, of_values
from pytest_k8ssec.facts.signing_keys import SigningKeys
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.identities import Identity
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import FakeVantage, judge_of, without

if TYPE_CHECKING:
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.stack import Stack


def jwt(account: str, **more: object) -> str:
    """A token of a service account."""
    payload = base64.urlsafe_b64encode(json.dumps({"sub": f"system:serviceaccount:{account}", **more}).encode())
    return f"eyJhbGciOiJSUzI1NiJ9.{payload.decode().rstrip('=')}.c2ln"


OTHER, PLANTED = jwt("web:other"), jwt("ours:nobody", exp=1)
OWN, OWN_ENDLESS = jwt("web:shop", exp=1, **{"kubernetes.io": {"pod": {}}}), jwt("web:shop", exp=1)
"""What a kubelet mounts, and what somebody asked for himself."""
BOOTSTRAP = "abcdef.0123456789abcdef"


def secret(text: str) -> dict[str, Any]:
    """A Secret, as the API server shows it."""
    held = {"key": base64.b64encode(text.encode()).decode()}
    return {"kind": "Secret", "metadata": {"namespace": "web", "name": "key"}, "data": held}


@dataclass
class World:
    """A cluster with a stack of one workload; it is its own API and its own pool."""

    mounted: str = ""
    """What the workload's twin finds in its mounts."""
    env: Sequence[Mapping[str, Any]] = ()
    args: Sequence[str] = ()
    live: Sequence[Mapping[str, Any]] | None = None
    """The variables of a live pod, where there is one."""
    taken: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys((OTHER, PLANTED, OWN, OWN_ENDLESS), 201))
    """What the API server says to a token; 401 where nothing is said."""
    readable: int = 200
    """The answer to who reads the Secret."""
    rights: Sequence[Mapping[str, Any]] = ()
    search: str = ""
    """How the search in mounts ended, if not well."""
    starts: bool = True
    shows: bool = True
    """Whether the search finds what was planted."""
    asked: list[str] = field(default_factory=list)
    ca_file: Path = Path(__file__)
    server: str = "https://10.0.0.2:6443"
    nodes: tuple[()] = ()

    @property
    def api(self) -> World:
        """Itself."""
        return self

    def request(self, _method: str, path: str, *, token: str | None = None, **_: Any) -> Response:
        """A review, of rights or of who it is, or the Secret."""
        if path.endswith("selfsubjectreviews"):
            self.asked.append(str(token))
            status = self.taken.get(str(token), 401)
            said = {"status": {"userInfo": {"username": _user(str(token))}}} if status == 201 else {}
            return Response(status, said, 1.0)
        if path.endswith("selfsubjectrulesreviews"):
            return Response(201, {"status": {"resourceRules": list(self.rights)}}, 1.0)
        if path.endswith("selfsubjectaccessreviews"):
            return Response(201, {"status": {"allowed": False}}, 1.0)
        if path.endswith("/secrets"):
            return Response(self.readable, {"items": [secret(OTHER)]} if self.readable == 200 else {}, 1.0)
        return Response(self.readable, secret(OTHER) if self.readable == 200 else {}, 1.0)

    def workloads(self) -> tuple[Workload, ...]:
        """One."""
        template = {"spec": self._spec(self.env)}
        return (Workload("Deployment", "web", "shop", {}, {"matchLabels": {"app": "shop"}}, template),)

    def _spec(self, env: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        main = {"name": "main", "env": list(env), "args": list(self.args)}
        return {"serviceAccountName": "shop", "automountServiceAccountToken": False, "containers": [main]}

    def list(self, path: str, **_: str) -> list[dict[str, Any]]:
        """A live pod, if there is one."""
        if path == "/api/v1/namespaces":
            ours = {"metadata": {"name": "ours", "labels": {OBJECT_LABEL: "run"}}}
            return [ours, *({"metadata": {"name": name}} for name in ("web", "elsewhere"))]
        if self.live is None or not path.endswith("/pods"):
            return []
        return [{"metadata": {"name": "shop-1"}, "spec": self._spec(self.live), "status": {"phase": "Running"}}]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Of the stack."""
        return ("web",)

    def remember(self, _what: str, _find_out: object) -> Any:
        """What is planted: a pod of ours with a token of an account of ours."""
        template = {
            "spec": {"containers": [{"name": "probe", "env": [{"name": "KEY", "value": PLANTED * self.shows}]}]}
        }
        spec = type("Spec", (), {"namespace": "ours", "template": template})
        account = Identity(cast("Any", self), "system:serviceaccount:ours:nobody", PLANTED)
        return type("Planted", (), {"pod": self._pod(""), "spec": spec, "account": account, "user": account.user})

    def _pod(self, mounted: str, search: str = "") -> Pod:
        said: dict[str, Any] = {"outcome": search or "absent", "pieces": pieces(mounted.encode(), "/etc/shop/key")}
        return Pod(cast("Any", FakeVantage(lambda _: said)), "uid", "nonce")

    @contextmanager
    def lease_lots(self, *specs: PodSpec) -> Iterator[Iterator[dict[int, Pod | ProbeError]]]:
        """The twin."""
        absent = ProbeError("pod web/t: is not running", details="FailedMount: no claim")
        yield iter([{n: self._pod(self.mounted, self.search) if self.starts else absent for n, _ in enumerate(specs)}])


def _user(token: str) -> str:
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


@pytest.fixture(autouse=True)
def lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights come into force at once; what our account is shown in our namespace is what was planted."""

    @contextmanager
    def lending(*_: object, **__: object) -> Iterator[None]:
        yield

    view = module._view

    def viewed(search: Any, identity: Identity, *namespaces: str) -> Any:
        if not namespaces:
            return view(search, identity)
        values = {"KEY": PLANTED.encode() * search.cluster.shows}
        return found_credentials(of_values(values, "ConfigMap"), SigningKeys()), ()

    monkeypatch.setattr(module, "lent", lending)
    monkeypatch.setattr(module, "_view", viewed)


def judged(world: World, allowed: Mapping[str, str] | None = None) -> Judge:
    """The control on that world."""
    judge = judge_of(credentials)
    credentials(judge, cast("Cluster", world), cast("Stack", world), cast("Pool", world), allowed or {})
    return judge


FROM_SECRET = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}]


def twice(text: str) -> str:
    """In base64 of base64."""
    return base64.b64encode(base64.b64encode(text.encode())).decode()


@pytest.mark.parametrize(
    ("world", "expected", "words"),
    [
        (World(), Verdict.HELD, ""),
        (World(OTHER), Verdict.BREACHED, "token of a service account in /etc/shop/key as system:serviceaccount:web:other"),
        (World(twice(OTHER)), Verdict.BREACHED, "in /etc/shop/key in base64 in base64 as"),
        (World(env=FROM_SECRET), Verdict.BREACHED, "in variable KEY as system:serviceaccount:web:other"),
        (World(env=[{"name": "T", "value": OTHER}]), Verdict.BREACHED, "in variable T as"),
        (World(args=["serve", f"--token={OTHER}"]), Verdict.BREACHED, "in argument args 2 as"),
        (World(live=[{"name": "T", "value": OTHER}]), Verdict.BREACHED, "in variable T as"),
        (World(env=[{"name": "T", "value": OTHER}], live=()), Verdict.BREACHED, "in variable T as"),
        (World(OWN), Verdict.HELD, ""),
        (World(OWN_ENDLESS), Verdict.BREACHED, "in /etc/shop/key as system:serviceaccount:web:shop"),
        (World(OTHER, taken={PLANTED: 201}), Verdict.HELD, ""),
        (World(OTHER, taken={PLANTED: 201, OTHER: 500}), Verdict.INCONCLUSIVE, "could not tell: log in with"),
        (World(BOOTSTRAP), Verdict.HELD, ""),
        (World(env=FROM_SECRET, readable=403), Verdict.INCONCLUSIVE, "secrets web/key"),
        (World(env=FROM_SECRET, readable=404), Verdict.HELD, ""),
        (World(search="error"), Verdict.INCONCLUSIVE, "in any mount"),
        (World(OTHER, search="error"), Verdict.BREACHED, "in /etc/shop/key as"),
        (World(starts=False), Verdict.INCONCLUSIVE, "FailedMount"),
        (World(shows=False), Verdict.INCONCLUSIVE, "positive control failed"),
        (World(taken={}), Verdict.INCONCLUSIVE, "positive control failed"),
    ],
    ids=[
        "nothing", "token", "packed", "secret", "value", "argument", "live-value", "template-value", "own", "own-endless", "dead", "odd",
        "no-bootstrap-token", "unread", "gone", "broken", "broken-and-found", "no-twin", "not-shown", "shown-and-refused",
    ],
)  # fmt: skip
def test_what_logs_in_is_a_breach(world: World, expected: Verdict, words: str) -> None:
    """In mounts and variables, of the template and of live pods; the pod's own token that ends is none."""
    judge = judged(world)
    verdict, why = judge.verdict()
    assert (expected, True) == (verdict, words in why), why
    assert not any(token in why + repr(judge.attacks) for token in (OTHER, PLANTED, OWN, OWN_ENDLESS))


LISTS = {"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}
GETS = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["key"]}


@pytest.mark.parametrize(
    ("world", "expected", "words"),
    [
        (World(OWN, rights=[LISTS]), Verdict.BREACHED, "in Secret web/key/key as system:serviceaccount:web:other"),
        (World(OWN, rights=[GETS]), Verdict.BREACHED, "in Secret web/key/key as system:serviceaccount:web:other"),
        (World(rights=[LISTS]), Verdict.HELD, ""),
        (World(OWN, rights=[LISTS], readable=500), Verdict.INCONCLUSIVE, "in what the API server shows"),
        (World(OWN, rights=[GETS], readable=404), Verdict.HELD, ""),
        (World(OWN, rights=[LISTS], taken={PLANTED: 201}), Verdict.HELD, ""),
        (
            World(OWN, rights=[LISTS], taken={PLANTED: 201, OWN: 429}),
            Verdict.INCONCLUSIVE,
            "in what the API server shows",
        ),
    ],
    ids=["lists", "gets", "without-a-token", "unread", "gone", "own-is-dead", "own-is-unknown"],
)
def test_what_the_api_server_shows_to_its_own_token_counts(world: World, expected: Verdict, words: str) -> None:
    """Where it has one, and no more than that one reads."""
    verdict, why = judged(world).verdict()
    assert (expected, True) == (verdict, words in why), why


def test_what_is_for_others_is_noted_and_shown_to_nobody() -> None:
    """Not to the API server either."""
    world = World('{"auths": {"r.example.com": {"auth": "dXNlcjpwYXNz"}}}\nAKIAIOSFODNN7EXAMPLE')
    judge = judged(world)
    assert Verdict.HELD is judge.verdict()[0]
    assert 2 == len([note for note in judge.notes if "nobody was asked" in note])
    assert [PLANTED, PLANTED] == world.asked


def test_each_is_shown_once() -> None:
    """Wherever it lies."""
    world = World(OTHER, env=[{"name": "T", "value": OTHER}])
    judged(world)
    assert sorted([OTHER, PLANTED, PLANTED]) == sorted(world.asked)


@pytest.mark.parametrize("name", ["web/shop", "Deployment web/shop/main", "web/shop/main"])
def test_a_declared_container_is_left_out(name: str) -> None:
    """By the workload's name, or its own."""
    judge = judged(World(OTHER), {name: "must"})
    assert Verdict.NOT_APPLICABLE is judge.verdict()[0]
    assert Verdict.BREACHED is judged(World(OTHER), {"web/shop/other": "must"}).verdict()[0]


@pytest.mark.parametrize("check", ["in any mount", "in a variable", "in what the API server shows"])
def test_what_no_attack_tried_is_not_held(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """Each of the three is tried of each container, or is known not to be there."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, check))
    assert Verdict.INCONCLUSIVE is judged(World(OWN)).verdict()[0]


def test_who_takes_nobody_any_more_holds_nothing() -> None:
    """What was planted logs in before the search and after it: between the two an API server may have ended."""

    class Ending(World):
        def request(self, _method: str, path: str, *, token: str | None = None, **more: Any) -> Response:
            if path.endswith("selfsubjectreviews") and token == PLANTED and PLANTED in self.asked:
                self.taken = {}
            return super().request(_method, path, token=token, **more)

    assert Verdict.HELD is judged(World()).verdict()[0]
    assert Verdict.INCONCLUSIVE is judged(Ending()).verdict()[0]


def test_the_view_has_every_namespace_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing of the stack is, a token may lie too; what this run planted is no find."""
    seen: list[str] = []

    def shown(_api: object, _identity: object, namespaces: Sequence[str]) -> tuple[list[Any], list[Any]]:
        seen.extend(namespaces)
        return [], []

    monkeypatch.setattr(module, "pieces_shown", shown)
    judged(World(mounted=OWN))
    assert "elsewhere" in seen
    assert "web" in seen
    assert "ours" not in seen
