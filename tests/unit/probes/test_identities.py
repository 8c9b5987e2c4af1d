"""What RBAC rules say of single objects, as a made-up name can't find that out."""

from __future__ import annotations

import pytest

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.probes.identities import RbacRules
from tests.unit.fakes import evidence

_NAMED = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b", "a"]}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (_NAMED, ["a", "b"]),
        ({**_NAMED, "verbs": ["*"]}, ["a", "b"]),
        ({**_NAMED, "apiGroups": ["*"], "resources": ["*"]}, ["a", "b"]),
        ({**_NAMED, "verbs": ["list"]}, []),
        ({**_NAMED, "apiGroups": ["apps"]}, []),
        ({**_NAMED, "resources": ["configmaps"]}, []),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}, []),
    ],
)
def test_names_of_a_right(rule: dict[str, list[str]], expected: list[str]) -> None:
    """Those of each rule that covers the verb and the resource, wildcards included."""
    rules = RbacRules(evidence(Outcome.HTTP, status=201), (rule,))
    assert expected == rules.names("get", "secrets")


def test_names_are_those_of_the_subresource() -> None:
    """A right on pods is none on pods/exec."""
    rules = RbacRules(evidence(Outcome.HTTP, status=201), ({**_NAMED, "resources": ["pods/exec"]},))
    of_all = RbacRules(rules.evidence, ({**_NAMED, "resources": ["*/exec"]},))
    assert (["a", "b"], []) == (of_all.names("get", "pods/exec"), of_all.names("get", "pods"))
    assert (["a", "b"], []) == (rules.names("get", "pods/exec"), rules.names("get", "pods"))
