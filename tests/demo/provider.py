"""Runs `oidc-provider-mock` with its own options, opened to public clients: the command line is one (RFC 8252).

As it comes, the mock gives tokens only to clients with a secret, which a program on a person's machine can't keep.
"""

import runpy

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant

if __name__ == "__main__":
    for grant in (AuthorizationCodeGrant, RefreshTokenGrant):
        grant.TOKEN_ENDPOINT_AUTH_METHODS = [*grant.TOKEN_ENDPOINT_AUTH_METHODS, "none"]
    runpy.run_module("oidc_provider_mock", run_name="__main__")
