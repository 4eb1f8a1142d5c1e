"""What keeps the project from starting, said in one sentence."""


class StartupProblem(Exception):
    """Say in one sentence what is wrong and what to do about it. Commands print it and exit with 1."""
