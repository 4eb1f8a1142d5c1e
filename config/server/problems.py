"""Errors that keep the project from starting."""


class StartupProblem(Exception):
    """The project can't start. The message says what is wrong and what to do. Commands print it and exit with 1."""
