"""`python -m mixing` is `dasp`."""

from mixing.cli import main

main()
