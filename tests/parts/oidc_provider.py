"""A certified OpenID provider (npm `oidc-provider`) on loopback, for tests: real logins, real keys, real rotation.

    with OidcProvider("ES256") as provider:
        tokens = provider.tokens("alice")        # a scripted authorization-code login with PKCE
        provider.rotate()                        # new signing key, the old one is gone
        provider.sign_in_as("bob")               # the next browser is bob's
        provider.end_sessions("alice")           # alice logs out there; clients are told by back-channel

Clients it knows: `portcullis` (the gateway's own: secret `CLIENT_SECRET`, redirects to `redirect_uris`),
`portcullis-cli` (public, native: `http://127.0.0.1:<any port>/callback` or `/`, PKCE, refresh and device flow) and `ci`
(client credentials, same secret). `set_client` changes what is known of one, `backchannel_logout_uri` for example.

Access tokens are `at+jwt` for the audience `portcullis`, or opaque on demand: then `portcullis` and `ci` may introspect
them. A token that userinfo answers to has no audience (`resource_tokens=False`).

`package-lock.json` names no host: it is made by `npm install --omit-lockfile-registry-resolved`, and its `funding`
members are taken out.
"""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
Claims = Mapping[str, object]

SERVER = Path(__file__).with_name("oidc_provider_node")
AUDIENCE = "portcullis"
RESOURCE = "urn:portcullis"
MAX_REDIRECTS = 8
CLI_CLIENT_ID = "portcullis-cli"
CLIENT_ID = "portcullis"
CLIENT_SECRET = "a-client-secret-for-tests-only"
# What a login is worth, weakest first: `acr` and the `amr` that comes with it.
ASSURANCE: Mapping[str, Sequence[str]] = {"urn:example:pwd": ["pwd"], "urn:example:mfa": ["pwd", "otp"]}
ACCOUNTS: Mapping[str, Claims] = {
    "alice": {
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice",
        "preferred_username": "alice",
        "groups": ["dev", "on-call"],
    },
    "bob": {
        "email": "bob@example.com",
        "email_verified": True,
        "name": "Bob",
        "preferred_username": "bob",
        "groups": ["dev"],
    },
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gave: an access token and an ID token, compact JWTs as a rule, and an opaque refresh token."""

    access_token: str
    id_token: str
    refresh_token: str


class OidcProvider:
    """One provider process with its own issuer, one signing key and its own accounts.

    `kid` fixes the key's id, so that two providers can publish the same one; `port` 0 lets the system choose.
    `accounts` maps a subject to its claims: all of them are in ID tokens and at userinfo, the usual ones and those
    under `access_token` in access tokens, those under `userinfo` at userinfo alone. `assurance` maps each `acr` that
    can be asked for to its `amr`; the first is the default. `opaque_tokens` makes access tokens that only introspection
    explains, each beginning with `token_prefix`; without `resource_tokens` they are for nobody but userinfo. `client`
    adds to what is known of `portcullis`. `tls` is a certificate, its key, and the CA that signed it, PEM files: the
    issuer is https then. `trusted_ca` is the CA of clients that are told of logouts over https. Without `sends_issuer`
    neither its metadata nor its authorization responses know of RFC 9207, as with most providers.

    Raises RuntimeError, with the program's own words, where it can't start.
    """

    def __init__(
        self,
        algorithm: Algorithm = "RS256",
        *,
        kid: str | None = None,
        port: int = 0,
        accounts: Mapping[str, Claims] = ACCOUNTS,
        audience: str | Sequence[str] = AUDIENCE,
        redirect_uris: Sequence[str] = ("https://gateway.example.com/-/login/callback/corp",),
        access_token_ttl_s: int = 3600,
        assurance: Mapping[str, Sequence[str]] = ASSURANCE,
        opaque_tokens: bool = False,
        resource_tokens: bool = True,
        token_prefix: str = "",
        client: Mapping[str, object] | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        trusted_ca: Path | None = None,
        sends_issuer: bool = True,
    ) -> None:
        self._state: dict[str, object] = {
            "algorithm": algorithm,
            "kid": kid,
            "port": port,
            "accounts": dict(accounts),
            "audience": audience,
            "resource": RESOURCE,
            "accessTokenTtl": access_token_ttl_s,
            "accessTokenFormat": "opaque" if opaque_tokens else "jwt",
            "resourceTokens": resource_tokens,
            "tokenPrefix": token_prefix,
            "assurance": dict(assurance),
            "sendsIssuer": sends_issuer,
            "clients": _clients(redirect_uris, client or {}),
            "tls": {"cert": tls[0].read_text(), "key": tls[1].read_text()} if tls is not None else None,
        }
        self._environment = {**os.environ} | ({"NODE_EXTRA_CA_CERTS": str(trusted_ca)} if trusted_ca else {})
        self._verify = ssl.create_default_context(cafile=tls[2]) if tls is not None else True
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self.issuer = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; after `stop`, on the same port with a new key and no memory of its sessions."""
        _install()
        # A file, not a pipe: nobody reads it while the program runs, and a full pipe would stop it.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            ["node", "server.mjs", json.dumps(self._state)],
            cwd=SERVER,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            started = self._read_answer()
        except RuntimeError:
            self.stop()
            raise
        self.issuer = started["issuer"]
        self._state["port"] = urlsplit(self.issuer).port

    def stop(self) -> None:
        """End the process and wait for it. Safe to call twice."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.communicate(timeout=10)
        _pipe(self._errors).close()
        self._process = self._errors = None

    def rotate(self, *, kid: str | None = None, keep_old: bool = False) -> None:
        """Sign with a new key from now on; the old one stays published only if `keep_old`."""
        self._command("rotate", kid=kid, keepOld=keep_old)

    def set_account(self, name: str, claims: Claims) -> None:
        """Replace (or add) an account's claims; later tokens carry them."""
        self._command("account", name=name, claims=dict(claims))

    def remove_account(self, name: str) -> None:
        """Forget an account: it can't log in, and its refresh tokens are refused."""
        self._command("removeAccount", name=name)

    def sign_in_as(self, name: str) -> None:
        """Choose who a browser that comes without `login_hint` is signed in as (at first: the first account)."""
        self._command("signInAs", name=name)

    def logins_are_old(self, seconds: int) -> None:
        """Let later logins have happened so long ago, unless the client asks for a fresh one (`max_age`)."""
        self._command("loginsAreOld", seconds=seconds)

    def set_client(self, client_id: str = CLIENT_ID, **members: object) -> None:
        """Change what is known of a client, by RFC 7591's names.

        `redirect_uris`, `backchannel_logout_uri`, `backchannel_logout_session_required`, `client_secret` and so on.
        """
        self._command("client", id=client_id, members=members)

    def end_sessions(self, name: str, *, revoke: bool = True) -> list[dict[str, Any]]:
        """End all of an account's browser sessions; returns which clients were told, and what each answered.

        With `revoke` their refresh tokens and opaque tokens end too. Each entry has `client` and `status`, an HTTP
        status or 0.
        """
        told: list[dict[str, Any]] = self._command("endSessions", name=name, revoke=revoke)["told"]
        return told

    def requests(self) -> dict[str, int]:
        """Return how often each path has been asked for."""
        counts: dict[str, int] = self._command("requests")["requests"]
        return counts

    def tokens(self, account: str = "alice", *, scope: str = "openid email profile groups") -> Tokens:
        """Log `account` in through `portcullis-cli` and return its tokens."""
        verifier, redirect_uri = secrets.token_urlsafe(48), "http://127.0.0.1:1/callback"
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        request = {
            "client_id": CLI_CLIENT_ID,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": secrets.token_urlsafe(16),
            "nonce": secrets.token_urlsafe(16),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": account,
        }
        with httpx.Client(trust_env=False, verify=self._verify) as client:
            location = str(httpx.URL(f"{self.issuer}/auth", params=request))
            for _ in range(MAX_REDIRECTS):
                response = client.get(location)
                location = urljoin(location, response.headers.get("location", ""))
                if not response.is_redirect or location.startswith(redirect_uri):
                    break
            answer = parse_qs(urlsplit(location).query)
            if "code" not in answer:
                raise RuntimeError(f"no code for {account}: {response.status_code} {location} {response.text[:500]}")
            body = client.post(
                f"{self.issuer}/token",
                data={
                    "grant_type": "authorization_code",
                    "client_id": CLI_CLIENT_ID,
                    "redirect_uri": redirect_uri,
                    "code": answer["code"][0],
                    "code_verifier": verifier,
                },
            ).json()
        return Tokens(body["access_token"], body["id_token"], body["refresh_token"])

    def workload_token(self) -> str:
        """Return an access token that the client `ci` got for itself (client credentials)."""
        response = httpx.post(
            f"{self.issuer}/token",
            auth=("ci", CLIENT_SECRET),
            data={"grant_type": "client_credentials", "resource": RESOURCE, "scope": "api"},
            trust_env=False,
            verify=self._verify,
        )
        token: str = response.json()["access_token"]
        return token

    def _command(self, command: str, **parameters: object) -> dict[str, Any]:
        _pipe(self._running().stdin).write(json.dumps({"command": command, **parameters}) + "\n")
        _pipe(self._running().stdin).flush()
        return self._read_answer()

    def _read_answer(self) -> dict[str, Any]:
        # Whatever else the program prints (its start-up notices) is not JSON and is passed over.
        process = self._running()
        for line in _pipe(process.stdout):
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        process.wait(timeout=10)
        errors = _pipe(self._errors)
        errors.seek(0)
        raise RuntimeError(f"the OpenID provider ended with {process.returncode}:\n{errors.read()}")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the OpenID provider is not running: use it as a context manager or call start()")
        return self._process


def _clients(redirect_uris: Sequence[str], own: Mapping[str, object]) -> list[dict[str, object]]:
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    return [
        {
            "client_id": CLI_CLIENT_ID,
            "application_type": "native",
            "token_endpoint_auth_method": "none",
            "redirect_uris": ["http://127.0.0.1/callback", "http://127.0.0.1/"],
            "grant_types": ["authorization_code", "refresh_token", device_code],
        },
        {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": list(redirect_uris),
            "grant_types": ["authorization_code", "refresh_token"],
            **own,
        },
        {
            "client_id": "ci",
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [],
            "response_types": [],
            "grant_types": ["client_credentials"],
        },
    ]


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the OpenID provider was started without pipes")
    return stream


def _install() -> None:
    """Install the locked packages once, whichever test process comes first."""
    with _exclusive(SERVER / "package-lock.json"):
        if (SERVER / "node_modules" / "oidc-provider").is_dir():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=SERVER, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` in {SERVER} failed:\n{done.stderr}")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
