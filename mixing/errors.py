"""What a user did wrong, in one sentence."""


class UserError(Exception):
    """One sentence: what, what was expected, what to do. The command line prints it and exits with code 2."""
