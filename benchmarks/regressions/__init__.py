"""Has dasp got slower than it was? `python -m benchmarks.regressions` measures it beside its peers, in a few minutes.

The contenders are those of `benchmarks`, the runs are pytest-benchmark's, and what counts is a peer's time over dasp's beside
that ratio on record: it depends little on the machine.
"""
