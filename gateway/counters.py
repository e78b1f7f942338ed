"""Plain counters of the data path, read by the metrics page; adding one costs nothing but an addition."""


class Counters:
    """What has happened since this process began. Written on the event loop only."""

    __slots__ = ("aborted", "decisions", "duration_us", "responses", "unrecorded")

    def __init__(self) -> None:
        self.decisions: dict[str, int] = {}
        self.responses: dict[int, int] = {}
        self.duration_us = 0
        self.unrecorded = 0
        self.aborted = 0

    def decided(self, verdict: str) -> None:
        """Count one recorded decision by its verdict."""
        self.decisions[verdict] = self.decisions.get(verdict, 0) + 1

    def forwarded(self, status: int | None, duration_us: int) -> None:
        """Count one forwarded request by its response's status; None: it never got one."""
        if status is None:
            self.aborted += 1
        else:
            self.responses[status] = self.responses.get(status, 0) + 1
        self.duration_us += duration_us
