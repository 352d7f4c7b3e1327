"""The one error that users meet: what is wrong, where, and the way out, in one line."""


class StudyError(Exception):
    """Bad input or a missing precondition, as one line meant for the person at the terminal.

    The message names the place (file, key), what is wrong there, and what would be valid.
    Entry points print it to standard error and exit with status 1, without a traceback
    (see `induction.stages.run_stage`).
    """
