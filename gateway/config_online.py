"""Checks a configuration against what it names elsewhere, by file and line: its providers and the identity state.

What only they can say is asked of them; nothing is written anywhere.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from gateway.config_doubts import LevelledFinding
from gateway.config_file import ConfigFile, Location, read_config_file
from gateway.provider_probe import Note, probe
from gateway.settings import Settings, StateSettings
from gateway.state_checks import STATE_DATABASE
from identity.provider_client import provider_client
from identity.provider_settings import ProviderSettings
from identity.secret import SecretError
from identity.state import StateUnavailableError


def check_online(
    path: Path,
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> tuple[LevelledFinding, ...]:
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


def check_state(
    path: Path, settings: Settings, opened: Callable[[StateSettings], AbstractContextManager[object]]
) -> tuple[LevelledFinding, ...]:
    """Look whether the identity state, where there is to be one, can be used, and return what is wrong with it.

    `opened` opens it, to be looked at beside a running gateway; raises StateUnavailableError and SecretError.
    """
    state = settings.identity.state
    if state is None:
        return ()
    try:
        with opened(state):
            return ()
    except (StateUnavailableError, SecretError) as error:
        file = read_config_file(path)
        return (LevelledFinding(file.file, file.line(STATE_DATABASE), f"identity state: {error}", "error"),)


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


def _finding(file: ConfigFile, index: int, provider: ProviderSettings, note: Note) -> LevelledFinding:
    entry: Location = ("identity", "providers", index)
    line = file.line((*entry, note.key) if note.key is not None else entry)
    return LevelledFinding(file.file, line, f"provider {provider.name}: {note.message}", note.level, provider.name)
