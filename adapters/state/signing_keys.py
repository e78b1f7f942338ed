"""The gateway's own signing keys, in SQL."""

from collections.abc import Sequence

from sqlalchemy import select

from adapters.state.journal import lock_changes
from adapters.state.schema import signing_keys
from adapters.state.sql_part import SqlPart, prune
from identity.state import SealedKey


class SqlSigningKeys(SqlPart):
    """See `identity.state.SigningKeyStore`."""

    def signing_keys(self, now: int) -> Sequence[SealedKey]:
        """See `SigningKeyStore.signing_keys`."""
        published = signing_keys.c.published_until > now
        query = select(signing_keys).where(published).order_by(signing_keys.c.signs_from, signing_keys.c.key_id)
        with self._database.transaction() as connection:
            return [SealedKey(*row) for row in connection.execute(query)]

    def add_signing_key(self, key: SealedKey, *, newest_before: int) -> bool:
        """See `SigningKeyStore.add_signing_key`; some that are published no longer are forgotten."""
        newer = select(signing_keys.c.key_id).where(signing_keys.c.signs_from >= newest_before).limit(1)
        with self._database.transaction() as connection:
            # Looking and adding are one: who else would add a key waits here, and sees this one.
            lock_changes(connection)
            if connection.execute(newer).first() is not None:
                return False
            prune(connection, signing_keys.c.key_id, signing_keys.c.published_until <= key.created_at)
            connection.execute(
                signing_keys.insert().values(
                    key_id=key.key_id,
                    sealed=key.sealed,
                    created_at=key.created_at,
                    signs_from=key.signs_from,
                    published_until=key.published_until,
                )
            )
            self._database.note_change(connection, "signing_keys", key.key_id)
        return True
