"""Bits of a NAL unit (ITU-T H.264, 7.2 and 9.1; H.265 shares them)."""


class BitsEndedError(Exception):
    """The unit ends before the field: it was cut."""


class Bits:
    """Reads fields from the payload of a NAL unit, most significant bit first.

    Parameters
    ----------
    data
        The unit without its header, with its emulation prevention bytes.
    """

    __slots__ = ("_at", "_bits", "_value")

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(plain, "big")
        self._bits = 8 * len(plain)
        self._at = 0

    def u(self, count: int) -> int:
        """Return an unsigned number of `count` bits."""
        end = self._at + count
        if end > self._bits:
            raise BitsEndedError
        self._at = end
        return (self._value >> (self._bits - end)) & ((1 << count) - 1)

    def ue(self) -> int:
        """Return an unsigned Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise BitsEndedError
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Return a signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
