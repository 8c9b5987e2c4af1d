"""Small stacks as people have them, judged by all controls of stacks, and compared with verdicts that were written before.

``python -m bench.corpus`` gives each stack of ``stacks/corpus`` a cluster of its own.
"""
