"""One fault of a manifest."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a manifest.

    Attributes
    ----------
    path
        Keys and indices from the document's root to the value at fault.
    message
        The fault and what to do, without the path.
    """

    path: tuple[str | int, ...]
    message: str

    @property
    def where(self) -> str:
        """The path as kubectl writes it: `spec.photos[0].url`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text
