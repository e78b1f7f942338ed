"""All that the gateway remembers about identities, over one database."""

from adapters.state.change_feed import SqlChangeFeed
from adapters.state.codes import SqlCodes
from adapters.state.devices import SqlDevices
from adapters.state.grants import SqlGrants
from adapters.state.refresh_tokens import SqlRefreshTokens
from adapters.state.revocations import SqlRevocations
from adapters.state.signing_keys import SqlSigningKeys


class SqlState(SqlGrants, SqlRefreshTokens, SqlCodes, SqlDevices, SqlSigningKeys, SqlRevocations, SqlChangeFeed):
    """Every store of `identity.state` in one object: `SqlState(StateDatabase(url, password))`."""
