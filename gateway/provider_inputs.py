"""What can be known of a provider's certificates, keys and secrets without asking it."""

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.config_file import Location
from gateway.settings_errors import dotted
from identity.client_credential import introspection_credential, own_credential
from identity.discovery import DiscoveryError, read_key_file
from identity.provider_settings import ProviderSettings
from identity.secret import SecretError


def provider_problems(providers: Iterable[ProviderSettings]) -> Iterator[tuple[Location, str]]:
    """Yield each file that is there and does not hold what it should, by its place in the configuration."""
    for index, provider in enumerate(providers):
        for keys, message in [*_file_problems(provider), *_secret_problems(provider)]:
            location: Location = ("identity", "providers", index, *keys)
            yield location, f"`{dotted(location)}` {message}"


def _file_problems(provider: ProviderSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    if provider.ca_file is not None:
        try:
            ssl.create_default_context(cafile=provider.ca_file)
        except OSError:
            yield ("ca_file",), "names a file that holds no certificates in PEM form"
    if provider.jwks_file is None:
        return
    try:
        published = read_key_file(provider)
    except DiscoveryError as error:
        reason = str(error).removeprefix(f"{provider.jwks_file}: ")
        yield ("jwks_file",), f"names a file that is no JWK set: {reason}"
    else:
        if not published.by_id:
            reasons = "; ".join(published.ignored) or "it is empty"
            yield ("jwks_file",), f"names a JWK set without a key for {', '.join(provider.algorithms)}: {reasons}"


def _secret_problems(provider: ProviderSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        if provider.client_id is not None:
            own_credential(provider)
    except SecretError as error:
        yield (_given("client_secret", provider.client_secret_file),), f"can't be used: {error}"
    introspection = provider.introspection
    if introspection is None or introspection.client_id is None:
        return
    try:
        introspection_credential(provider)
    except SecretError as error:
        yield ("introspection", _given("client_secret", introspection.client_secret_file)), f"can't be used: {error}"


def _given(name: str, file: Path | None) -> str:
    """Return the one of two keys that the file has, so that a finding stands at its line."""
    return f"{name}_file" if file is not None else f"{name}_env"
