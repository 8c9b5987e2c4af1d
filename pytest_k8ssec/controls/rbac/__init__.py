"""Controls of the family RBAC, and what they share: each puts every service account of the stack on trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.probes.escalation import tried_namespaces
from pytest_k8ssec.probes.identities import Identity, RbacRules, service_account
from pytest_k8ssec.probes.places_by_rights import PlacesByRights, pairs_limit, places_by_rights
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Case, Judge


@dataclass(slots=True)
class AccountSuspect:
    """One service account, with a token of its own."""

    account: ServiceAccount
    identity: Identity
    case: Case
    known: dict[str, RbacRules] = field(default_factory=dict)

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


TryPlace = Callable[[AccountSuspect, str], None]
"""Has an account try all that a control looks for in a place, a namespace or ("") the cluster, and records it in its case."""


def accounts_on_trial(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]
) -> Iterator[tuple[ServiceAccount, Identity, Case]]:
    """Each service account that is not declared, with a token of its own and a case that shows that the token is valid.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    for account in _undeclared(judge, stack, allowed):
        suspect = _on_trial(cluster, account, judge.case(f"service account {account}"))
        yield suspect.account, suspect.identity, suspect.case


def try_places(
    judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str], sampling: Sampling, attempt: TryPlace
) -> None:
    """Have each service account that is not declared try what there is in each namespace, and in the cluster.

    Of many accounts in many namespaces some pairs are tried, as ``places_by_rights`` says. What is told by class is in the
    account's case, with the pair that it is told by, and a note says how much it is. An account is only cleared by class:
    where a pair of its class got through, or can't be told, it tries the same itself.

    Raises:
        ProbeError: no token was issued, or no HTTP answer came.
    """
    accounts = _undeclared(judge, stack, allowed)
    cases = {str(account): judge.case(f"service account {account}") for account in accounts}
    limit = pairs_limit(sampling.limit)
    places = places_by_rights(cluster.api, accounts, tried_namespaces(stack), sampling.chosen, limit=limit)
    suspects = [_on_trial(cluster, account, cases[str(account)]) for account in accounts]
    by_class = [suspect for suspect in suspects if _tries_what_is_chosen(suspect, places, attempt)]
    for suspect in by_class:  # by now it is known what came of each class
        _tell_by_class(suspect, places, attempt)
    if places.words:
        judge.note(f"{places.words} (seed {sampling.seed})")


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
    accounts = stack.identities()
    for account in accounts:
        if str(account) in allowed:
            judge.note(f"{account} is declared: {allowed[str(account)]}")
    return [account for account in accounts if str(account) not in allowed]


def _on_trial(cluster: Cluster, account: ServiceAccount, case: Case) -> AccountSuspect:
    identity = service_account(cluster, account.namespace, account.name)
    known = identity.who_am_i()
    case.positive("its token is valid", known, succeeded=identity.is_itself(known))
    return AccountSuspect(account, identity, case)
