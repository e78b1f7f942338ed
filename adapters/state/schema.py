"""The tables of the identity state.

Compatibility rule: SCHEMA_VERSION counts changes that an older program can't work with; a database of another version
is refused, never guessed at.

A part that adds tables of its own puts them in a module `adapters/state/<part>_schema.py` on `columns.metadata`, and
that module is imported here: `create_state` makes every table that is known once this module is.

Times are whole seconds since the Unix epoch where the name does not say otherwise. Columns that hold what a provider
chose may be long, so they have hash indexes on PostgreSQL, whose others end at 2.7 kB.
"""

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text

from adapters.state import provisioning_schema as _provisioning  # noqa: F401 (its tables are made with these)
from adapters.state.columns import AnyText, JsonText, Number, TextTuple, metadata

SCHEMA_VERSION: Final = 1

schema = Table(
    "identity_schema",
    metadata,
    Column("version", Number, primary_key=True, autoincrement=False),
    sqlite_strict=True,
)

# One row. Who writes a change locks it first, so numbers are given in the order in which transactions commit, and
# a transaction that is rolled back leaves no hole.
change_head = Table(
    "identity_change_head",
    metadata,
    Column("number", Number, nullable=False),
    sqlite_strict=True,
)

changes = Table(
    "identity_change",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("key", AnyText, nullable=False),
    Column("written_us", Number, nullable=False),
    sqlite_strict=True,
)

grants = Table(
    "identity_grant",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("client", AnyText, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("provider", AnyText, nullable=False),
    Column("issuer", AnyText, nullable=False),
    Column("token_subject", AnyText, nullable=False),
    Column("username", AnyText, nullable=False),
    Column("groups", TextTuple, nullable=False),
    Column("email", AnyText),
    Column("provisioned_as", AnyText),
    Column("provider_session", AnyText),
    Column("authenticated_at", Number),
    Column("acr", AnyText),
    Column("amr", TextTuple, nullable=False),
    Column("limit_backends", TextTuple),
    Column("limit_actions", TextTuple),
    Column("confirmation_method", Text),
    Column("confirmation_thumbprint", AnyText),
    Column("source", AnyText, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("renewed_at", Number, nullable=False),
    Column("expires_at", Number, nullable=False),
    Column("sealed_refresh_token", LargeBinary),
    Column("login_used_at", Number),
    Column("ended_at", Number),
    Column("end_reason", Text),
    sqlite_strict=True,
)
Index("identity_grant_subject", grants.c.subject, postgresql_using="hash")
Index("identity_grant_account", grants.c.token_subject, postgresql_using="hash")
Index("identity_grant_provider_session", grants.c.provider_session, postgresql_using="hash")
Index("identity_grant_provisioned", grants.c.provisioned_as, postgresql_using="hash")
Index("identity_grant_expiry", grants.c.expires_at)

refresh_tokens = Table(
    "identity_refresh_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("grant_id", AnyText, ForeignKey(grants.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_at", Number, nullable=False, index=True),
    Column("used_at", Number),
    sqlite_strict=True,
)

codes = Table(
    "identity_code",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("payload", JsonText, nullable=False),
    Column("expires_at", Number, nullable=False, index=True),
    Column("used_at", Number),
    sqlite_strict=True,
)

devices = Table(
    "identity_device",
    metadata,
    Column("device_digest", LargeBinary, primary_key=True),
    Column("user_code", AnyText, nullable=False, unique=True),
    Column("client", AnyText, nullable=False),
    Column("source", AnyText, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("expires_at", Number, nullable=False, index=True),
    Column("interval_s", Number, nullable=False),
    Column("status", Text, nullable=False),
    Column("grant_id", AnyText),
    Column("polled_us", Number),
    sqlite_strict=True,
)

signing_keys = Table(
    "identity_signing_key",
    metadata,
    Column("key_id", AnyText, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("signs_from", Number, nullable=False),
    Column("published_until", Number, nullable=False),
    sqlite_strict=True,
)

# `digest` is the SHA-256 of `kind:key`, which may be longer than an index takes.
revocations = Table(
    "identity_revocation",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", AnyText, nullable=False),
    Column("at", Number, nullable=False),
    Column("until", Number, index=True),
    sqlite_strict=True,
)
