"""Errors that a user can mend: the command line prints them as one line, exit code 2."""


class UserError(Exception):
    """A mistake in what the user gave: the message says what is wrong and what to do.

    The command line prints the message alone, without a traceback, and exits with 2.
    """
