"""What can go wrong, in words for the person who has to act.

A message is one line, says what to do, and never holds a value from the data.
"""


class QuorumError(Exception):
    """A failure that is told in one line; the command ends with ``exit_code``."""

    exit_code = 1


class BadInput(QuorumError):
    """Something the operator wrote or landed cannot be used as it is."""

    exit_code = 2


class Busy(QuorumError):
    """Another run holds the workspace."""

    exit_code = 3


class Refused(QuorumError):
    """The request would break a promise: a floor, a budget, a chain, a gate."""

    exit_code = 4
