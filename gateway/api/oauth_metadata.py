"""What the gateway says about itself as an authorization server and as a resource (RFC 8414, RFC 9728)."""

from typing import Any, Final

from gateway.api.oauth_services import (
    AUTHORIZE,
    DEVICE_AUTHORIZATION,
    INTROSPECT,
    JWKS,
    REVOKE,
    TOKEN,
    OAuthServices,
)
from identity.dpop import PROOF_ALGORITHMS
from identity.issuer.clients import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN, TOKEN_EXCHANGE
from identity.issuer.signing_keys import ALGORITHM

AUTHORIZATION_SERVER: Final = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"
PROTECTED_RESOURCE: Final = "/.well-known/oauth-protected-resource"


def authorization_server_metadata(services: OAuthServices) -> dict[str, Any]:
    """Return the document of RFC 8414, section 2; it is the one of OpenID Connect Discovery 1.0 too.

    The two members that only OpenID Connect knows tell verifiers of JWTs which algorithm to expect. No ID tokens are
    issued, and `openid` is no scope here.
    """
    at = services.issuer
    return {
        "issuer": at,
        "authorization_endpoint": at + AUTHORIZE,
        "token_endpoint": at + TOKEN,
        "device_authorization_endpoint": at + DEVICE_AUTHORIZATION,
        "introspection_endpoint": at + INTROSPECT,
        "revocation_endpoint": at + REVOKE,
        "jwks_uri": at + JWKS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE, TOKEN_EXCHANGE],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": services.mutual_tls,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
