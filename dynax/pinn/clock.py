"""How long the rest of a computation takes."""

import time


class Clock:
    """Tell the time left from the share that is done; it starts when it is made."""

    def __init__(self):
        self.begun, self.first = time.perf_counter(), None

    def left(self, share: float) -> str:
        """As "; 40 s left"; nothing before something is done."""
        now = time.perf_counter() - self.begun
        if self.first is None:
            self.first = share, now
        done, spent = share - self.first[0], now - self.first[1]
        if done <= 0:
            return ""
        seconds = spent * (1 - share) / done
        return (
            f"; {seconds:.0f} s left"
            if seconds < 120
            else f"; {seconds / 60:.0f} min left"
        )
