"""Asks a provider's userinfo endpoint for the groups that a token has no room for (OpenID Connect Core 1.0, 5.3).

A token of too many groups says so in their place (Entra ID: over 200). Without the rest of them a rule that denies one
would not match, so such a token is good with all of its groups or not at all.
"""

from collections.abc import Callable

import httpx

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.call_limits import CallQueue, TooManyCallsError
from identity.claims import subject
from identity.group_claim import find_groups
from identity.provider_client import Answer, ProviderAnswerError, ask, is_bearer_token
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.strict_json import JsonObject

AT_ONCE = 4
MAX_WAITING = 32


class GroupOverage:
    """Answers the group overage of one provider's tokens; belongs to one event loop.

    `metadata` gives what the provider says of itself now, and may raise ProviderUnavailableError.
    """

    def __init__(
        self, settings: ProviderSettings, client: httpx.AsyncClient, metadata: Callable[[], ProviderMetadata]
    ) -> None:
        self._settings = settings
        self._client = client
        self._metadata = metadata
        self._queue = CallQueue(at_once=AT_ONCE, waiting=MAX_WAITING)

    async def groups(self, claims: JsonObject, access_token: bytes | None) -> object:
        """Return the groups of who the verified `claims` are of, as userinfo has them under `groups_claim`.

        `access_token` is the one that belongs to the claims, None where there is none to ask with. Raises
        InvalidCredentialError (groups_not_listed) where they can't be had for this token, ProviderUnavailableError
        where the provider does not answer.
        """
        settings = self._settings
        path = settings.groups_claim
        if path is None or settings.groups_overage == "refuse":
            raise self._not_listed("it is not asked for them (groups_overage: refuse)")
        endpoint = self._metadata().userinfo_endpoint
        if endpoint is None or access_token is None or not is_bearer_token(access_token):
            raise self._not_listed("it can't be asked for them")
        document = self._document(await self._ask(endpoint, access_token))
        # Section 5.3.2: without this check the answer to one person's token could be put before another's.
        if subject(document) != subject(claims):
            raise self._not_listed("its userinfo is about somebody else")
        groups = find_groups(document, path)
        if groups is None:
            raise self._not_listed(f"its userinfo has no {path!r}")
        return groups

    async def _ask(self, endpoint: str, access_token: bytes) -> Answer:
        headers = {"Authorization": f"Bearer {access_token.decode('ascii')}"}
        try:
            async with self._queue.turn():
                return await ask(self._client, self._settings, endpoint, headers=headers)
        except TooManyCallsError:
            raise ProviderUnavailableError(self._settings.name, "its userinfo is being asked too often") from None
        except ProviderAnswerError as error:
            raise ProviderUnavailableError(self._settings.name, str(error)) from None

    def _document(self, answer: Answer) -> JsonObject:
        if answer.status in (400, 401, 403):
            raise self._not_listed("its userinfo does not accept this token")
        if answer.media_type == "application/jwt":
            raise self._not_listed("its userinfo is a signed JWT: have the provider answer plain JSON")
        try:
            return answer.json()
        except ProviderAnswerError as error:
            raise ProviderUnavailableError(self._settings.name, str(error)) from None

    def _not_listed(self, reason: str) -> InvalidCredentialError:
        return rejection("groups_not_listed", provider=self._settings.name, reason=reason)
