"""All mixing systems beside each other: the same excerpts, the same number of steps, and songs that none has heard.
`python -m benchmarks.comparison`, or `make comparison`."""
