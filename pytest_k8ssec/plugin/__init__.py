"""The pytest hooks: each file has those for one purpose. pytest imports this room in every run, so heavy modules come late.

More than twelve files: one for each thing that a hook can be about, and most know nothing but the session.
"""

pytest_plugins = (
    "pytest_k8ssec.plugin.fixtures",
    "pytest_k8ssec.plugin.ordering",
    "pytest_k8ssec.plugin.curtain",
    "pytest_k8ssec.plugin.options",
    "pytest_k8ssec.plugin.collection",
    "pytest_k8ssec.plugin.running",
    "pytest_k8ssec.plugin.reporting",
)
