"""Offers objects to the API server as dry runs, to see what admission makes of them.

Who refused is told by the words that the API server itself puts before a policy's own: the names of quotas, namespaces and
policies, and what a policy says, may hold any word.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/ (ResourceQuota is asked last),
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ (the status follows its reason),
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response (a webhook chooses it)
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.api_servers import HasApi
from pytest_k8ssec.errors import ProbeError, as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.resources import quantity
from pytest_k8ssec.probes.guises import PLAIN, Guise
from pytest_k8ssec.probes.identities import api_evidence

_OBJECT = r'^(?:[\w.]+(?: "[^"]*")? is (?:forbidden|invalid): |forbidden: )?'
_DENIALS = re.compile(
    r'^admission webhook "[^"]+" denied the request\b'  # whatever status it chose; Kyverno leaves that at 400
    rf"|{_OBJECT}ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request\b"
    rf"|{_OBJECT}image policy webhook backend denied\b"  # ImagePolicyWebhook
    rf"|{_OBJECT}Use of external IPs is denied by admission control"  # DenyServiceExternalIPs
)
_FULL = re.compile(
    _OBJECT + r"exceeded quota: [^,\s]+, requested: (?:(?P<requested>.*), used: .*, limited: (?P<limited>.*))?",
    re.DOTALL,
)
_POLICY_SECONDS = 15
_PAUSE = 0.3


def offered(
    cluster: HasApi,
    path: str,
    manifest: dict[str, Any],
    *,
    method: str = "POST",
    guise: Guise = PLAIN,
    headers: Mapping[str, str] | None = None,
) -> tuple[Evidence, Body]:
    """Offer an object as a dry run: 201 (for a change, 200) means that it would be stored.

    Args:
        cluster: the cluster, or one of its API servers.
        guise: as whom, and what a pod wears meanwhile.

    Returns:
        the evidence, and the object as it would be stored (or the Status that refuses it).

    Raises:
        ProbeError: no HTTP answer came.
    """
    with as_probe_error():
        answer = cluster.api.request(
            method,
            path,
            body=guise.wear(manifest),
            params={"dryRun": "All"},
            headers={**(headers or {}), **guise.headers},
        )
    return api_evidence(guise.user or "our administrator", f"{method} {path}{guise} (dry run)", answer), answer.body


def admitted(answer: Evidence) -> bool | None:
    """Whether an offered object was let in; None where the answer says neither.

    RBAC, validation, a quota and a LimitRange refuse as well: that is no denial of what the object is.
    """
    if answer.status in {200, 201}:
        return True
    refused = answer.status is not None and 400 <= answer.status < 500
    return False if refused and _DENIALS.search(answer.detail) else None


def only_quota_refused(answer: Evidence) -> bool:
    """Whether nothing but a ResourceQuota kept an object out: that is the last to be asked, so all others had let it in."""
    return answer.status == 403 and _FULL.search(answer.detail) is not None


def admitted_but_for_room(answer: Evidence) -> bool | None:
    """The same, where what only a full quota keeps out counts as let in: the next one may find room.

    None where the quota has room for no such object even when it is empty, or does not tell: that such an object never comes
    in is no denial of it.
    """
    if answer.status == 403 and (told := _FULL.search(answer.detail)):
        try:
            requested, limited = (_amounts(told[part]) for part in ("requested", "limited"))
            return True if all(amount <= limited[name] for name, amount in requested.items()) else None
        except (KeyError, ValueError):
            return None
    return admitted(answer)


def _amounts(listed: str | None) -> dict[str, Fraction]:
    """What a quota's words list: ``pods=1,requests.cpu=10m``. Raises ValueError where they list nothing like that."""
    pairs = [each.rpartition("=") for each in (listed or "").split(",")]
    return {name: quantity(amount) for name, _, amount in pairs}


def await_admission(
    cluster: HasApi, path: str, manifest: dict[str, Any], *, let_in: bool, guise: Guise = PLAIN
) -> Evidence:
    """Offer an object until admission decides as expected: a new policy takes a moment, and nothing announces it.

    Raises:
        ProbeError: that did not happen in time, or no HTTP answer came.
    """
    end = time.monotonic() + _POLICY_SECONDS
    while True:
        answer, _ = offered(cluster, path, manifest, guise=guise)
        if admitted(answer) is let_in:
            return answer
        if time.monotonic() > end:
            raise ProbeError(
                f"POST {path}: is not {'let in' if let_in else 'denied'} within {_POLICY_SECONDS} s: {answer}"
            )
        time.sleep(_PAUSE)
