"""What runs on the nodes: a command that fails there is never taken for an answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_k8ssec.clusters.frozen.freeze import _STOP_CONTROLLERS, ON_NODE

FUNCTIONS, _, WORK = (ON_NODE / "freeze.sh").read_text().partition("\nsystemctl stop kubelet\n")
"""The script up to where it begins to work: to run the rest would take this machine apart."""
ENCRYPTED = '{"kvs":[{"key":"eA==","value":"azhzOmVuYzphZXM="}]}'
PLAIN = '{"header":{"revision":"7"},"kvs":[{"key":"eA==","value":"azhzAA=="}],"count":"1"}'

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(script, argument, curl=, crictl=)``: a script, where these programs do as these scripts say."""

    def with_programs(script: str, *arguments: str, **programs: str) -> subprocess.CompletedProcess[str]:
        for name, does in {"systemctl": "exit 99", "rm": "exit 99", **programs}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
            (tmp_path / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin"}
        return subprocess.run(
            ["bash", "-c", script, "bash", *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return with_programs


def etcd(tmp_path: Path, stored: str, code: int = 0) -> str:
    """A curl to which etcd says what it has stored, and then ends so."""
    (tmp_path / "stored").write_text(stored)
    return f"""case $* in
    *kv/range*count_only*) echo '{PLAIN}' ;;
    *kv/range*) cat {tmp_path}/stored || exit 23; exit {code} ;;
    esac"""


def test_the_script_is_what_is_tried_here() -> None:
    """Before it works it only defines functions."""
    assert 'forget "$1"\n' in WORK
    assert "\nnone_left\n" in WORK
    assert "\nforget() {" in FUNCTIONS
    assert "\nnone_left() {" in FUNCTIONS


@pytest.mark.parametrize(
    ("stored", "code", "says"),
    [(ENCRYPTED, 0, "are encrypted with a key"), ("", 22, ""),
     (PLAIN, 56, ""), ('{"error":"x"}', 0, "etcd does not tell"), ("", 0, "etcd does not tell")],
)  # fmt: skip
def test_what_etcd_does_not_tell_is_not_taken_for_unencrypted(
    run: Run, tmp_path: Path, stored: str, code: int, says: str
) -> None:
    """A copy could not read what the frozen cluster's own key encrypted: the freeze fails, and kind makes the cluster."""
    ended = run(f'{FUNCTIONS}\nforget "$1"', "random-keys", curl=etcd(tmp_path, stored, code))
    assert 0 != ended.returncode
    assert says in ended.stderr


@pytest.mark.parametrize(("kind", "stored"), [("random-keys", PLAIN), ("no-random-keys", ENCRYPTED)])
def test_what_is_not_encrypted_with_a_key_of_its_own_is_frozen(
    run: Run, tmp_path: Path, kind: str, stored: str
) -> None:
    """A key that stands in the configuration is every copy's."""
    ended = run(f'{FUNCTIONS}\nforget "$1"', kind, curl=etcd(tmp_path, stored))
    assert (0, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize(("does", "ends"), [("exit 0", 0), ("echo a-pod", 1), ("exit 1", 1)])
def test_pods_that_nobody_can_list_are_not_none(run: Run, does: str, ends: int) -> None:
    """Else an image would be made of a node that still works."""
    assert ends == run(f"{FUNCTIONS}\nnone_left", crictl=does).returncode


@pytest.mark.parametrize(
    ("listing", "stopping", "ends"), [("exit 0", 1, 0), ("exit 1", 0, 1), ("echo a; echo b", 0, 0), ("echo a", 1, 1)]
)
def test_controllers_that_nobody_can_list_are_not_stopped(run: Run, listing: str, stopping: int, ends: int) -> None:
    """Nor are those that do not stop."""
    does = f'case $1 in ps) {listing} ;; *) [ "$*" = "--timeout 60s stop --timeout 5 a b" ] || exit {stopping} ;; esac'
    assert ends == run(_STOP_CONTROLLERS, crictl=does).returncode
