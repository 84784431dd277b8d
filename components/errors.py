"""Errors whose message is written for the user."""


class BeamfleetError(Exception):
    """Something that the user can mend.

    The message names the artifact, file, row or entity, says what was expected and what to do.
    The command line prints it without a traceback.
    """
