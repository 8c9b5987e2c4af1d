"""The same platform as in ../hardened, with the mistakes that are most often made. Never deploy it anywhere real.

It exists to show what a failing run looks like: each field below is one mistake, and a control that breaches by it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from platform_kit import Posture, build

build(
    Posture(
        pod_security="",
        network_policies=False,
        admission_policies=False,
        quotas=False,
        token_automount=True,
        reporter_is_admin=True,
        key_in_plain_variable=True,
        anonymous_may_view=True,
        shop_on_every_node=True,
    )
)
