"""A module of this package is a command: `some_name.py` holds `command`, which runs as `dasp some-name`."""
