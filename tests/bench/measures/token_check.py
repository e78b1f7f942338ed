"""How long the check of one RS256 token takes, seen before or not, and what remembering many of them costs."""

import asyncio
import time
from collections.abc import Iterable
from statistics import median

from identity.federation import Federation
from identity.provider_settings import ProviderSettings
from tests.bench.credentials import AUDIENCE
from tests.bench.measures.token_memory import token_memory
from tests.bench.rules import PROVIDER
from tests.bench.setting import Findings, Setting

_FRESH_TOKENS = 500
_CACHED_CHECKS = 20_000


def token_check(setting: Setting) -> Findings:
    """Time whole checks, in microseconds: first of tokens never seen before, then of one token over and over.

    Then weigh the memory of many.
    """
    credentials = setting.credentials
    fresh = [credentials.fresh_token(f"fresh-{number}").encode() for number in range(_FRESH_TOKENS)]
    same = credentials.token.encode()
    findings = asyncio.run(_measure(credentials.issuer, fresh, same))
    findings.figures.update(token_memory().figures)
    return findings


async def _measure(issuer: str, fresh: list[bytes], same: bytes) -> Findings:
    provider = ProviderSettings(
        name=PROVIDER,
        issuer=issuer,
        audiences=(AUDIENCE,),
        username_claim="email",
        groups_claim="groups",
    )
    federation = Federation((provider,))
    await federation.start()
    try:
        await federation.first_attempts()
        await federation.authenticate(same)
        uncached = await _median_us(federation, fresh)
        cached = await _median_us(federation, (same for _ in range(_CACHED_CHECKS)))
    finally:
        await federation.close()
    return Findings({"token_uncached_us": uncached, "token_cached_us": cached})


async def _median_us(federation: Federation, tokens: Iterable[bytes]) -> float:
    nanoseconds = []
    for token in tokens:
        begun = time.perf_counter_ns()
        await federation.authenticate(token)
        nanoseconds.append(time.perf_counter_ns() - begun)
    return median(nanoseconds) / 1000
