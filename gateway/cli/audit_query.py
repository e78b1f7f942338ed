"""What the filters of `portcullis audit` mean."""

import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.cli.output import CommandError

if TYPE_CHECKING:
    from audit.search import Query

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class VerdictChoice(StrEnum):
    """What a decision can say, and after that the results of other kinds of record."""

    allowed = "allowed"
    denied = "denied"
    unauthenticated = "unauthenticated"
    refused = "refused"
    ok = "ok"
    fail = "fail"
    indeterminate = "indeterminate"
    loaded = "loaded"


class KindChoice(StrEnum):
    """The kinds of record."""

    decision = "decision"
    outcome = "outcome"
    authn = "authn"
    policy_load = "policy_load"
    start = "start"
    stop = "stop"
    resume = "resume"


def query_of(
    *,
    since: str | None,
    until: str | None,
    actor: str | None,
    backend: str | None,
    verdict: VerdictChoice | None,
    kind: KindChoice | None,
    request_id: str | None,
) -> "Query":
    """Return the query that the options stand for; raises CommandError for a time that is none."""
    from audit.search import Query

    return Query(
        since_us=None if since is None else moment_us(since),
        until_us=None if until is None else moment_us(until),
        actor=actor,
        backend=backend,
        verdict=verdict,
        kind=kind,
        request_id=request_id,
    )


def moment_us(text: str) -> int:
    """Return a time as microseconds since the epoch: RFC 3339, a date (UTC), or how long ago (`90m`, `2h`, `7d`)."""
    ago = _AGO.fullmatch(text)
    if ago:
        return int((time.time() - int(ago[1]) * _UNIT_S[ago[2]]) * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no time: give 2026-11-23T10:00:00Z, 2026-11-23, or 90m, 2h, 7d ago") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
