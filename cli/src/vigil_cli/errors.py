"""Errors that end a command: one clear sentence for the person at the terminal."""


class CommandError(Exception):
    """The text says what is wrong and what to do; it is shown without a traceback, and the command exits with 1."""
