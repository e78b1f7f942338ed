"""A workload's token is told by what it says: the documented claim sets of each issuer, and everything that is near."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.claim_pattern import ClaimPattern
from identity.compact_jws import parse_compact_jws
from identity.directory import Directory
from identity.directory_file import load_directory
from identity.workloads import ClaimCondition, ClaimNameError, Workload, claim_path
from tests.identity import workload_claims as claims_of
from tests.identity.issuer import forge, private_key

WORKLOADS = """\
workloads:
  payments-deploy:
    provider: github
    claims: {repository: example/payments, repository_id: 74, ref: refs/heads/main, environment: production}
  payments-main:
    provider: github
    claims: {sub: "repo:example/payments:ref:refs/heads/*"}
  release:
    provider: github
    claims:
      repository_owner_id: 65
      job_workflow_ref: example/automation/.github/workflows/release.yml@refs/heads/main
  pinned:
    provider: github
    claims: {sub: "repo:example@65/payments@74:ref:refs/heads/main"}
  gitlab-payments:
    provider: gitlab
    claims: {project_path: example/payments, project_id: 20, ref_path: refs/heads/main, ref_protected: true}
  gitlab-any-tag:
    provider: gitlab
    claims: {sub: "project_path:example/payments:ref_type:tag:ref:**"}
  gitlab-runner:
    provider: gitlab
    claims: {namespace_id: 72, runner_id: 1, groups_direct: [example/platform, example/sre]}
  cluster-deploy:
    provider: cluster
    claims: {/kubernetes.io/namespace: payments, /kubernetes.io/serviceaccount/name: deploy}
  cluster-by-subject:
    provider: cluster
    claims: {sub: "system:serviceaccount:payments:deploy"}
  mesh-deploy:
    provider: mesh
    claims: {sub: "spiffe://example.com/ns/payments/sa/*"}
  nightly:
    provider: corp-ci
    claims: {client_id: nightly, "https://example.com/team": payments, trusted: true}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    path = tmp_path_factory.mktemp("policies") / "identities.yaml"
    path.write_text(WORKLOADS)
    return load_directory(path)


def names(directory: Directory, provider: str, claims: claims_of.Claims) -> tuple[str, ...]:
    """Return the workloads of a signed token with these claims, read as the gateway reads it."""
    token = forge({"alg": "RS256", "typ": "JWT", "kid": "k1"}, claims, "RS256", private_key("RS256", "ci"))
    return directory.workload_names(provider, parse_compact_jws(token).unverified_claims)


@pytest.mark.parametrize(
    ("provider", "claims", "expected"),
    [
        ("github", claims_of.github_push(), ("payments-main",)),
        ("github", claims_of.github_environment(), ("payments-deploy",)),
        ("github", claims_of.github_pull_request(), ()),
        ("github", claims_of.github_reusable(), ("payments-main", "release")),
        ("github", claims_of.github_immutable(), ("pinned",)),
        ("gitlab", claims_of.gitlab(), ("gitlab-payments", "gitlab-runner")),
        (
            "gitlab",
            claims_of.gitlab(
                ref="v1/2", ref_type="tag", ref_path="refs/tags/v1/2", runner_id=2,
                sub="project_path:example/payments:ref_type:tag:ref:v1/2",
            ),
            ("gitlab-any-tag",),
        ),
        ("cluster", claims_of.kubernetes(), ("cluster-deploy", "cluster-by-subject")),
        ("mesh", claims_of.spiffe(), ("mesh-deploy",)),
        ("corp-ci", claims_of.generic(), ("nightly",)),
    ],
)  # fmt: skip
def test_a_documented_token_is_its_workloads_in_the_order_of_the_file(
    directory: Directory, provider: str, claims: claims_of.Claims, expected: tuple[str, ...]
) -> None:
    assert names(directory, provider, claims) == expected


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        # A pull request, also one that is called like the branch it wants to go to.
        ("github", claims_of.github_pull_request()),
        ("github", claims_of.github_pull_request(environment="production")),
        ("github", claims_of.github_environment(ref="refs/heads/main2")),
        ("github", claims_of.github_environment(ref="refs/tags/refs/heads/main")),
        ("github", claims_of.github_environment(ref="main")),
        ("github", claims_of.github_environment(repository="example/payments-evil")),
        ("github", claims_of.github_environment(repository="evil/example/payments")),
        ("github", claims_of.github_environment(repository="Example/Payments")),
        ("github", claims_of.github_environment(repository="example/payments\n")),
        ("github", claims_of.github_environment(repository="ex\u0430mple/payments")),
        ("github", claims_of.github_environment(repository_id="740")),
        ("github", claims_of.github_environment(repository_id=None)),
        ("github", claims_of.github_environment(environment="Production")),
        ("github", claims_of.github_environment(environment=None)),
        ("github", claims_of.github_environment(environment={"production": True})),
        ("github", claims_of.github_environment(environment=[["production"]])),
        ("github", claims_of.github_push(sub="repo:example/payments-evil:ref:refs/heads/main")),
        ("github", claims_of.github_push(sub="repo:evil/payments:ref:refs/heads/main")),
        ("github", claims_of.github_push(sub="repo:example/payments:ref:refs/heads/main:x")),
        ("github", claims_of.github_push(sub="repo:example/payments:ref:refs/heads/a/b")),
        ("github", claims_of.github_push(sub="xrepo:example/payments:ref:refs/heads/main")),
        ("github", claims_of.github_reusable(sub="", repository_owner_id="66")),
        ("github", claims_of.github_immutable(sub="repo:example@66/payments@74:ref:refs/heads/main")),
        # What another provider signed says nothing here.
        ("github", claims_of.gitlab()),
        ("gitlab", claims_of.github_environment()),
        ("unknown", claims_of.github_environment()),
        ("gitlab", claims_of.gitlab(ref_protected="false", runner_id=2)),
        ("gitlab", claims_of.gitlab(ref_protected=False, runner_id=2)),
        ("gitlab", claims_of.gitlab(ref_path="refs/tags/main", runner_id=2)),
        ("gitlab", claims_of.gitlab(project_path="example/payments-evil", runner_id=2)),
        ("gitlab", claims_of.gitlab(project_path="evil/fork", project_id="21", groups_direct=["example/platform/x"])),
        ("gitlab", claims_of.gitlab(project_id="21", groups_direct=[])),
        ("gitlab", claims_of.gitlab(project_id="21", groups_direct=None)),
        ("cluster", claims_of.kubernetes(namespace="payments-evil")),
        ("cluster", claims_of.kubernetes(account="default")),
        ("mesh", claims_of.spiffe(trust_domain="example.com.evil.com")),
        ("mesh", claims_of.spiffe(path="/ns/payments/sa/deploy/more")),
        ("mesh", claims_of.spiffe(path="/ns/payments-evil/sa/deploy")),
        ("corp-ci", claims_of.generic(client_id="nightly2")),
        ("corp-ci", claims_of.generic(trusted=False)),
        ("corp-ci", claims_of.generic(trusted=1)),
        ("corp-ci", claims_of.generic(trusted=1.0)),
        ("corp-ci", claims_of.generic(**{"https://example.com/team": None})),
    ],
)
def test_a_near_miss_is_no_workload(directory: Directory, provider: str, claims: claims_of.Claims) -> None:
    assert names(directory, provider, claims) == ()


def test_a_workload_is_known_by_provider_and_name(directory: Directory) -> None:
    assert directory.has_workload("github", "payments-deploy")
    assert not directory.has_workload("gitlab", "payments-deploy")
    assert not directory.has_workload("github", "nobody")
    workload = directory.workload("github", "release")
    assert workload is not None
    assert (workload.subject, workload.line) == ("workload:github:release", 8)
    assert workload.unmet(claims_of.github_push()) == ("job_workflow_ref",)
    assert [each.name for each in directory.workloads_at("cluster")] == ["cluster-deploy", "cluster-by-subject"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sub", ("sub",)),
        ("kubernetes.io", ("kubernetes.io",)),
        ("/kubernetes.io/namespace", ("kubernetes.io", "namespace")),
        ("https://example.com/team", ("https://example.com/team",)),
        ("/a~1b/c~0d/~01", ("a/b", "c~d", "~1")),
    ],
)
def test_a_claim_is_named_by_itself_or_by_a_pointer(name: str, path: tuple[str, ...]) -> None:
    """RFC 6901, sections 3 and 4."""
    assert claim_path(name) == path


@pytest.mark.parametrize("name", ["", "/", "/a/", "//a", "/a~", "/a~2", "/~~1", "a\n", "x" * 256])
def test_what_names_no_claim_is_refused(name: str) -> None:
    with pytest.raises(ClaimNameError):
        claim_path(name)


def test_a_pointer_leads_through_objects_only() -> None:
    condition = ClaimCondition("/a/0", (ClaimPattern("**"),))
    assert condition.holds({"a": {"0": "x"}})
    others: list[dict[str, object]] = [{"a": ["x"]}, {"a": "x"}, {"a": None}, {"a": {}}, {"a": {"0": None}}, {}]
    assert not any(condition.holds(claims) for claims in others)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["sub", "ref", "a"]), _VALUES))
def test_no_claims_make_a_condition_fail_and_absence_never_fits(claims: dict[str, Any]) -> None:
    anything = Workload("any", "ci", tuple(ClaimCondition(name, (ClaimPattern("**"),)) for name in ("sub", "ref")))
    if anything.matches(claims):
        for name in ("sub", "ref"):
            value = claims[name]
            elements = value if isinstance(value, list) else [value]
            assert any(isinstance(element, str | int) for element in elements)
