"""GraphQL's enum values in the words of the resources: STREAMING is what kubectl shows as Streaming."""

from enum import StrEnum


def resource_word(kind: type[StrEnum], value: str) -> str:
    """Return the resources' word for an enum value of the API; the value itself where this version does not know it."""
    member = kind.__members__.get(value)
    return value if member is None else str(member)
