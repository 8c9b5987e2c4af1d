"""The line of a setting in a kind configuration: in kubeadm's patches, in either form of arguments, or beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_k8ssec.clusters.kind_lines import line_of

_KIND = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: false
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        anonymous-auth: "true"
  # a comment
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        - name: service-account-lookup
          value: "false"
  - |
    kind: KubeletConfiguration
    authentication:
      anonymous:
        enabled: true
"""


@pytest.mark.parametrize("moved", [0, 7])
@pytest.mark.parametrize(
    ("key", "line"),
    [("disableDefaultCNI", 4), ("anonymous-auth", 10), ("service-account-lookup", 16), ("enabled", 22)],
)
def test_a_setting_is_found_in_its_line(key: str, line: int, moved: int, tmp_path: Path) -> None:
    """Also where the whole file is moved down."""
    path = tmp_path / "kind.yaml"
    path.write_text("#\n" * moved + _KIND)
    assert line_of(path, key) == f"{path}:{line + moved}"


def test_what_is_set_nowhere_is_the_files(tmp_path: Path) -> None:
    """A default that nobody wrote has no line."""
    path = tmp_path / "kind.yaml"
    path.write_text(_KIND)
    assert line_of(path, "readOnlyPort") == str(path)
