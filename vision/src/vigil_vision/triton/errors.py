"""What can go wrong with inference.

InferenceError
├── InferenceUnavailable   no endpoint answers, or none serves a usable model; try later
├── InferenceOverloaded    the servers are up and refuse more work; drop the frame or try later
├── InferenceTimeout       no answer inside the deadline
└── InferenceRejected      the input is wrong; trying again changes nothing
"""


class InferenceError(Exception):
    """Any failure of an inference call; the message names the endpoint and the cause."""


class InferenceUnavailable(InferenceError):  # noqa: N818 - reads as what it is
    """No endpoint answers, or none serves a usable model."""


class InferenceOverloaded(InferenceError):  # noqa: N818 - reads as what it is
    """The server's queue is full or the request waited too long in it (Triton's REJECT policy)."""


class InferenceTimeout(InferenceError):  # noqa: N818 - reads as what it is
    """No answer inside the deadline."""


class InferenceRejected(InferenceError):  # noqa: N818 - reads as what it is
    """The input does not fit the model; the same call will fail again."""
