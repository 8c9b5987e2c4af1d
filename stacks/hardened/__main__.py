"""A platform of three teams that lets one compromised workload reach nothing but what it needs.

web: a storefront. payments: an API and the ledger behind it. batch: a reporter, the only client of the Kubernetes API.
What is deployed is in ../platform_kit; what makes it safe is named here. ../insecure is the same platform without.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from platform_kit import Posture, build

build(
    Posture(
        pod_security="restricted",
        network_policies=True,
        admission_policies=True,
        quotas=True,
        token_automount=False,
        reporter_is_admin=False,
        key_in_plain_variable=False,
        anonymous_may_view=False,
        shop_on_every_node=False,
    )
)
