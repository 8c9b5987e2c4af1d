"""``python -m pytest_k8ssec.cli``."""

import sys

from pytest_k8ssec.cli import main

sys.exit(main())
