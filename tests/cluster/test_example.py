"""The documentation's own tests, on the hardened stack: what a newcomer copies works."""

from __future__ import annotations

import re
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]
_PAGES = ("README.md", "docs/how-to/write-a-test.md")

# Their tests become this module's.
for _page in _PAGES:
    for _example in re.findall(r"```python\n(.*?)```", (_REPOSITORY / _page).read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(_example, _page, "exec"))
