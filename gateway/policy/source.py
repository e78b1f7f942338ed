"""Keeps the active policy: loads it at start, follows its directory, and holds on to the last good bundle."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.policy.bundle import load_bundle
from gateway.policy.bundle_files import fingerprint
from gateway.policy.checkout import checkout_in_progress, head_state
from gateway.policy.engine import PolicyEngine
from gateway.policy.findings import BundleError, Finding

_LOGGER = logging.getLogger(__name__)
_POLL_S = 1.0
_SETTLE_S = 0.2
# How often a changing directory is looked at again before its changing is itself the problem: about ten seconds, which
# is also how long an index lock that a crashed git left behind can hold up a policy.
_MAX_TRIES = 50


class PolicySource:
    """The one place that says which engine decides now. `load` first; then `watch`, in one task."""

    def __init__(
        self,
        path: Path,
        *,
        poll_s: float = _POLL_S,
        settle_s: float = _SETTLE_S,
    ) -> None:
        self._path = path
        self._poll_s = poll_s
        self._settle_s = settle_s
        self._engine: PolicyEngine | None = None
        self._seen: object = None
        self._problem: str | None = None

    @property
    def engine(self) -> PolicyEngine:
        """The engine in force. Raises RuntimeError before the first `load`."""
        if self._engine is None:
            raise RuntimeError("the policy has not been loaded yet")
        return self._engine

    @property
    def problem(self) -> str | None:
        """Why what stands in the directory is not in force, in one line; None where it is."""
        return self._problem

    def load(self) -> PolicyEngine:
        """Load the bundle and put it in force. Blocks; raises BundleError, and then nothing has changed.

        Files that change while they are read are read again: a bundle is never made of two states.
        """
        for _ in range(3):
            before = self._state()
            try:
                engine = PolicyEngine(load_bundle(self._path))
            except BundleError:
                if self._state() == before:
                    raise
                continue
            if self._state() == before:
                self._engine, self._seen, self._problem = engine, before, None
                return engine
        raise BundleError([Finding(".", 0, "the files keep changing while they are read; try again")])

    async def watch(
        self, on_change: Callable[[PolicyEngine], None], on_refused: Callable[[str], None] = lambda problem: None
    ) -> None:
        """Follow the directory until cancelled.

        `on_change` gets every engine that comes into force after this call, `on_refused` the problem of every change
        that does not.

        Polling needs no system service and sees every kind of change: edits, git, symlink swaps, mounted volumes.
        """
        while True:
            await asyncio.sleep(self._poll_s)
            if await asyncio.to_thread(self._state) != self._seen:
                engine = await self._reload()
                try:
                    if engine is not None:
                        on_change(engine)
                    elif self._problem is not None:
                        on_refused(self._problem)
                except Exception:
                    _LOGGER.exception("the policy in force is as it should be, but telling so failed")

    async def _reload(self) -> PolicyEngine | None:
        """Try the changed directory; return the new engine, or None where the old one stays."""
        state = await self._settled()
        previous = self._engine.revision if self._engine else None
        try:
            engine = await asyncio.to_thread(self.load)
        except BundleError as error:
            # Not tried again until something changes.
            self._seen = state
            self._refuse(error.findings)
            return None
        except Exception as error:
            self._seen = state
            self._refuse((Finding(".", 0, f"{type(error).__name__}: {error}"),))
            _LOGGER.exception("loading the policy failed in an unforeseen way")
            return None
        return engine if engine.revision != previous else None

    async def _settled(self) -> object:
        """Wait until two looks in a row see the same files and git is not in the midst of changing them."""
        state = await asyncio.to_thread(self._state)
        for _ in range(_MAX_TRIES):
            await asyncio.sleep(self._settle_s)
            again = await asyncio.to_thread(self._state)
            if again == state and not await asyncio.to_thread(checkout_in_progress, self._path):
                break
            state = again
        return state

    def _state(self) -> object:
        return (fingerprint(self._path), head_state(self._path))

    def _refuse(self, findings: tuple[Finding, ...]) -> None:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        self._problem = f"{findings[0]}{more}"
        _LOGGER.error("the changed policy is refused, the last good one stays in force: %s", self._problem)
