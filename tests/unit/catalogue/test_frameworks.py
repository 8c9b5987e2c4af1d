"""The catalogue of framework ids: what is found in it, and how a wrong id is told."""

from __future__ import annotations

import pytest

from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS, UnknownReference, reference


@pytest.mark.parametrize(
    ("framework", "ident", "title", "url", "edition"),
    [
        (
            "cis",
            "2.2",
            "Ensure that the --client-cert-auth argument is set to true",
            "https://github.com/aquasecurity/kube-bench/blob/main/cfg/cis-1.12/etcd.yaml",
            "v1.12.0",
        ),
        (
            "mitre",
            "T1552.007",
            "Unsecured Credentials: Container API",
            "https://attack.mitre.org/techniques/T1552/007/",
            "v19.2",
        ),
        (
            "owasp",
            "K08:2022",
            "Secrets Management Failures",
            "https://owasp.org/www-project-kubernetes-top-ten/2022/en/src/K08-secrets-management",
            "2022",
        ),
        (
            "owasp",
            "K03:2025",
            "Secrets Management Failures",
            "https://owasp.org/www-project-kubernetes-top-ten/2025/en/src/K03-Secrets-Management-Failures.html",
            "2025",
        ),
        (
            "others",
            "C-0262",
            "Anonymous access enabled",
            "https://kubescape.io/docs/controls/c-0262/",
            "kubescape regolibrary",
        ),
    ],
)
def test_a_known_id_has_its_title_page_and_edition(
    framework: str, ident: str, title: str, url: str, edition: str
) -> None:
    """A known id is found with the title, the page and the edition of its own framework."""
    found = reference(framework, ident)

    assert (ident, title, url, edition) == (found.id, found.title, found.url, found.edition)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_listed_id_resolves(framework: str) -> None:
    """Each id in the catalogue has a title, an edition and a page without blanks."""
    for ident in FRAMEWORKS[framework].ids:
        found = reference(framework, ident)
        assert found.title.strip() == found.title != ""
        assert found.edition
        assert found.url.startswith("https://")
        assert " " not in found.url


@pytest.mark.parametrize(
    ("framework", "ident", "suggestion"),
    [
        ("cis", "1.2.27 ", "1.2.27"),
        ("mitre", "T1552.07", "T1552.007"),
        ("owasp", "22K9", "K09:2022"),
        ("owasp", "25K10", "K10:2025"),
        ("owasp", "K9:2022", "K09:2022"),
        ("others", "KHV31", "KHV031"),
        ("others", "ms-ta9027", "MS-TA9027"),
        ("others", "KSV017", "KSV-0017"),
        ("cis", "zzz", ""),
    ],
)
def test_an_unknown_id_names_the_nearest_one(framework: str, ident: str, suggestion: str) -> None:
    """An id that is misspelled or missing is refused, and the one that was probably meant is named."""
    with pytest.raises(UnknownReference, match=f'^{framework} "{ident}": is not known') as caught:
        reference(framework, ident)

    assert suggestion == caught.value.suggestion
    assert suggestion in str(caught.value)


def test_an_id_of_another_framework_is_sent_home() -> None:
    """An id that exists, but in another framework, is refused with that framework's key."""
    with pytest.raises(UnknownReference, match='cis "N2": is an id of another framework, "nsa"'):
        reference("cis", "N2")


def test_an_unknown_framework_names_the_nearest_one() -> None:
    """A framework's key that is misspelled is refused as a ValueError that names the right one."""
    with pytest.raises(ValueError, match='framework "mitr": is not known; did you mean "mitre"') as caught:
        reference("mitr", "T1611")

    assert isinstance(caught.value, UnknownReference)
