"""The claim sets that issuers of workload tokens document, with example values of our own.

Each function returns the claims of one good token for this gateway; `changes` replace claims, None leaves one out.
"""

from tests.identity.issuer import NOW

AUDIENCE = "portcullis"
Claims = dict[str, object]

_TIMES: Claims = {"iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300}


def _changed(claims: Claims, changes: Claims) -> Claims:
    return {name: value for name, value in (claims | changes).items() if value is not None}


def github_push(**changes: object) -> Claims:
    """A push to `main` (GitHub, OpenID Connect reference)."""
    claims: Claims = {
        "jti": "6f4e8b1c-0d8c-4a8d-9b7e-6d6f3d9f1a01",
        "sub": "repo:example/payments:ref:refs/heads/main",
        "aud": AUDIENCE,
        "ref": "refs/heads/main",
        "sha": "0c2d0f6d7f0f4a3c7f6f7f4c6e5d4b3a29180706",
        "repository": "example/payments",
        "repository_owner": "example",
        "repository_owner_id": "65",
        "repository_id": "74",
        "repository_visibility": "private",
        "run_id": "7001",
        "run_number": "10",
        "run_attempt": "2",
        "actor": "alice",
        "actor_id": "12",
        "workflow": "deploy",
        "workflow_ref": "example/payments/.github/workflows/deploy.yml@refs/heads/main",
        "workflow_sha": "0c2d0f6d7f0f4a3c7f6f7f4c6e5d4b3a29180706",
        "head_ref": "",
        "base_ref": "",
        "event_name": "push",
        "ref_type": "branch",
        "ref_protected": "true",
        "job_workflow_ref": "example/payments/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_sha": "0c2d0f6d7f0f4a3c7f6f7f4c6e5d4b3a29180706",
        "runner_environment": "github-hosted",
        "enterprise": "example-corp",
        "enterprise_id": "2",
        "iss": "https://token.actions.githubusercontent.com",
        **_TIMES,
    }
    return _changed(claims, changes)


def github_environment(**changes: object) -> Claims:
    """A deployment to the environment `production`: the subject names it in place of the branch."""
    claims = github_push(sub="repo:example/payments:environment:production", environment="production")
    return _changed(claims, changes)


def github_pull_request(**changes: object) -> Claims:
    """A pull request: its ref is the merge ref, and only `base_ref` says where it wants to go."""
    claims = github_push(
        sub="repo:example/payments:pull_request",
        ref="refs/pull/1/merge",
        ref_protected="false",
        head_ref="feature",
        base_ref="main",
        event_name="pull_request",
        workflow_ref="example/payments/.github/workflows/deploy.yml@refs/pull/1/merge",
        job_workflow_ref="example/payments/.github/workflows/deploy.yml@refs/pull/1/merge",
    )
    return _changed(claims, changes)


def github_reusable(**changes: object) -> Claims:
    """A job of a reusable workflow: `job_workflow_ref` names the workflow that was called, all else its caller."""
    called = "example/automation/.github/workflows/release.yml@refs/heads/main"
    return _changed(github_push(job_workflow_ref=called, event_name="workflow_dispatch"), changes)


def github_immutable(**changes: object) -> Claims:
    """A push in a repository with immutable subject claims."""
    return _changed(github_push(sub="repo:example@65/payments@74:ref:refs/heads/main"), changes)


def gitlab(**changes: object) -> Claims:
    """A job's `id_tokens` (GitLab, ID token authentication); almost everything is a text, `runner_id` a number."""
    claims: Claims = {
        "namespace_id": "72",
        "namespace_path": "example",
        "project_id": "20",
        "project_path": "example/payments",
        "user_id": "1",
        "user_login": "alice",
        "user_email": "alice@example.com",
        "user_access_level": "maintainer",
        "user_identities": [{"provider": "corp", "extern_uid": "2435223452345"}],
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "groups_direct": ["example/platform", "example/payments-team"],
        "environment": "production",
        "environment_protected": "true",
        "deployment_tier": "production",
        "environment_action": "start",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.example.com/example/payments//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "iss": "https://gitlab.example.com",
        "sub": "project_path:example/payments:ref_type:branch:ref:main",
        "aud": AUDIENCE,
        **_TIMES,
    }
    return _changed(claims, changes)


def kubernetes(
    namespace: str = "payments", account: str = "deploy", uid: str = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"
) -> Claims:
    """A projected service account token, bound to a pod (Kubernetes, managing service accounts)."""
    return {
        "aud": ["https://gateway.example.com", AUDIENCE],
        "iss": "https://cluster.example.com",
        "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": {"name": "deploy-0", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
            "serviceaccount": {"name": account, "uid": uid},
            "warnafter": NOW + 3607,
        },
        "sub": f"system:serviceaccount:{namespace}:{account}",
        **_TIMES,
    }


def spiffe(path: str = "/ns/payments/sa/deploy", trust_domain: str = "example.com") -> Claims:
    """A JWT-SVID with what its specification demands and nothing more: no `iss`, no `iat`."""
    return {"sub": f"spiffe://{trust_domain}{path}", "aud": [AUDIENCE], "exp": NOW + 300}


def generic(**changes: object) -> Claims:
    """A client of any OpenID provider that logs in by its own credentials (RFC 9068)."""
    claims: Claims = {
        "iss": "https://sso.example.com",
        "sub": "2f1c0a34-nightly",
        "client_id": "nightly",
        "aud": AUDIENCE,
        "scope": "api",
        "jti": "9f8f",
        "https://example.com/team": "payments",
        "trusted": True,
        **_TIMES,
    }
    return _changed(claims, changes)
