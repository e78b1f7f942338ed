"""Checks a configuration against the providers it names: what only they can say, told by file and line."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.config_file import ConfigFile, Location, read_config_file
from gateway.provider_probe import Level, Note, probe
from gateway.settings import Settings
from identity.provider_client import provider_client
from identity.provider_settings import ProviderSettings


@dataclass(frozen=True, slots=True)
class OnlineFinding:
    """One thing that a provider showed: where in the file it stands, and what to do about it."""

    file: str
    line: int
    message: str
    level: Level
    provider: str


def check_online(
    path: Path,
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> tuple[OnlineFinding, ...]:
    """Ask every provider of a good configuration and return what was found, in file order.

    `clock` gives seconds since the Unix epoch; `transport` replaces the network in tests.
    """
    file = read_config_file(path)
    notes = asyncio.run(_ask_all(settings.identity.providers, settings.public_url, clock, transport))
    return tuple(
        _finding(file, index, provider, note)
        for index, (provider, found) in enumerate(zip(settings.identity.providers, notes, strict=True))
        for note in found
    )


async def _ask_all(
    providers: Iterable[ProviderSettings],
    public_url: str,
    clock: Callable[[], float],
    transport: httpx.AsyncBaseTransport | None,
) -> list[list[Note]]:
    async def ask_one(provider: ProviderSettings) -> list[Note]:
        async with provider_client(provider, transport) as client:
            return [note async for note in probe(client, provider, public_url, clock)]

    return await asyncio.gather(*(ask_one(provider) for provider in providers))


def _finding(file: ConfigFile, index: int, provider: ProviderSettings, note: Note) -> OnlineFinding:
    entry: Location = ("identity", "providers", index)
    line = file.line((*entry, note.key) if note.key is not None else entry)
    return OnlineFinding(file.file, line, f"provider {provider.name}: {note.message}", note.level, provider.name)
