"""Plain counters of the data path, read by the metrics page; adding one costs nothing but an addition."""


class Counters:
    """What has happened since this process began. Written, and read, on the event loop only."""

    __slots__ = ("decisions", "duration_us", "responses", "unanswered", "unrecorded")

    def __init__(self) -> None:
        self.decisions: dict[str, int] = {}
        self.responses: dict[int, int] = {}
        self.duration_us = 0
        self.unrecorded = 0
        self.unanswered = 0

    def decided(self, verdict: str) -> None:
        """Count one recorded decision by its verdict."""
        self.decisions[verdict] = self.decisions.get(verdict, 0) + 1

    def forwarded(self, status: int | None, duration_us: int) -> None:
        """Count one forwarded request by its answer's status; None: it ended before any answer began."""
        if status is None:
            self.unanswered += 1
        else:
            self.responses[status] = self.responses.get(status, 0) + 1
        self.duration_us += duration_us
