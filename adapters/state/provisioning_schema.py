"""The tables of what providers push about their accounts: users, groups and who is in which.

A row with `gone` 1 is a mark: of a user that was deleted, or of a name that a user no longer has. It keeps
accounts of that name refused, and holds nothing else of the person. `name` is the folded `userName` or `displayName`,
`label` the same as it was written, of a group only. `version` is the number of the change that a row was last
concerned by.
"""

from sqlalchemy import Column, Index, Table, Text

from adapters.state.columns import AnyText, JsonText, Number, metadata

resources = Table(
    "identity_scim_resource",
    metadata,
    Column("provider", AnyText, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", AnyText, primary_key=True),
    Column("name", AnyText),
    Column("external_id", AnyText),
    Column("label", AnyText),
    Column("active", Number, nullable=False),
    Column("gone", Number, nullable=False),
    Column("document", JsonText, nullable=False),
    Column("version", Number, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("modified_at", Number, nullable=False),
    sqlite_strict=True,
)
_there = resources.c.gone == 0
for column in (resources.c.name, resources.c.external_id):
    Index(
        f"identity_scim_resource_{column.name}",
        resources.c.provider,
        resources.c.kind,
        column,
        unique=True,
        sqlite_where=_there,
        postgresql_where=_there,
    )
Index(
    "identity_scim_resource_age",
    resources.c.provider,
    resources.c.kind,
    resources.c.gone,
    resources.c.created_at,
    resources.c.id,
)
Index("identity_scim_resource_version", resources.c.provider, resources.c.kind, resources.c.version, resources.c.id)

members = Table(
    "identity_scim_member",
    metadata,
    Column("provider", AnyText, primary_key=True),
    Column("group_id", AnyText, primary_key=True),
    Column("user_id", AnyText, primary_key=True),
    sqlite_strict=True,
)
Index("identity_scim_member_user", members.c.provider, members.c.user_id)
