"""What running gateways know beyond configuration and policy: what was revoked, what was pushed, their own keys."""

import asyncio
import time

from gateway.app import open_identity_state
from gateway.settings import Settings
from identity.federation import Federation
from identity.issuer.signing_keys import SigningKeys
from identity.provisioning import ProvisioningView
from identity.sealing import Sealer, SecretFileError
from identity.secret import SecretError
from identity.state import StateUnavailableError


async def teach(federation: Federation, settings: Settings) -> str | None:
    """Let a federation know what the identity state says now; nothing is written there.

    Returns why it can't be read where it can't, None otherwise and where there is no state.
    """
    state = settings.identity.state
    if state is None:
        return None
    try:
        sealer = Sealer.load(state.secret_file)
        with open_identity_state(state, read_only=True) as (store, accounts):
            own = SigningKeys(store, sealer, issuer=settings.public_url, signing_key_s=settings.identity.signing_key_s)
            # Following reads the keys that are there; loading would make one where one is due.
            await own.follow(())
            federation.trust(own)
            view = ProvisioningView(
                {each.name: each.scim for each in settings.identity.providers if each.scim is not None}
            )
            for name in view.providers:
                view.apply(name, await asyncio.to_thread(accounts.accounts, name, view.attribute(name), 0))
            federation.use_provisioning(view)
            federation.revoke(await asyncio.to_thread(store.revocations, int(time.time())))
    except (SecretError, SecretFileError, StateUnavailableError) as error:
        return str(error)
    return None
