"""Runs a sweep as an Indexed Job in the cluster: each of its pods takes a share of the targets.

For more targets than one exec should carry. The program and the targets go into a ConfigMap, the answers come back as the
pods' logs, one pod at a time, as each ends; each share is believed, or not, independently of the others.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods import manifests
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.measure import MANNER, SWEEPER, Dial, Manner, Row, allowance, believed, specification
from pytest_k8ssec.stack.found.unready_pods import why_unready

PER_SHARD = 500
"""How many targets one pod takes."""
SHARDS_MAX = 64
TOGETHER = 8
"""Pods that measure at the same time."""
_START_SECONDS = 120
_SILENCE = (Outcome.NO_ANSWER, Outcome.UNREACHABLE)
_MOUNT = "/k8ssec"
_BOOT = (
    "import io,os,sys;p='/k8ssec/';i=os.environ['JOB_COMPLETION_INDEX'];b=open(p+i,'rb').read();"
    "sys.stdin=io.TextIOWrapper(io.BytesIO(b'%d\\n%b'%(len(b),b)));"
    "exec(compile(open(p+'sweeper').read(),'sweeper','exec'))"
)
"""Runs the sweeper on the share that has this pod's index, as if that had come on standard input."""


def sharded(
    pool: Pool, spec: PodSpec, targets: Sequence[Dial], manner: Manner = MANNER, *, per_shard: int = PER_SHARD
) -> Row:
    """Connect to all targets from pods of one identity. Returns the row that one exec would have given.

    A share whose pod breaks, or hears nothing from anybody, is unknown, with the reason; the others stand.

    Args:
        spec: the identity that each of the pods has.

    Raises:
        ProbeError: the Job was refused.
    """
    started = time.monotonic()
    whole = Row.unknown(len(targets), "", started)
    for share, row in shares(pool, spec, targets, manner, per_shard):
        silent = all(row.outcome(position) in _SILENCE for position in range(len(share)))
        for position, number in enumerate(share):
            if silent:
                row.forget(position, "its share got no answer at all: nothing shows that its pod's own network works")
            whole.codes[number] = row.codes[position]
            whole.latencies[number] = row.latencies[position]
            if told := row.broken or row.details.get(position):
                whole.details[number] = told
    whole.ended = time.monotonic()
    whole.at = time.time()
    return whole


def shares(
    pool: Pool, spec: PodSpec, targets: Sequence[Dial], manner: Manner, per_shard: int
) -> Iterator[tuple[range, Row]]:
    """Each share's target numbers and its row, as its pod ends."""
    shards = min(SHARDS_MAX, -(-len(targets) // per_shard))
    parts = [range(at, len(targets), shards) for at in range(shards)]
    together = min(TOGETHER, shards)
    nonces = [secrets.token_hex(8) for _ in parts]
    told = [
        specification([targets[number] for number in part], manner, nonce, together)
        for part, nonce in zip(parts, nonces, strict=True)
    ]
    name = f"k8ssec-reach-{secrets.token_hex(3)}"
    longest = max(allowance(len(part), manner, together) for part in parts)
    deadline = _START_SECONDS + longest * -(-shards // together)
    data = {str(index): json.dumps(one) for index, one in enumerate(told)} | {"sweeper": SWEEPER.read_text()}
    try:
        with pool.cluster.api.applied(
            _config_map(name, spec, pool.run_id, data), _job(name, spec, pool, shards, together)
        ):
            for index, row in _rows(pool, spec.namespace, name, parts, nonces, deadline):
                yield parts[index], row
    except ClusterError as error:
        raise ProbeError(f"job {spec.namespace}/{name}: {error.message}") from error


def _rows(
    pool: Pool, namespace: str, name: str, parts: Sequence[range], nonces: Sequence[str], deadline: float
) -> Iterator[tuple[int, Row]]:
    """Each pod's answers once it has ended; those of pods that never do are broken."""
    api, waiting, started = (
        pool.cluster.api,
        dict.fromkeys(range(len(parts)), "no pod was made for it"),
        time.monotonic(),
    )
    pods = f"/api/v1/namespaces/{namespace}/pods"
    for _, pod in api.watch(pods, deadline=deadline, labelSelector=f"batch.kubernetes.io/job-name={name}"):
        index = int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])
        if index not in waiting:
            continue
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            waiting[index] = "; ".join(why_unready(pod)) or "its pod runs"
            continue
        del waiting[index]
        yield index, _read(pool, pods, pod, len(parts[index]), nonces[index], started)
        if not waiting:
            return
    for index, last in waiting.items():
        words = f"share {index} of {name}: did not end in {deadline:.0f} s: {last}"
        yield index, Row.unknown(len(parts[index]), words, started)


def _read(pool: Pool, pods: str, pod: Body, count: int, nonce: str, started: float) -> Row:
    meta = pod["metadata"]
    source = Source("pod", f"{meta['namespace']}/{meta['name']}")
    log = pool.cluster.api.request("GET", f"{pods}/{meta['name']}/log", deadline=30)
    code = 0 if pod["status"]["phase"] == "Succeeded" else 1
    try:
        if not log.ok:
            raise ProbeError(f"{source}: its log can't be read: HTTP {log.status} {log.message}")
        return believed(Completed((), code, log.data, b""), nonce, count, source, started)
    except ProbeError as error:
        return Row.unknown(count, error.message, started)


def _config_map(name: str, spec: PodSpec, run_id: str, data: dict[str, str]) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": spec.namespace, "labels": {manifests.OBJECT_LABEL: run_id}},
        "data": data,
    }


def _job(name: str, spec: PodSpec, pool: Pool, shards: int, together: int) -> Body:
    pod = manifests.probe_pod(spec, name, pool.cluster.probe_image, "", pool.run_id, None)
    body = pod["spec"]
    (container,) = body["containers"]
    container["command"] = ["python3", "-IS", "-c", _BOOT]
    container.setdefault("volumeMounts", []).append({"name": "k8ssec-sweep", "mountPath": _MOUNT, "readOnly": True})
    body.setdefault("volumes", []).append({"name": "k8ssec-sweep", "configMap": {"name": name}})
    body["restartPolicy"] = "Never"
    metadata = {"labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": spec.namespace, "labels": {manifests.OBJECT_LABEL: pool.run_id}},
        "spec": {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": together,
            "backoffLimitPerIndex": 0,
            "ttlSecondsAfterFinished": 600,
            "template": {"metadata": metadata, "spec": body},
        },
    }
