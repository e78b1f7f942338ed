"""Token exchange (RFC 8693): a token that was good anyway becomes one of the gateway's own, for less or for another.

Three things only ever shrink: what the token is good for (the limits of all tokens shown, and those asked for, hold
together), how long it lives (no longer than the shortest-lived of them), and how young it looks (`origin_iat`). One
thing only ever grows: the chain of those who act. So nothing is won by exchanging twice, or in another order.

- Without an actor token the result stands for whoever the subject token stood for, delegates included.
- With one, the actor acts for the subject: if the policy lets it, and under the policy's decision on each of them at
  every single access. An actor speaks for itself: its token must not be a delegated one.
- A token that is bound to a key can be exchanged only by who proves to hold the key, and the result is bound to it. A
  bound actor token likewise.
- A token that is bound to none stays so: else whoever steals it would make a bound one of it, and a binding that a
  policy asks for would be worth nothing. Only what a provider of workloads issued can be bound here, as subject or as
  actor: a workload has no login, and its provider's token is all that it has.
- There is no refresh token. `sid` is the subject token's, and `act` has the actor's: the end of either session ends
  what was made from it. So does a revocation of any of the tokens themselves, by the hashes in `made_from`.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from identity.authenticator import Authenticator, InvalidCredentialError, ProviderUnavailableError
from identity.issuer.access_tokens import ACCESS_TOKEN_TYPE, AccessTokens, Record, TokenAnswer
from identity.issuer.narrowing import check_known, narrowed_for, requested_limits
from identity.issuer.oauth_error import OAuthError, unavailable
from identity.issuer.own_claims import MAX_DELEGATES, MAX_MADE_FROM
from identity.issuer.parameters import Parameters
from identity.principal import Confirmation, Delegate, Limits, Principal

JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # a type's name
# Which of these a token is, and whether that kind is accepted, its provider's configuration decides, not its sender.
SUBJECT_TYPES: Final = (ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE)
RESULT_TYPES: Final = (ACCESS_TOKEN_TYPE, JWT_TYPE)
# `client_id` of tokens that no client asked for: who exchanges a token needs none.
NO_CLIENT: Final = "token-exchange"
# Longer than any token that is accepted, so that its own refusal is told.
_TOKEN_PARAMETER: Final = 20_000


class DelegationAnswer(NamedTuple):
    """Whether an actor may act for a subject; `reason` names the rule, or says that there is none."""

    allowed: bool
    reason: str


MayAct = Callable[[Principal, Principal], DelegationAnswer]
"""Asks the policy whether the first (the actor) may act for the second (the subject)."""


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """An exchange as it is asked for, nothing in it verified."""

    subject_token: str = field(repr=False)
    actor_token: str | None = field(repr=False)
    limits: Limits
    client_id: str

    @classmethod
    def read(cls, parameters: Parameters, *, issuer: str, client_id: str | None) -> "ExchangeRequest":
        """Return the request that a form holds; raises OAuthError (invalid_request, invalid_scope, invalid_target)."""
        _type_of(parameters, "subject_token_type")
        subject_token = parameters.required("subject_token", longest=_TOKEN_PARAMETER)
        actor_token = parameters.get("actor_token", longest=_TOKEN_PARAMETER)
        if actor_token is not None:
            _type_of(parameters, "actor_token_type")
        elif parameters.get("actor_token_type") is not None:
            raise OAuthError("invalid_request", "actor_token_type comes with an actor_token only")
        if parameters.get("requested_token_type") not in (None, *RESULT_TYPES):
            raise OAuthError("invalid_request", "the requested token type is access_token")
        return cls(subject_token, actor_token, requested_limits(parameters, issuer), client_id or NO_CLIENT)


class TokenExchange:
    """Exchanges tokens. `backends` are the names that a token can be limited to.

    `clock` gives seconds since the Unix epoch.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        tokens: AccessTokens,
        *,
        backends: Collection[str],
        access_token_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authenticator = authenticator
        self._tokens = tokens
        self._backends = backends
        self._access_token_s = access_token_s
        self._clock = clock

    async def exchange(
        self, request: ExchangeRequest, *, may_act: MayAct, confirmation: Confirmation | None, record: Record
    ) -> TokenAnswer:
        """Return the new token. `confirmation` is the key that the caller has just proved to hold.

        Raises OAuthError: invalid_request where a token is not good (RFC 8693, section 2.2.2) or the policy says no,
        invalid_target, invalid_scope, temporarily_unavailable; StateUnavailableError, and whatever `record` does.
        """
        subject = await self._principal("subject", request.subject_token, confirmation)
        check_known(request.limits, self._backends)
        limits = narrowed_for(subject.limits, request.limits)
        shown, reason = [subject], "for themselves"
        if request.actor_token is not None:
            actor = await self._principal("actor", request.actor_token, confirmation)
            limits = narrowed_for(limits, actor.limits)
            shown.append(actor)
            answer = _delegation(subject, actor, may_act)
            reason = f"{actor.subject} for {subject.subject}, by {answer.reason}"
            subject = _delegated(subject, actor)
        now = int(self._clock())
        expires_at = min(subject.expires_at, now + self._access_token_s)
        if expires_at <= now:
            # Only the leeway for wrong clocks has let it pass.
            raise OAuthError("invalid_request", "the token has expired: get a new one")
        principal = replace(
            subject,
            limits=limits,
            expires_at=expires_at,
            confirmation=_binding(shown, confirmation),
            made_from=_made_from(shown),
        )
        minted = self._tokens.mint(principal, request.client_id)
        await record(minted.principal, reason)
        return self._tokens.answer(minted, issued_token_type=ACCESS_TOKEN_TYPE)

    async def _principal(self, role: str, token: str, confirmation: Confirmation | None) -> Principal:
        try:
            principal = await self._authenticator.authenticate(token.encode("ascii"))
        except InvalidCredentialError as error:
            raise OAuthError(
                "invalid_request", f"the {role} token is not good ({error.code}): {error.detail}"
            ) from None
        except ProviderUnavailableError as error:
            raise unavailable(f"the provider {error.provider} can't be reached: try again later") from None
        if principal.confirmation is not None and principal.confirmation != confirmation:
            detail = f"the {role} token is bound to a key: prove in this request that you hold it"
            raise OAuthError("invalid_request", detail)
        return principal


def _delegation(subject: Principal, actor: Principal, may_act: MayAct) -> DelegationAnswer:
    if actor.delegates:
        raise OAuthError("invalid_request", "the actor token is a delegated one: an actor speaks for itself")
    if actor.subject == subject.subject:
        raise OAuthError("invalid_request", "actor and subject are the same: leave the actor token out")
    if len(subject.delegates) >= MAX_DELEGATES:
        raise OAuthError("invalid_request", f"the chain of delegates is {MAX_DELEGATES} long, and may not grow")
    answer = may_act(actor, subject)
    if not answer.allowed:
        detail = f"{actor.subject} may not act for {subject.subject}: {answer.reason}"
        raise OAuthError("invalid_request", detail)
    return answer


def _delegated(subject: Principal, actor: Principal) -> Principal:
    holder = Delegate(
        subject=actor.subject,
        provider=actor.provider,
        token_subject=actor.token_subject,
        groups=actor.groups,
        provisioned_as=actor.provisioned_as,
        session=actor.session,
        provider_session=actor.provider_session,
    )
    return replace(
        subject,
        delegates=(holder, *subject.delegates),
        expires_at=min(subject.expires_at, actor.expires_at),
        # The age counts for both: what revokes either of them up to some second must reach what was made from it.
        issued_at=min(subject.issued_at, actor.issued_at),
    )


def _binding(shown: Sequence[Principal], offered: Confirmation | None) -> Confirmation | None:
    """Return the key that the result is bound to; `shown` are the subject and, if there is one, the actor.

    Raises OAuthError where a proof asks for a binding that only a login gives.
    """
    bound = next((each.confirmation for each in shown if each.confirmation is not None), None)
    if bound is not None or offered is None:
        return bound
    holder = shown[-1]
    # A token of the gateway's own belongs to a session or was made from others.
    if holder.kind == "workload" and holder.session is None and not holder.made_from:
        return offered
    if offered.method == "jkt":
        detail = "a token that is bound to no key is not bound by an exchange: log in with the key, or send no proof"
        raise OAuthError("invalid_request", detail)
    # A certificate belongs to the connection, and asks for nothing.
    return None


def _made_from(shown: Sequence[Principal]) -> tuple[str, ...]:
    every = (
        digest
        for each in shown
        # Whoever holds a token can write it in its other spelling, and its revocation may name either.
        for digest in (*each.made_from, each.token_sha256, each.token_twin_sha256)
        if digest is not None
    )
    digests = tuple(dict.fromkeys(every))
    if len(digests) > MAX_MADE_FROM:
        raise OAuthError("invalid_request", "too many exchanges lead to this token: exchange an earlier one")
    return digests


def _type_of(parameters: Parameters, name: str) -> None:
    if parameters.required(name) not in SUBJECT_TYPES:
        raise OAuthError("invalid_request", f"{name} is access_token, jwt or id_token, as a URN of RFC 8693")
