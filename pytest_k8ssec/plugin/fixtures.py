"""The fixtures that tests ask for. Each one returns a part of a testbed, or makes probes.

They use only one another and ``request``, which nobody can override: see ``guard``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_k8ssec.errors import K8ssecError, NoAccess
from pytest_k8ssec.plugin.session import SETTINGS

if TYPE_CHECKING:
    from pytest_k8ssec.agent.vantage import NetworkVantage
    from pytest_k8ssec.attack.radius import BlastRadius
    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.facts.node_host import NodeHost
    from pytest_k8ssec.pods.pool import Attacker, Pod, Pool
    from pytest_k8ssec.reach.matrix import Reachability
    from pytest_k8ssec.reach.sampling import Sampling
    from pytest_k8ssec.sabotages.phases import Phase
    from pytest_k8ssec.stack import Stack, Workload
    from pytest_k8ssec.testbed.testbed import Testbed
    from pytest_k8ssec.testbed.testbeds import Testbeds
    from pytest_k8ssec.verdict import Judge

_Made = TypeVar("_Made")


@pytest.fixture(scope="session")
def k8ssec_testbeds(request: pytest.FixtureRequest) -> Testbeds:
    """Internal: the testbeds of this process, begun at their first use."""
    from pytest_k8ssec.plugin import session

    return _or_fail(lambda: session.testbeds(request.config))


@pytest.fixture(scope="session")
def k8ssec_testbed(request: pytest.FixtureRequest) -> Testbed:
    """Internal: the cluster that a test runs on, with what stands on it; a sabotage's own one by parameter."""
    from pytest_k8ssec.sabotages.packs import Pack

    variant = getattr(request, "param", None)
    testbeds: Testbeds = request.getfixturevalue("k8ssec_testbeds")
    return testbeds.testbed(variant if isinstance(variant, Pack) else None)


@pytest.fixture
def k8ssec_phase(request: pytest.FixtureRequest) -> Phase:
    """Internal: in which state of the cluster a control runs, under ``--k8ssec-sabotage``."""
    from pytest_k8ssec.sabotages.phases import Phase

    phase = getattr(request, "param", None)
    return phase if isinstance(phase, Phase) else Phase()


@pytest.fixture(scope="session")
def cluster(k8ssec_testbed: Testbed) -> Cluster:
    """A ready Kubernetes cluster: an ephemeral kind cluster, or the one named by --k8ssec-cluster.

    Its ``api`` answers requests with the status (``cluster.api.request("GET", "/api/v1/nodes").status``), ``nodes`` are
    its nodes, ``on_node`` runs a command on one.
    """
    return _or_fail(lambda: k8ssec_testbed.cluster)


@pytest.fixture(scope="session")
def stack(k8ssec_testbed: Testbed) -> Stack:
    """The Pulumi stack of --k8ssec-stack, deployed: ``outputs``, ``resources`` with URNs, ``namespaces``, ``workloads()``."""
    return _or_fail(lambda: k8ssec_testbed.stack)


@pytest.fixture(scope="session")
def deployed(k8ssec_testbed: Testbed) -> Stack | None:
    """The stack if one was named, else None: for tests of the cluster that a stack's objects can influence."""
    return _or_fail(lambda: k8ssec_testbed.expected_stack)


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> Mapping[str, NodeHost]:
    """testinfra hosts, one a node, by node name (docker backend): ``nodes["..."].file("/etc/kubernetes/admin.conf").mode``."""
    from pytest_k8ssec.facts.node import hosts

    found = hosts(cluster)
    if not found:
        pytest.skip("no node of this cluster is a container of this docker daemon")
    return found


@pytest.fixture(scope="session")
def pool(k8ssec_testbed: Testbed) -> Pool:
    """The session's pods to probe from, for what ``attacker`` and ``twin`` are too simple for."""
    return _or_fail(lambda: k8ssec_testbed.pool)


@pytest.fixture(scope="session")
def k8ssec_sampling(k8ssec_testbed: Testbed) -> Sampling:
    """Internal: how many of what is alike are tried, and what chance decides then."""
    return k8ssec_testbed.sampling


@pytest.fixture
def attacker(pool: Pool) -> Attacker:
    """``attacker(namespace=..., labels=..., service_account=..., node=...)``: a pod to probe from.

    Without a namespace it stands in one of our own. Pods are shared between tests that ask for the same.
    """
    return pool.attacker


@pytest.fixture
def twin(pool: Pool) -> Callable[[Workload], Pod]:
    """``twin(workload)``: a pod with the workload's labels, account, volumes and security context that runs our listener."""
    return pool.twin


@pytest.fixture
def outside(cluster: Cluster) -> NetworkVantage:
    """A container beside the cluster's nodes, on their network: what a neighbour sees."""
    from pytest_k8ssec.agent.vantage import NetworkVantage

    return NetworkVantage(cluster, None)


@pytest.fixture(scope="session")
def reachability(k8ssec_testbed: Testbed, request: pytest.FixtureRequest) -> Reachability:
    """Who reaches whom: every workload, namespace, node and the outside, towards every port that really listens.

    Measured once, when it is first asked for: ``assert reachability.between("web", "payments/ledger").is_blocked()``.
    With more pods than --k8ssec-reach-limit, some of each class are measured, and the others are told by their class.
    What changes the cluster afterwards is measured by ``pytest_k8ssec.survey(cluster, stack, pool)``.
    """
    from dataclasses import asdict

    from pytest_k8ssec.reach.survey import survey

    settings = request.config.stash[SETTINGS]
    found = _or_fail(
        lambda: survey(
            k8ssec_testbed.cluster,
            k8ssec_testbed.stack,
            k8ssec_testbed.pool,
            limit=settings.reach_limit,
            seed=settings.reach_seed,
        )
    )
    k8ssec_testbed.note_reachability(asdict(found.extent))
    if settings.report is not None:
        from pytest_k8ssec.reach.difference import differences
        from pytest_k8ssec.reports.reach_map import reach_map

        k8ssec_testbed.note_reach_map(reach_map(found, None, differences(found)))
    return found


@pytest.fixture
def blast_radius(
    cluster: Cluster, stack: Stack, pool: Pool, k8ssec_testbed: Testbed, request: pytest.FixtureRequest
) -> BlastRadius:
    """What is within reach of whoever gets into a container of a workload.

    ``graph = blast_radius(workload)`` walks the attack graph from a twin of it. Each edge has its evidence: ``graph.is_admin``, ``graph.path()``, ``graph.metrics``, ``graph.conclusive``.
    ``blast_radius.baseline`` is the agreed radius, from blast-radius.yaml beside Pulumi.yaml. Each test walks anew; one
    that changes the cluster between two walks calls ``blast_radius.forget()``.
    """
    from pytest_k8ssec.attack.radius import BlastRadius

    folder, seed = request.config.stash[SETTINGS].stack, k8ssec_testbed.sampling.by_chance
    return _or_fail(lambda: BlastRadius.of(cluster, stack, pool, folder, seed=seed))


@pytest.fixture
def allowed(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The exceptions that ``[tool.k8ssec.allow]`` declares for the control that asks: subject to reason."""
    from pytest_k8ssec.catalogue.annotated import control_of

    control = control_of(request.function)
    return request.config.stash[SETTINGS].allowed(control.id if control else request.function.__name__)


@pytest.fixture
def judge(
    request: pytest.FixtureRequest,
    k8ssec_phase: Phase,  # noqa: ARG001 - so that a sabotage's phases reach each control
) -> Judge:
    """Where a test records its attacks and positive controls; the verdict follows from them, never from an assert.

    ``case = judge.case("10.0.0.1:2379")``, then ``case.attack(what, evidence, through=...)`` and
    ``case.positive(what, evidence, succeeded=...)``.
    """
    from pytest_k8ssec.catalogue.annotated import control_of
    from pytest_k8ssec.plugin.judged import new_judge

    settings = request.config.stash[SETTINGS]
    return new_judge(
        control_of(request.function), request.fixturenames, lambda: request.getfixturevalue("stack"), settings
    )


def _or_fail(make: Callable[[], _Made]) -> _Made:
    """What ``make`` gives; an error of ours fails the test with its text alone, as our own frames tell a user nothing."""
    try:
        return make()
    except NoAccess as error:
        raise pytest.skip.Exception(str(error)) from None
    except K8ssecError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    except OSError as error:
        from pytest_k8ssec.machine.disks import unwritable

        raise pytest.fail.Exception(str(unwritable(error)), pytrace=False) from None
