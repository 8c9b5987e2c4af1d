"""Before a sabotage: whether a control can be shown to notice it at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth as etcd_client_auth
from pytest_k8ssec.controls.net.ingress_deny import test_net_ingress_deny as net_ingress_deny
from pytest_k8ssec.plugin.judged import INTACT
from pytest_k8ssec.plugin.running import _check_intact
from pytest_k8ssec.sabotages.packs import Pack
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.verdict import Verdict


@pytest.mark.parametrize(
    ("control", "bystander", "intact", "ended_by"),
    [
        (etcd_client_auth, False, Verdict.HELD, None),
        (etcd_client_auth, False, Verdict.WAIVED, pytest.fail.Exception),
        (net_ingress_deny, True, Verdict.WAIVED, None),
        (net_ingress_deny, False, Verdict.WAIVED, None),
        (net_ingress_deny, False, Verdict.BREACHED, pytest.fail.Exception),
        (net_ingress_deny, False, Verdict.NOT_APPLICABLE, pytest.skip.Exception),
    ],
    ids=["held", "waived, and its sabotage has a cluster of its own", "waived bystander", "waived, live", "breached", "nothing there"],
)  # fmt: skip
def test_what_was_waived_is_no_proof_on_another_cluster(
    control: Any, bystander: bool, intact: Verdict, ended_by: type[BaseException] | None
) -> None:
    """There everything has other names: nobody could tell what was waived from what the sabotage adds."""
    of = etcd_client_auth if bystander else control
    found = control_of(of)
    assert found is not None
    mine = control_of(control)
    assert mine is not None
    phase = Phase("sabotaged", Pack.alone(found.sabotages[0]), bystander=bystander)
    stash = pytest.Stash()
    stash[INTACT] = {mine.id: intact}
    item = cast("pytest.Function", SimpleNamespace(function=control, config=SimpleNamespace(stash=stash)))
    if ended_by is None:
        _check_intact(item, phase)
    else:
        with pytest.raises(ended_by, match="not run: "):
            _check_intact(item, phase)
