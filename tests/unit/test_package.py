"""What the package offers by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_k8ssec


@pytest.mark.parametrize("name", pytest_k8ssec.__all__)
def test_each_public_name_is_there(name: str) -> None:
    """And is what tests need it for, not a module of that name."""
    code = f"from pytest_k8ssec import {name}; assert callable({name}) and {name}.__doc__, {name}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_the_package_imports_nothing_else() -> None:
    """Each pytest run pays for it."""
    code = "import sys, pytest_k8ssec; print(*(name for name in sys.modules if name.startswith('pytest_k8ssec.')))"
    said = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert "" == said.stdout.strip()


def test_another_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'tcp'"):
        _ = pytest_k8ssec.tcp
