"""How fast, how large, how exact: dasp beside the field's libraries. `python -m benchmarks`; nothing imports this package.

A group of benchmarks is a file: its name is what the command takes. What a group has to offer is a function
`run(setup) -> Group`. Everything else here serves them all.
"""
