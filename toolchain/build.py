"""Builds what is missing: compilers on one side, everything else beside them."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from toolchain import docker, process
from toolchain.console import Console
from toolchain.output import Output
from toolchain.plan import Plan
from toolchain.tools_json import tools_file, write_tools

COMPILERS = 2
"""Builds at a time: one links, on a single core, while the other compiles."""


def build(plan: Plan, names: Collection[str], console: Console) -> None:
    """Builds the named outputs, or all, and tells in tools.json what there is."""
    targets = plan.targets(names)
    if {plan.probe_image, plan.node_image, plan.balancer_image} & set(targets):
        docker.ensure(console.say)
    missing = plan.missing(targets)
    if missing:
        console.say(f"to build: {', '.join(output.name for output in missing)}")
        with console.heartbeats():
            _build_all(plan, missing, console)
    write_tools(plan)
    console.say(f"all there: {tools_file()}")


def _build_all(plan: Plan, missing: Collection[Output], console: Console) -> None:
    futures: dict[Output, Future[None]] = {}
    with ThreadPoolExecutor(COMPILERS) as compilers, ThreadPoolExecutor(1) as assembler:
        try:
            for output in missing:
                pool = compilers if output.compiles else assembler
                needs = [futures[need] for need in output.needs if need in futures]
                futures[output] = pool.submit(_build_one, output, needs, console)
            for done in as_completed(futures.values()):
                done.result()
                write_tools(plan)  # a cluster can be made before Pulumi is there
        except BaseException:
            # An interrupt too: whatever ends the build ends what it started.
            for pool in (compilers, assembler):
                pool.shutdown(wait=False, cancel_futures=True)
            process.stop_all()
            raise


def _build_one(output: Output, needs: list["Future[None]"], console: Console) -> None:
    for need in needs:
        need.result()
    with console.step(output.name):
        output.build()
