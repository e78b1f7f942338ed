"""Every reason a bearer token can be refused for, with the one sentence its owner is told.

Codes are stable: clients, logs and tests match them. The sentences are fixed text and configured names, so
no part of a token can reach an error, whatever the token holds.
"""

from identity.authenticator import InvalidCredentialError

REJECTIONS: dict[str, str] = {
    "token_too_large": "the token is larger than {limit} bytes: ask for fewer claims or groups in it",
    "malformed_token": "this is not a well-formed signed JWT ({reason}): send the access token as it was issued",
    "header_not_allowed": "the token's header has {member!r}, which is never accepted: have it issued without",
    "wrong_token_type": "this kind of token is not meant to be sent to an API: send an access token",
    "sender_constrained": "the token is bound to a key (`cnf`), which can't be checked here: ask for one that is not",
    "unknown_issuer": "no configured provider issued this token: log in through one that is",
    "algorithm_not_allowed": "the token's algorithm is not on the provider's list ({allowed})",
    "unknown_key": "the provider {provider} publishes no key that this token names: get a new token",
    "bad_signature": "the signature does not fit the provider's key: get a new token",
    "missing_claim": "the token lacks the claim {claim!r}: have the provider put it in",
    "malformed_claim": "the token's claim {claim!r} is not of its defined form",
    "wrong_audience": "the token is not meant for this gateway: get one for the audience {audiences}",
    "token_expired": "the token has expired: get a new one",
    "token_not_yet_valid": "the token is not valid yet: check the clocks of the provider and the gateway",
    "id_token_not_accepted": "this is an ID token, which {provider} is not configured to accept: send an access token",
    "wrong_authorized_party": "the ID token was issued to another client than the gateway's own",
    "unusable_username": "the claim {claim!r} can't name a user: it must be {rule}",
    "token_revoked": "the token was revoked: log in again",
    "person_deactivated": "the person this account belongs to is deactivated: ask the platform team",
    "ambiguous_person": "this account's subject and e-mail address belong to two people: ask the platform team",
}


def rejection(code: str, **facts: object) -> InvalidCredentialError:
    """Return the refusal of that code, its sentence filled in with configured facts."""
    return InvalidCredentialError(code, REJECTIONS[code].format(**facts))
