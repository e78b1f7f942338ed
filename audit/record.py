"""What is written to the log: one function for each kind of record.

Compatibility rule: `v` is the schema's version. A key may be added within a version; a key's name or meaning changes
only with a new `v`, and readers must go on reading every `v` ever written.

The texts are put together by hand, keys in order, because two of them are made for every request: that takes half the
time of a general encoder. The tests hold them equal to RFC 8785. Nothing here takes a token, a header's value or a
query's value: those may be secrets.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from audit.canonical import INTEGER_LIMIT, Json, encode, quote, quoted
from audit.cut import COMFORTABLE_BYTES, fitted

Verdict = Literal["allowed", "denied", "unauthenticated", "refused"]
Result = Literal["ok", "fail", "indeterminate"]

COLUMN_CHARACTERS: Final = 256
_MAX_ACTORS: Final = 4096
AuthnAction = Literal["login", "renew", "exchange", "logout", "revoke", "provision"]


class Delegate(Protocol):
    """Who acts for somebody else. `identity.principal.Delegate` is one as it stands."""

    @property
    def subject(self) -> str:
        """The policy subject, `workload:ci:agent`."""
        ...

    @property
    def provider(self) -> str:
        """The configured name of the provider that vouched."""
        ...

    @property
    def token_subject(self) -> str:
        """The token's `sub` there."""
        ...


class Actor(Protocol):
    """Who called, once authenticated. A `Principal` is one as it stands."""

    @property
    def subject(self) -> str:
        """The policy subject, `user:alice`."""
        ...

    @property
    def provider(self) -> str:
        """The configured name of the provider that vouched."""
        ...

    @property
    def issuer(self) -> str:
        """The token's `iss`."""
        ...

    @property
    def token_subject(self) -> str:
        """The token's `sub`."""
        ...

    @property
    def username(self) -> str:
        """The name shown to people."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups the token carried, as policy subjects."""
        ...

    @property
    def acr(self) -> str | None:
        """The authentication context class, where the token says."""
        ...

    @property
    def amr(self) -> tuple[str, ...]:
        """The authentication methods, where the token says."""
        ...

    @property
    def token_sha256(self) -> str:
        """The SHA-256 of the credential, in hex: it links records to a token without holding one."""
        ...

    @property
    def session(self) -> str | None:
        """The gateway's session that the token belongs to, None for a provider's own token."""
        ...

    @property
    def delegates(self) -> Sequence[Delegate]:
        """Who acts for the actor, the holder of the token first; empty where they act themselves."""
        ...


class Record(NamedTuple):
    """One record ready to be stored: its canonical bytes and the columns that repeat parts of them.

    `decision_index` is set on an outcome only: the index of the decision it closes.
    """

    body: bytes
    kind: str
    request_id: str
    time_us: int
    actor: str = ""
    backend: str = ""
    verdict: str = ""
    decision_index: int | None = None

    @property
    def awaits_outcome(self) -> bool:
        """Whether an outcome must follow: something may have been forwarded."""
        return self.verdict == "allowed"


def decision(
    *,
    request_id: str,
    time_us: int,
    instance: str,
    actor: Actor | None,
    source: str,
    method: str,
    path: str,
    query_keys: Sequence[str],
    backend: str,
    environment: str,
    accesses: Sequence[tuple[str, str]],
    verdict: Verdict,
    status: int | None,
    reason: str,
    rule_file: str | None,
    rule_line: int | None,
    rule_text: str | None,
    access_rules: Sequence[tuple[str, int, str] | None] = (),
    role_path: Sequence[str],
    policy_commit: str,
    policy_digest: str,
) -> Record:
    """Build the record of one decision.

    `verdict`: `allowed` and `denied` are the policy's; `unauthenticated` is a missing or bad credential and `refused` a
    request that could not be decided on (a bad target, no such backend): both name no rule, and `actor` is None where
    nobody was authenticated. `accesses` are (resource, action) pairs. `status` is the HTTP status of the gateway's own
    answer, None where the backend answers. `query_keys` are names only. Without a `rule_file` no rule decided.
    """
    pairs = ",".join([f'{{"action":{quote(act)},"resource":{quote(res)}}}' for res, act in accesses])
    rule = "null" if not rule_file else _rule(rule_file, rule_line or 0, rule_text or "")
    each = ""
    if access_rules:
        each = f'"access_rules":[{",".join(["null" if one is None else _rule(*one) for one in access_rules])}],'
    text = (
        f'{{{each}"accesses":[{pairs}],"actor":{"null" if actor is None else _actor(actor)},"backend":{quote(backend)},'
        f'"environment":{quote(environment)},"instance":{quote(instance)},"kind":"decision",'
        f'"policy":{{"commit":{quote(policy_commit)},"digest":{quote(policy_digest)}}},"reason":{quote(reason)},'
        f'"request":{{"method":{quote(method)},"path":{quote(path)},"query_keys":{quoted(query_keys)}}},'
        f'"request_id":{quote(request_id)},"role_path":{quoted(role_path)},"rule":{rule},"source":{quote(source)},'
        f'"status":{"null" if status is None else f"{status:d}"},"time_us":{time_us:d},"v":1,'
        f'"verdict":{quote(verdict)}}}'
    )
    subject = "" if actor is None else actor.subject
    return _record(text, "decision", time_us, request_id, actor=subject, backend=backend, verdict=verdict)


def outcome(
    *,
    request_id: str,
    decision_index: int,
    time_us: int,
    status: int | None,
    bytes_in: int,
    bytes_out: int,
    duration_us: int,
    result: Result,
    detail: str,
) -> Record:
    """Build the record of how a forwarded request ended.

    `status` is the backend's, None where it gave none. `bytes_in` came from the client, `bytes_out` went to it.
    `result`: `ok` (an answer was passed on, whatever its status), `fail` (none, or not whole), `indeterminate` (the
    gateway stopped before it knew). `detail` says why, empty for `ok`.
    """
    if not (bytes_in < INTEGER_LIMIT and bytes_out < INTEGER_LIMIT and duration_us < INTEGER_LIMIT):
        raise ValueError("an outcome's counts lie below 2^53")
    text = (
        f'{{"bytes_in":{bytes_in:d},"bytes_out":{bytes_out:d},"decision":{decision_index:d},"detail":{quote(detail)},'
        f'"duration_us":{duration_us:d},"kind":"outcome","request_id":{quote(request_id)},"result":{quote(result)},'
        f'"status":{"null" if status is None else f"{status:d}"},"time_us":{time_us:d},"v":1}}'
    )
    return _record(text, "outcome", time_us, request_id, verdict=result, decision_index=decision_index)


def authn(
    *,
    request_id: str,
    time_us: int,
    instance: str,
    action: AuthnAction,
    result: Literal["ok", "fail"],
    actor: Actor | None,
    source: str,
    client: str,
    provider: str,
    session: str | None,
    detail: str,
) -> Record:
    """Build the record of a login, a renewal, a token exchange, a logout, a revocation or a provisioning call.

    `actor` is None where nobody was authenticated. `client` is the OAuth client or `console`, `scim`, `backchannel`;
    `provider` the identity provider concerned and `session` the gateway's session, empty or None where there is none.
    `detail` says what was done, or why it was refused; it never holds a credential.
    """
    text = (
        f'{{"action":{quote(action)},"actor":{"null" if actor is None else _actor(actor)},"client":{quote(client)},'
        f'"detail":{quote(detail)},"instance":{quote(instance)},"kind":"authn","provider":{quote(provider)},'
        f'"request_id":{quote(request_id)},"result":{quote(result)},'
        f'"session":{"null" if session is None else quote(session)},"source":{quote(source)},"time_us":{time_us:d},'
        f'"v":1}}'
    )
    subject = "" if actor is None else actor.subject
    return _record(text, "authn", time_us, request_id, actor=subject, verdict=result)


def policy_load(
    *,
    time_us: int,
    instance: str,
    result: Literal["loaded", "refused"],
    commit: str,
    digest: str,
    rules: int,
    detail: str,
) -> Record:
    """Build the record of a policy bundle taken into force, or refused (`detail` says why)."""
    document: dict[str, Json] = {"detail": detail, "instance": instance, "result": result, "rules": rules}
    return _event("policy_load", time_us, document | {"policy": {"commit": commit, "digest": digest}})


def start(*, time_us: int, instance: str, version: str, size: int, open_decisions: int) -> Record:
    """Build the record of the log being opened at `size` rows, `open_decisions` of them still without an outcome."""
    return _event(
        "start",
        time_us,
        {"instance": instance, "open_decisions": open_decisions, "size": size, "version": version},
    )


def resume(*, time_us: int, instance: str, problem: str, since_us: int, refused: int) -> Record:
    """Build the record of the log working again: `refused` records could not be written since `since_us`."""
    return _event(
        "resume", time_us, {"instance": instance, "problem": problem, "refused": refused, "since_us": since_us}
    )


def stop(*, time_us: int, instance: str) -> Record:
    """Build the record of the log being closed in order."""
    return _event("stop", time_us, {"instance": instance})


def columns(document: Mapping[str, Json]) -> tuple[str, str, int, str, str, str]:
    """Return the columns that belong to a body: kind, request_id, time_us, actor, backend, verdict."""
    actor = document.get("actor")
    time_us = document.get("time_us")
    return (
        _column(document.get("kind")),
        _column(document.get("request_id")),
        time_us if isinstance(time_us, int) else 0,
        _column(actor.get("subject") if isinstance(actor, Mapping) else None),
        _column(document.get("backend")),
        _column(document.get("verdict", document.get("result"))),
    )


def _rule(file: str, line: int, text: str) -> str:
    return f'{{"file":{quote(file)},"line":{line:d},"text":{quote(text)}}}'


_actors: dict[str, tuple[Actor, str]] = {}


def _actor(actor: Actor) -> str:
    # A caller is the same object for as long as the check of their token is remembered.
    known = _actors.get(actor.token_sha256)
    if known is not None and known[0] is actor:
        return known[1]
    acr, session = actor.acr, actor.session
    delegates = ",".join([_delegate(each) for each in actor.delegates])
    text = (
        f'{{"acr":{"null" if acr is None else quote(acr)},"amr":{quoted(actor.amr)},"delegates":[{delegates}],'
        f'"groups":{quoted(actor.groups)},"issuer":{quote(actor.issuer)},"provider":{quote(actor.provider)},'
        f'"session":{"null" if session is None else quote(session)},"subject":{quote(actor.subject)},'
        f'"token_sha256":{quote(actor.token_sha256)},"token_subject":{quote(actor.token_subject)},'
        f'"username":{quote(actor.username)}}}'
    )
    if len(_actors) >= _MAX_ACTORS:
        _actors.clear()
    _actors[actor.token_sha256] = (actor, text)
    return text


def _delegate(delegate: Delegate) -> str:
    return (
        f'{{"provider":{quote(delegate.provider)},"subject":{quote(delegate.subject)},'
        f'"token_subject":{quote(delegate.token_subject)}}}'
    )


def _event(kind: str, time_us: int, document: Mapping[str, Json]) -> Record:
    whole = {"v": 1, "kind": kind, "time_us": time_us, **document}
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return _record(text, kind, time_us, verdict=str(document.get("result", "")))


def _record(
    text: str,
    kind: str,
    time_us: int,
    request_id: str = "",
    *,
    actor: str = "",
    backend: str = "",
    verdict: str = "",
    decision_index: int | None = None,
) -> Record:
    try:
        body = text.encode()
    except UnicodeEncodeError:
        body = b""
    if not body or len(body) > COMFORTABLE_BYTES:
        document = fitted(json.loads(text))
        kind, request_id, time_us, actor, backend, verdict = columns(document)
        return Record(encode(document), kind, request_id, time_us, actor, backend, verdict, decision_index)
    return Record(body, kind, _column(request_id), time_us, _column(actor), _column(backend), verdict, decision_index)


def _column(value: Json) -> str:
    # NUL has no place in a text column of every database; a search needs no more than the beginning.
    if not isinstance(value, str):
        return ""
    if len(value) <= COLUMN_CHARACTERS and "\x00" not in value:
        return value
    return value[:COLUMN_CHARACTERS].replace("\x00", "\ufffd")
