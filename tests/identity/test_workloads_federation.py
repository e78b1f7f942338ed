"""Signed tokens of every issuer of workload tokens, through the whole check, to their `workload:` subject."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from identity.directory_file import load_directory
from tests.identity import workload_claims as claims_of
from tests.identity.issuer import Issuer, World, code_of, in_world
from tests.identity.test_workloads import WORKLOADS

ISSUERS = {name: Issuer(name) for name in ("github", "gitlab", "cluster", "mesh", "corp-ci")}
# A trust domain has no discovery: its bundle is fetched from where it is said to be.
MESH = {"issuer": "spiffe://example.com", "jwks_uri": f"{ISSUERS['mesh'].url}/jwks"}
SETTINGS = [
    issuer.settings(tokens="workloads", groups_claim=None, **(MESH if name == "mesh" else {}))
    for name, issuer in ISSUERS.items()
]


def _token(provider: str, claims: claims_of.Claims) -> bytes:
    issuer = ISSUERS[provider]
    by = {"iss": None} if provider == "mesh" else {"iss": issuer.url}
    absent = {name: None for name in issuer.claims() if name not in claims}
    return issuer.token({"typ": "JWT"}, **(absent | claims | by))


def _in_world(tmp_path: Path, story: Callable[[World], Awaitable[None]]) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(WORKLOADS)
    in_world(story, *ISSUERS.values(), settings=SETTINGS, directory=load_directory(path))


@pytest.mark.parametrize(
    ("provider", "claims", "subject", "groups"),
    [
        ("github", claims_of.github_push(), "workload:github:payments-main", ()),
        ("github", claims_of.github_environment(), "workload:github:payments-deploy", ()),
        ("github", claims_of.github_reusable(), "workload:github:payments-main", ("workload:github:release",)),
        ("github", claims_of.github_immutable(), "workload:github:pinned", ()),
        ("gitlab", claims_of.gitlab(), "workload:gitlab:gitlab-payments", ("workload:gitlab:gitlab-runner",)),
        (
            "cluster",
            claims_of.kubernetes(),
            "workload:cluster:cluster-deploy",
            ("workload:cluster:cluster-by-subject",),
        ),
        ("mesh", claims_of.spiffe(), "workload:mesh:mesh-deploy", ()),
        ("corp-ci", claims_of.generic(), "workload:corp-ci:nightly", ()),
    ],
)
def test_a_documented_token_is_its_workload(
    tmp_path: Path, provider: str, claims: claims_of.Claims, subject: str, groups: tuple[str, ...]
) -> None:
    """The first entry that fits names it; the further ones are groups of it."""

    async def story(world: World) -> None:
        principal = await world.federation.authenticate(_token(provider, claims))
        assert (principal.subject, principal.groups, principal.kind) == (subject, groups, "workload")

    _in_world(tmp_path, story)


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        ("github", claims_of.github_pull_request()),
        ("github", claims_of.github_environment(repository="example/payments-evil")),
        ("gitlab", claims_of.gitlab(project_path="evil/payments", project_id="21", namespace_id="73")),
        ("cluster", claims_of.kubernetes(namespace="evil")),
        ("mesh", claims_of.spiffe(path="/ns/evil/sa/deploy")),
        ("corp-ci", claims_of.generic(client_id="daily")),
    ],
)
def test_a_token_of_no_workload_is_refused(tmp_path: Path, provider: str, claims: claims_of.Claims) -> None:
    async def story(world: World) -> None:
        assert await code_of(world, _token(provider, claims)) == "unknown_workload"

    _in_world(tmp_path, story)


def test_what_one_issuer_signs_is_no_workload_of_another(tmp_path: Path) -> None:
    """SECURITY-CASES 18: the claims are GitHub's, the key is another issuer's."""

    async def story(world: World) -> None:
        good = claims_of.github_environment(iss=ISSUERS["github"].url)
        assert await code_of(world, ISSUERS["gitlab"].token({"typ": "JWT"}, **good)) == "bad_signature"
        assert (
            await code_of(world, ISSUERS["gitlab"].token({"typ": "JWT"}, **(good | {"iss": None}))) == "unknown_issuer"
        )

    _in_world(tmp_path, story)
