"""The README's own examples, on the hardened stack: what a newcomer copies works."""

from __future__ import annotations

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"

_EXAMPLES = re.findall(r"```python\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)

# Their tests become this module's.
for _example in _EXAMPLES:
    exec(compile(_example, str(_README), "exec"))
