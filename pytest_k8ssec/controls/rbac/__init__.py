"""Controls of the family RBAC, and what they share: each puts every service account of the stack on trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Facts
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.identities import Identity, RbacRules, service_account
from pytest_k8ssec.probes.places_by_rights import PlacesByRights, pairs_limit, places_by_rights
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.stack import ObjectOrigin, ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge


@dataclass(slots=True)
class AccountSuspect:
    """One service account, with a token of its own."""

    account: ServiceAccount
    identity: Identity
    case: Case
    known: dict[str, RbacRules] = field(default_factory=dict)

    def at(self, where: str, checks: Iterable[str]) -> list[dict[str, str]]:
        """Which combinations it tries by checks in a place, a namespace or ("") the cluster."""
        return [_at(self.account, where, check) for check in (*checks, _ANYTHING)]

    def rules(self, namespace: str) -> RbacRules:
        """Its rules in a namespace as the API server lists them, asked for and recorded once. Raises ProbeError."""
        if namespace not in self.known:
            self.known[namespace] = told = self.identity.rules(namespace)
            self.case.positive("its rules can be read", told.evidence, succeeded=told.evidence.status == 201)
        return self.known[namespace]

    def outcome_of(self, attempt: TryPlace, where: str) -> bool | None:
        """Have it try what there is in a place: whether anything got through, None where that can't be told."""
        before = len(self.case.attacks)
        attempt(self, where)
        came = self.case.attacks[before:]
        if any(attack.got_through for attack in came):
            return True
        return False if came and all(attack.stopped for attack in came) else None


PLACE_DIMENSIONS = ("account", "namespace", "check")
"""Those of a control that tries places."""
_CLUSTER = "(the cluster)"
_ANYTHING = "anything"
"""Stands for all checks of one account in one place: where there are many, one pair of a class speaks for the others."""
TryPlace = Callable[[AccountSuspect, str], None]
"""Has an account try all that a control looks for in a place, a namespace or ("") the cluster, and records it in its case."""


def accounts_on_trial(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], tried: Sequence[Facts]
) -> Iterator[tuple[ServiceAccount, Identity, Case]]:
    """Each service account that is not declared, with a token of its own and a case that shows that the token is valid.

    Args:
        tried: what there is to try for each, in the control's dimensions besides ``account``.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    accounts = _undeclared(judge, stack, allowed)
    for account, at in product(accounts, tried):
        judge.coverage.exists(account=account, **at)
    for account in accounts:
        suspect = _on_trial(cluster, account, _case(judge, account))
        yield suspect.account, suspect.identity, suspect.case


def try_places(
    judge: Judge,
    cluster: Cluster,
    stack: Stack,
    allowed: Mapping[str, str],
    sampling: Sampling,
    attempt: TryPlace,
    checks: Callable[[str], Sequence[str]],
) -> None:
    """Have each service account that is not declared try what there is in each namespace, and in the cluster.

    Of many accounts in many namespaces some pairs are tried, as ``places_by_rights`` says. What is told by class is in the
    account's case, with the pair that it is told by, and a note says how much it is. An account is only cleared by class:
    where a pair of its class got through, or can't be told, it tries the same itself.

    Args:
        attempt: says by ``AccountSuspect.at`` which checks each attack makes.
        checks: what there is to check in a place.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    accounts = _undeclared(judge, stack, allowed)
    cases = {str(account): _case(judge, account) for account in accounts}
    limit = pairs_limit(sampling.limit)
    places = places_by_rights(cluster.api, accounts, tried_namespaces(stack), sampling.chosen, limit=limit)
    _exist(judge, accounts, places)

    def try_all(suspect: AccountSuspect, where: str) -> None:
        for check in checks(where):
            judge.coverage.exists(**_at(suspect.account, where, check))
        attempt(suspect, where)

    suspects = [_on_trial(cluster, account, cases[str(account)]) for account in accounts]
    by_class = [suspect for suspect in suspects if _tries_what_is_chosen(suspect, places, try_all)]
    for suspect in by_class:  # by now it is known what came of each class
        _tell_by_class(suspect, places, try_all)
    if places.words:
        judge.note(f"{places.words} (seed {sampling.seed})")


def _exist(judge: Judge, accounts: Sequence[ServiceAccount], places: PlacesByRights) -> None:
    """Say that there is each pair of account and place, and which of them are one class."""
    for account, where in product(accounts, (*places.namespaces, "")) if places.granted is None else ():
        judge.coverage.exists(**_at(account, where, _ANYTHING))
    numbers: dict[object, int] = {}  # equal classes need not be written alike
    for account in accounts if places.granted is not None else ():
        for kind, all_of_it in places.classes_of(account).items():
            alike = f"rights {numbers.setdefault(kind, len(numbers))}"
            for where in all_of_it:
                judge.coverage.exists(alike=alike, **_at(account, where, _ANYTHING))


def _at(account: ServiceAccount, where: str, check: str) -> dict[str, str]:
    return {"account": str(account), "namespace": where or _CLUSTER, "check": check}


def _tries_what_is_chosen(suspect: AccountSuspect, places: PlacesByRights, attempt: TryPlace) -> bool:
    """Returns whether the rest may be told by class; else it has tried every place."""
    account = suspect.account
    mine = places.chosen.get(str(account), ())
    if places.granted is not None:
        looked = {where: suspect.rules(where) for where in dict.fromkeys((account.namespace, *mine)) if where}
        if places.agrees(account, looked):
            for where in mine:
                places.note(account, where, through=suspect.outcome_of(attempt, where))
            places.tried += len(mine)
            return True
        places.untold.append(str(account))
    for where in (*places.namespaces, ""):
        attempt(suspect, where)
    places.tried += len(places.namespaces) + 1
    return False


def _tell_by_class(suspect: AccountSuspect, places: PlacesByRights, attempt: TryPlace) -> None:
    """Record what is told by class; what can't be, it tries in one place of the class."""
    account = suspect.account
    mine = places.chosen.get(str(account), ())
    told: dict[str, int] = {}
    for kind, all_of_it in places.classes_of(account).items():
        own = [where for where in all_of_it if where in mine]
        answers = places.answers.get(kind, {})
        if not own and (not answers or set(answers) != {False}):
            own = all_of_it[:1]
            places.note(account, own[0], through=suspect.outcome_of(attempt, own[0]))
            places.tried += 1
            answers = places.answers[kind]
        left = len(all_of_it) - len(own)
        places.by_class += left
        if left and set(answers) == {False}:
            told[answers[False]] = left
        elif left:
            like = suspect.rules(account.namespace).evidence
            words = "; ".join(f"{pair}: {_SAID[through]}" for through, pair in answers.items())
            case = replace(like, detail=f"not tried in {left} places where it has the same rules as others: {words}")
            suspect.case.attack(f"whatever it may in {left} places more", case, through=None)
    if told:
        like = suspect.rules(account.namespace).evidence
        detail = "RBAC gives it the same rules there as a pair that was refused everything"
        evidence = replace(like, detail=detail, facts={"places, by the pair that was tried": told})
        suspect.case.attack(f"whatever it may in {sum(told.values())} places, by class", evidence, through=False)


_SAID = {True: "got through", False: "was refused", None: "can't be told"}


def _undeclared(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> list[ServiceAccount]:
    """The accounts to try; what is said of the others is noted."""
    judge.not_applicable("the stack has no service account that is not declared")
    declared, accounts = Declared(judge, allowed), stack.identities()
    left = [each for each in accounts if not declared.covers(str(each), f"ServiceAccount {each}")]
    declared.tell_unused()
    return left


def _case(judge: Judge, account: ServiceAccount) -> Case:
    """Its case; where the program has no such account, it says how it came."""
    how = f" ({account.origin})" if account.origin not in (ObjectOrigin.DECLARED, ObjectOrigin.CONTROLLER) else ""
    return judge.case(f"service account {account}{how}")


def _on_trial(cluster: Cluster, account: ServiceAccount, case: Case) -> AccountSuspect:
    identity = service_account(cluster, account.namespace, account.name)
    known = identity.who_am_i()
    case.positive("its token is valid", known, succeeded=identity.is_itself(known))
    return AccountSuspect(account, identity, case)
