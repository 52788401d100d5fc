"""A breaker: after so many faults in a row nothing is asked for a while, then one question tries again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Closed until `faults` in a row; then open for `rest_s` seconds, and half open until the one that asks is answered."""

    faults: int = 5
    rest_s: float = 30.0
    _in_a_row: int = 0
    _open_until: float | None = None
    _asking: bool = False

    def allows(self, now: float) -> bool:
        """Tell whether to ask now (seconds of any clock); where it is half open, the first to come asks and the others wait."""
        if self._open_until is None:
            return True
        if now < self._open_until or self._asking:
            return False
        self._asking = True
        return True

    def succeeded(self) -> None:
        """Note an answer: it closes the breaker."""
        self._in_a_row, self._open_until, self._asking = 0, None, False

    def failed(self, now: float) -> None:
        """Note a fault: the last of a row, or that of the one who tried again, opens it."""
        self._in_a_row += 1
        if self._asking or self._in_a_row >= self.faults:
            self._open_until = now + self.rest_s
        self._asking = False
