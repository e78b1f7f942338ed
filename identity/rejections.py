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
    "sender_constrained": "the token is bound to a key (`cnf`) in a way that can't be checked here: ask for one bound "
    "by DPoP or by a client certificate",
    "proof_required": "the token is bound to a key: send it as `Authorization: DPoP` with a proof in the header `DPoP`",
    "certificate_required": "the token is bound to a client certificate: use it on a TLS connection that has this one",
    "wrong_proof_key": "the proof is by another key than the one the token is bound to",
    "token_not_bound": "the token is bound to no DPoP key, so a proof proves nothing: send it as `Authorization: "
    "Bearer`",
    "binding_unprovable": "a token that is bound to a key can't be sent as a session token, which has no place for a "
    "proof: send one that is not bound",
    "malformed_proof": "the header `DPoP` is no well-formed proof ({reason})",
    "proof_algorithm_not_allowed": "the proof's algorithm is not on the list ({allowed})",
    "proof_key_not_allowed": "the proof's key {reason}",
    "bad_proof_signature": "the proof's signature does not fit the key in its header",
    "wrong_proof_method": "the proof is for another HTTP method (`htm`): make one for this request",
    "wrong_proof_url": "the proof is for another address (`htu`): make one for this request, at the public URL",
    "wrong_proof_token": "the proof is not for this token (`ath`): make one for this request",
    "proof_too_old": "the proof was made more than {limit} s ago: make one for this request, and check the clock",
    "proof_too_early": "the proof was made in the future (`iat`): check the clock",
    "proof_nonce_required": "the proof lacks the current nonce: make one with the nonce in the header `DPoP-Nonce`",
    "proof_replayed": "this proof was used before: make a new one for every request",
    "too_many_proofs": "more proofs were used lately than can be remembered: try again in a minute",
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
    "token_inactive": "the provider {provider} says that this token is not good (any more): get a new one",
    "groups_not_listed": "the token has more groups than it can list, and {provider} does not list them: {reason}",
    "token_revoked": "the token was revoked: log in again",
    "unknown_workload": "no workload entry in identities.yaml fits this token of {provider}: add one, or look which "
    "claim differs with `portcullis identity who -`",
    "account_deprovisioned": "the account was deactivated or deleted at {provider}: ask its administrators",
    "not_provisioned": "the account is not among those that {provider} provisions here: ask its administrators",
    "identity_changed": "identities.yaml says another subject for this account than when the token was issued: log in "
    "again",
    "wrong_nonce": "the ID token belongs to another login: log in again",
    "wrong_access_token_hash": "the ID token does not fit the access token beside it: log in again",
    "person_deactivated": "the person this account belongs to is deactivated: ask the platform team",
    "ambiguous_person": "this account's subject and e-mail address belong to two people: ask the platform team",
}


def rejection(code: str, **facts: object) -> InvalidCredentialError:
    """Return the refusal of that code, its sentence filled in with configured facts."""
    return InvalidCredentialError(code, REJECTIONS[code].format(**facts))
