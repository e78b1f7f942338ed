"""Two certified providers with different issuers and key types, over real HTTP."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.directory import Directory, Person
from identity.federation import Federation
from identity.provider_settings import ProviderSettings
from tests.identity.issuer import Clock
from tests.parts.oidc_provider import AUDIENCE, CLI_CLIENT_ID, CLIENT_ID, CLIENT_SECRET, SERVER, OidcProvider


def test_the_provider_is_installed_from_a_lock_that_names_no_host() -> None:
    lock = (SERVER / "package-lock.json").read_text()
    assert "://" not in lock
    assert '"integrity"' in lock


def _settings(name: str, provider: OidcProvider, **changes: Any) -> ProviderSettings:
    fields = {
        "name": name,
        "issuer": provider.issuer,
        "audiences": [AUDIENCE],
        "client_id": CLI_CLIENT_ID,
        "groups_claim": "groups",
    }
    return ProviderSettings.model_validate(fields | changes)


@pytest.fixture(scope="module")
def corp() -> Iterator[OidcProvider]:
    with OidcProvider("RS256", kid="shared") as provider:
        yield provider


@pytest.fixture(scope="module")
def partner() -> Iterator[OidcProvider]:
    with OidcProvider("ES256", kid="shared") as provider:
        yield provider


def test_people_of_two_providers_are_known_by_real_logins(corp: OidcProvider, partner: OidcProvider) -> None:
    directory = Directory(
        by_subject={("corp", "alice"): Person("alice")}, by_email={("partner", "alice@example.com"): Person("alice")}
    )

    async def story() -> None:
        settings = [_settings("corp", corp), _settings("partner", partner, email_domains=["example.com"])]
        federation = Federation(settings, directory)
        await federation.start()
        await federation.first_attempts()
        assert [status.detail for status in federation.status()] == ["ok", "ok"]
        first = await federation.authenticate(corp.tokens("alice").access_token.encode())
        second = await federation.authenticate(partner.tokens("alice").access_token.encode())
        assert first.subject == second.subject == "user:alice"
        assert first.groups == ("group:corp:dev", "group:corp:on-call")
        assert second.issuer == partner.issuer
        bob = await federation.authenticate(partner.tokens("bob").access_token.encode())
        assert bob.subject == "user:partner:bob"
        workload = await federation.authenticate(corp.workload_token().encode())
        assert workload.subject == "user:corp:ci"
        await federation.close()

    asyncio.run(story())


def test_an_id_token_of_a_real_login_is_accepted_only_on_purpose(corp: OidcProvider) -> None:
    """SECURITY-CASES 19: also where the gateway's audience is the client's own id."""
    id_token = corp.tokens("alice").id_token.encode()

    async def verdict(**changes: Any) -> str:
        federation = Federation([_settings("corp", corp, **changes)])
        await federation.start()
        await federation.first_attempts()
        try:
            return (await federation.authenticate(id_token)).subject
        except InvalidCredentialError as error:
            return error.code
        finally:
            await federation.close()

    assert asyncio.run(verdict()) == "wrong_audience"
    assert asyncio.run(verdict(audiences=[CLI_CLIENT_ID])) == "id_token_not_accepted"
    assert asyncio.run(verdict(audiences=[CLI_CLIENT_ID], accept_id_tokens=True)) == "user:corp:alice"


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA", "Ed25519"])
def test_the_other_algorithms_of_real_providers_are_understood(algorithm: Any) -> None:
    with OidcProvider(algorithm) as provider:
        token = provider.tokens("bob").access_token.encode()

        async def story() -> None:
            federation = Federation([_settings("corp", provider, algorithms=[algorithm])])
            await federation.start()
            await federation.first_attempts()
            assert (await federation.authenticate(token)).subject == "user:corp:bob"
            await federation.close()

        asyncio.run(story())


def test_opaque_tokens_of_a_real_provider_are_asked_about_once_in_a_while_and_end_there(tmp_path: Path) -> None:
    """SECURITY-CASES 20: an answer is kept for that token alone, for `cache_s` at most; other providers see nothing."""
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    introspection = {"client_id": CLIENT_ID, "client_secret_file": secret, "cache_s": 30}
    clock = Clock(time.time())

    def asked(provider: OidcProvider) -> int:
        return provider.requests().get("/token/introspection", 0)

    async def story(corp: OidcProvider, partner: OidcProvider) -> None:
        settings = [
            _settings(name, provider, introspection={**introspection, "token_prefix": f"{name}_"})
            for name, provider in (("corp", corp), ("partner", partner))
        ]
        federation = Federation(settings, clock=clock)
        await federation.start()
        await federation.first_attempts()
        alice = corp.tokens("alice").access_token.encode()
        first = await federation.authenticate(alice)
        assert (first.subject, first.groups) == ("user:corp:alice", ("group:corp:dev", "group:corp:on-call"))
        assert await federation.authenticate(alice) is first
        with pytest.raises(InvalidCredentialError, match="token_inactive"):
            await federation.authenticate(b"corp_made-up")
        assert (asked(corp), asked(partner)) == (2, 0)

        corp.rotate()
        corp.end_sessions("alice")
        assert await federation.authenticate(alice) is first, "within cache_s"
        clock.now += 30
        with pytest.raises(InvalidCredentialError, match="token_inactive"):
            await federation.authenticate(alice)
        bob = await federation.authenticate(partner.tokens("bob").access_token.encode())
        assert bob.subject == "user:partner:bob"
        assert (asked(corp), asked(partner)) == (3, 1)
        await federation.close()

    with (
        OidcProvider("ES256", opaque_tokens=True, token_prefix="corp_") as corp,
        OidcProvider("RS256", opaque_tokens=True, token_prefix="partner_") as partner,
    ):
        asyncio.run(story(corp, partner))


def test_rotation_outage_and_return_of_a_real_provider() -> None:
    """SECURITY-CASES 22."""
    with OidcProvider("ES256") as provider:

        async def story() -> None:
            federation = Federation([_settings("corp", provider, jwks_min_interval_s=1)])
            await federation.start()
            await federation.first_attempts()
            old = provider.tokens("alice").access_token.encode()
            await federation.authenticate(old)

            provider.rotate()
            await federation.refresh("corp")
            with pytest.raises(InvalidCredentialError, match="unknown_key"):
                await federation.authenticate(old)
            current = provider.tokens("alice").access_token.encode()
            await federation.authenticate(current)

            provider.stop()
            await federation.refresh("corp")
            assert (await federation.authenticate(current)).subject == "user:corp:alice"
            fresh = Federation([_settings("corp", provider)])
            await fresh.start()
            await fresh.first_attempts()
            with pytest.raises(ProviderUnavailableError):
                await fresh.authenticate(current)
            await fresh.close()

            provider.start()
            await federation.refresh("corp")
            assert (
                await federation.authenticate(provider.tokens("bob").access_token.encode())
            ).subject == "user:corp:bob"
            await federation.close()

        asyncio.run(story())
