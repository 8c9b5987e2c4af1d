"""The README's own example, on the hardened stack: what a newcomer copies works."""

from __future__ import annotations

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"

(_EXAMPLE,) = re.findall(r"```python\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)

# Its tests become this module's.
exec(compile(_EXAMPLE, str(_README), "exec"))
