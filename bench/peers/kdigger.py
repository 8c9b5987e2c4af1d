"""kdigger: from within pods, and for what it asks of the API with the tokens that an attacker may hold."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import yaml

from bench.fetch import binary, version
from bench.peers.interface import About, Report
from bench.places import TOOLS, Foothold, Place
from pytest_k8ssec.errors import CommandError, ProbeError
from pytest_k8ssec.machine.process import run

_NAME = "kdigger"
_SECONDS = 60
_PASSIVE = (
    "capabilities", "cgroups", "containerdetect", "devices", "environment", "mount", "node", "pidnamespace",
    "processes", "runtime", "services", "token", "userid", "usernamespace",
)  # fmt: skip
_KUBECONFIG = "/dev/shm/k8ssec-bench"  # noqa: S108 - in a pod of ours; the one place that every pod may write to
_WITH_TOKEN = f'umask 77; read -r kubeconfig; printf %s "$kubeconfig" >{_KUBECONFIG}; exec env -i {TOOLS}/{_NAME} "$@"'
_COMMENTS = {
    "A service account token is mounted.": "token: mounted",
    "systemd is the first process.": "processes: systemd is the first",
    "The kubelet process was found, pod might have hostPID to true.": "pidnamespace: the kubelet is seen",
    "Seccomp flag to SECCOMP_MODE_DISABLED.": "syscalls: no seccomp filter",
}
"""What its comments say of a weakness."""


class Kdigger:
    """See :class:`bench.peers.interface.Peer`."""

    @property
    def about(self) -> About:
        """See :class:`bench.peers.interface.Peer`."""
        return About(
            _NAME,
            version(_NAME),
            "digs from within a pod, and with its token; with side effects, so that it scans admission too",
            (
                "It reports facts, not findings: a fact counts where it is about the weakness and new.",
                (
                    "Its buckets `cloudmetadata` (it asks hosts outside the cluster) and, but for one pod of its own, "
                    "`syscalls` (it makes every system call) are not run."
                ),
                "Admission is scanned with the administrator's rights, as any other refusal counts as prevented.",
            ),
        )

    def fetch(self) -> None:
        """See :class:`bench.peers.interface.Peer`."""
        binary(_NAME)

    def run(self, place: Place) -> Report:
        """In every foothold; with each account's token from the bare pod; admission of each namespace of the stack."""
        footholds, accounts, unprofiled = place.footholds(), place.accounts, place.unprofiled()
        for foothold in (*footholds, unprofiled):
            place.give(foothold, binary(_NAME), _NAME)
        started = time.monotonic()
        reports = [_dig(each, *_PASSIVE) for each in footholds]
        reports.append(_dig(unprofiled, "syscalls", "--side-effects"))
        reports += [_with_token(place, footholds[0], account, token) for account, token in accounts.items()]
        reports += [_admission(place, each) for each in place.namespaces]
        return Report.together(reports, time.monotonic() - started)


def read(said: str, where: str) -> frozenset[str]:
    """Facts of its JSON lines, one a bucket.

    Raises:
        ProbeError: there are none.
    """
    try:
        buckets = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        facts = frozenset(f"{where}: {fact}" for bucket in buckets for fact in _facts(bucket))
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"{_NAME} in {where}: gave no report", details=said[-2000:]) from error
    if not buckets:
        raise ProbeError(f"{_NAME} in {where}: gave no report", details=said[-2000:])
    return facts


def _facts(bucket: dict[str, Any]) -> Iterator[str]:
    name = bucket["bucket"]
    for comment in bucket.get("comments") or ():
        if comment in _COMMENTS:
            yield _COMMENTS[comment]
    results = bucket.get("results") or ([bucket["result"]] if bucket.get("result") else [])
    for result in results:
        yield from _fact(name, result)


def _fact(name: str, result: dict[str, Any]) -> Iterator[str]:
    match name:
        case "capabilities":
            yield from (f"{result['set']} capability {each.lower()}" for each in result["capabilities"] or ())
        case "devices":
            yield f"device {result['name']}"
        case "mount":
            yield f"mount {result['path']} {result['flags'].partition(',')[0]}"
        case "userid":
            yield f"user {result['userID']}"
        case "authorization":
            what = [_words(result[each]) for each in ("resources", "nonResourceURLs", "ressourceNames")]
            yield f"may {_words(result['verbs'])} {' '.join(filter(None, what))}"
        case "admission" if result["success"]:
            yield f"admitted {result['pod']}"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(sorted(map(str, value or ())))


def _dig(foothold: Foothold, *buckets: str) -> Report:
    argv = ["dig", *buckets, "--output", "json"]
    # A static binary knows its user's name from the environment alone, and tells nothing of the user without.
    done = foothold.run(["env", "USER=user", "HOME=/", f"{TOOLS}/{_NAME}", *argv], deadline=_SECONDS)
    return Report(read(done.text or done.errors, foothold.name), commands=(f"{_NAME} {' '.join(argv)}",))


def _with_token(place: Place, foothold: Foothold, account: str, token: str) -> Report:
    namespace = account.partition("/")[0] if "/" in account else "default"
    argv = ["dig", "authorization", "apiresources", "version", "--namespace", namespace, "--output", "json"]
    done = foothold.run(
        ["sh", "-c", _WITH_TOKEN, _NAME, *argv, "--kubeconfig", _KUBECONFIG],
        deadline=_SECONDS,
        line=_kubeconfig(place, token),
    )
    command = f"{_NAME} {' '.join(argv)} --kubeconfig $TOKEN_OF_ACCOUNT"
    return Report(read(done.text or done.errors, account), commands=(command,))


def _admission(place: Place, namespace: str) -> Report:
    argv = ["dig", "admission", "--side-effects", "--namespace", namespace, "--output", "json"]
    try:
        done = run(
            [str(binary(_NAME)), *argv, "--kubeconfig", str(place.cluster.kubeconfig)], deadline=_SECONDS, env={}
        )
    except CommandError as error:
        raise ProbeError(f"{_NAME} admission: {error.message}", details=error.details) from error
    return Report(
        read(done.text, f"namespace {namespace}"), commands=(f"{_NAME} {' '.join(argv)} --kubeconfig $ADMIN",)
    )


def _kubeconfig(place: Place, token: str) -> str:
    """One line of JSON, which is YAML: the API server as pods reach it, and a token."""
    given = yaml.safe_load(place.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = given["certificate-authority-data"]
    base64.b64decode(authority, validate=True)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": f"https://{place.service}:443", "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(document)
