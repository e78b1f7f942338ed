"""Whether the caller holds the key that its token is bound to (RFC 7800): by DPoP (RFC 9449) or by TLS (RFC 8705)."""

from typing import Final

from gateway.backends import Backend
from gateway.credential import PresentedToken
from gateway.exchange import Exchange
from gateway.problems import Problem
from identity.authenticator import InvalidCredentialError
from identity.dpop import PROOF_ALGORITHMS, InvalidProofError, ProofVerifier
from identity.principal import Confirmation, Principal
from identity.rejections import rejection

# RFC 9449, section 7.1: a challenge says which algorithms a proof may have.
DPOP_CHALLENGE: Final = {"algs": " ".join(PROOF_ALGORITHMS)}
_BINDINGS: Final = {"jkt": "dpop", "x5t#S256": "mtls"}
_WAYS: Final = {"dpop": "to a key by DPoP", "mtls": "to the client certificate of the connection"}
_REMEDIES: Final = {
    "dpop": "use a client that gets its token with a DPoP proof (RFC 9449)",
    "mtls": "get the token with your client certificate, and show that here (RFC 8705)",
}


class Possession:
    """Checks, request by request, that a bound token is used by who it is bound to."""

    def __init__(self, proofs: ProofVerifier, public_url: str) -> None:
        self._proofs = proofs
        self._public_url = public_url

    def check(self, exchange: Exchange, presented: PresentedToken, principal: Principal) -> Problem | None:
        """Return why a token, good in itself, does not count in this request, None where it does."""
        if principal.confirmation is None and presented.scheme != "dpop":
            return None
        try:
            self._prove(exchange, presented, principal.confirmation)
        except InvalidProofError as error:
            return Problem(
                "invalid_credential",
                error.detail,
                error.oauth_error,
                {"error": error.code},
                scheme="DPoP",
                parameters=DPOP_CHALLENGE,
                nonce=error.nonce,
            )
        except InvalidCredentialError as error:
            is_dpop = presented.scheme == "dpop" or error.code == "proof_required"
            return Problem(
                "invalid_credential",
                error.detail,
                "invalid_token",
                {"error": error.code},
                scheme="DPoP" if is_dpop else "Bearer",
                parameters=DPOP_CHALLENGE if is_dpop else {},
            )
        return None

    def offered(self, exchange: Exchange) -> Confirmation | None:
        """Return the key that a new token can be bound to: who asks for one has just proved to hold it.

        For the token endpoint (RFC 9449, section 5; RFC 8705, section 3). A DPoP proof comes before the connection's
        certificate; None where there is neither. Raises InvalidProofError.
        """
        assert exchange.headers is not None
        if exchange.headers.proof is not None:
            return self._verified(exchange, exchange.headers.proof, None)
        thumbprint = exchange.raw.client_thumbprint
        return Confirmation("x5t#S256", thumbprint) if thumbprint is not None else None

    def _prove(self, exchange: Exchange, presented: PresentedToken, bound_to: Confirmation | None) -> None:
        assert exchange.headers is not None
        if bound_to is None or (presented.scheme == "dpop" and bound_to.method != "jkt"):
            raise rejection("token_not_bound")
        if bound_to.method == "x5t#S256":
            if exchange.raw.client_thumbprint != bound_to.thumbprint:
                raise rejection("certificate_required")
            return
        if presented.scheme == "native":
            raise rejection("binding_unprovable")
        if presented.scheme != "dpop":
            raise rejection("proof_required")
        proof = exchange.headers.proof
        if proof is None:
            raise InvalidProofError("malformed_proof", reason="it is missing")
        if self._verified(exchange, proof, presented.token) != bound_to:
            raise rejection("wrong_proof_key")

    def _verified(self, exchange: Exchange, proof: bytes, access_token: bytes | None) -> Confirmation:
        # The target was accepted in its one canonical form, which is ASCII.
        path = exchange.raw.target.partition(b"?")[0].decode("ascii")
        return self._proofs.verify(
            proof,
            method=exchange.method,
            url=self._public_url + path,
            access_token=access_token,
            now=exchange.received_us / 1_000_000,
        )


def token_binding(principal: Principal) -> str:
    """Return how the caller's token is bound, as policy and configuration say it: `none`, `dpop` or `mtls`."""
    return _BINDINGS[principal.confirmation.method] if principal.confirmation is not None else "none"


def lacking_binding(backend: Backend | None, principal: Principal) -> tuple[str, ...]:
    """Return the bindings (`dpop`, `mtls`) of which the backend demands one and the token has none; else empty."""
    if backend is None or not backend.token_binding or token_binding(principal) in backend.token_binding:
        return ()
    return tuple(backend.token_binding)


def binding_problem(backend: Backend | None, principal: Principal) -> Problem | None:
    """Return the 401 of a caller whose token is not bound as the backend demands, None where it is."""
    lacking = lacking_binding(backend, principal)
    if backend is None or not lacking:
        return None
    wanted = " or ".join(_WAYS[way] for way in lacking)
    # The command line's own login is bound to nothing: logging in again would not help.
    how = ", or ".join(_REMEDIES[way] for way in lacking)
    is_dpop = "dpop" in lacking
    return Problem(
        "token_binding_required",
        f"{backend.name} takes only a token that is bound {wanted}: {how}",
        "invalid_token",
        {"token_binding": list(lacking)},
        scheme="DPoP" if is_dpop else "Bearer",
        parameters=DPOP_CHALLENGE if is_dpop else {},
    )
