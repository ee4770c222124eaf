"""Errors that end a command with one sentence."""


class CommandError(Exception):
    """The command cannot go on; the text has the fault and the remedy (shown without a traceback, exit code 1)."""
