"""Which workload entries let strangers in, and which are likely to, one day.

Issuers such as GitHub's and GitLab's sign tokens for everybody. There the claims that tell whose a job is are few, and
most others are the job's own choice: anybody has a branch `main` and an environment `production`.
"""

import re
from collections.abc import Iterable

from identity.claim_pattern import ClaimPattern
from identity.workloads import ClaimCondition, Workload

# What whoever runs a job chooses, and what says who pressed the button: neither says whose the job is.
_REVISION = ("ref", "ref_type", "ref_path", "ref_protected", "base_ref", "head_ref", "sha")
# A reusable workflow may be called from anybody's repository where its own is public.
_CODE = ("workflow", "workflow_sha", "job_workflow_ref", "job_workflow_sha", "ci_config_ref_uri", "ci_config_sha")
_PLACE = ("environment", "environment_protected", "environment_action", "deployment_tier", "runner_environment")
_CAUSE = ("event_name", "pipeline_source", "job_source", "run_id", "run_number", "run_attempt", "pipeline_id", "job_id")
_PEOPLE = ("actor", "actor_id", "user_id", "user_login", "user_email", "user_access_level", "groups_direct")
SAYS_NOT_WHOSE = frozenset(
    (*_REVISION, *_CODE, *_PLACE, *_CAUSE, *_PEOPLE, "aud", "repository_visibility", "project_visibility")
)
# Values that are an owner, or begin with one and a slash.
_GITHUB_NAMES = frozenset(("repository", "repository_owner", "workflow_ref"))
_GITHUB_IDS = frozenset(("repository_id", "repository_owner_id"))
_GITLAB_NAMES = frozenset(("project_path", "namespace_path"))
_GITLAB_IDS = frozenset(("project_id", "namespace_id"))
_OWNED = _GITHUB_NAMES | _GITHUB_IDS | _GITLAB_NAMES | _GITLAB_IDS | {"enterprise", "enterprise_id"}
# How subjects of shared issuers begin; the owner comes next.
_SUBJECT_SCHEMES = ("repo:", "project_path:", "organization:", *(f"{claim}:" for claim in sorted(_OWNED)))
_OWNER_ENDS = frozenset("/:@")

_GITHUB_MOMENTS = frozenset(("ref", "base_ref", "environment", "event_name", "workflow_ref", "job_workflow_ref", "sub"))
_GITLAB_MOMENTS = frozenset(("ref", "ref_path", "ref_protected", "environment", "pipeline_source", "sub"))
_GITLAB_REF_KINDS = frozenset(("ref_type", "ref_path", "ref_protected"))
_IMMUTABLE_GITHUB_SUBJECT = re.compile(r"repo:[^@/*]+@[0-9]+[/:]")
_ANY_MOMENT = re.compile(r"(?:repo|project_path):[^:]*:?\*\*")
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[^*:]+:")
_WHOLE_ISSUERS = ("spiffe://", "system:", "system:serviceaccount:")


def stranger_problem(conditions: Iterable[ClaimCondition]) -> str | None:
    """Return why an entry would admit strangers, and the remedy; None where one of its conditions says whose it is."""
    conditions = tuple(conditions)
    if any(all(_says_whose(condition.claim, pattern) for pattern in condition.patterns) for condition in conditions):
        return None
    if not any(pattern.has_literal for condition in conditions for pattern in condition.patterns):
        return (
            "every claim may be anything, so any token of the provider would do: name a value, of sub or repository say"
        )
    return (
        "no claim says whose workload it is, so that of a stranger would do: add one, such as repository_owner_id, "
        "repository, project_id, project_path or sub, in which the owner is written out"
    )


def doubts(workload: Workload) -> tuple[str, ...]:
    """Return what is lawful in an entry but probably not meant, each with the remedy."""
    claims = {condition.claim: condition.patterns for condition in workload.conditions}
    subjects = claims.get("sub", ())
    telling = set(claims)
    if any(_ANY_MOMENT.fullmatch(pattern.text) for pattern in subjects):
        telling.discard("sub")
    return (*_github_doubts(telling, subjects), *_gitlab_doubts(telling, subjects), *_other_doubts(claims))


def _says_whose(claim: str, pattern: ClaimPattern) -> bool:
    if not pattern.has_literal or claim in SAYS_NOT_WHOSE:
        return False
    if claim in _OWNED:
        return pattern.is_literal or "/" in pattern.literal_prefix
    return claim != "sub" or _subject_says_whose(pattern)


def _subject_says_whose(pattern: ClaimPattern) -> bool:
    prefix = pattern.literal_prefix
    # A subject may be made of claims by template: `environment:production`, `repository_owner_id:65:ref:...`.
    if not prefix or any(prefix.startswith(f"{claim}:") for claim in SAYS_NOT_WHOSE):
        return False
    if pattern.is_literal:
        return True
    for scheme in _SUBJECT_SCHEMES:
        if scheme.startswith(prefix):
            return False
        if prefix.startswith(scheme):
            return not _OWNER_ENDS.isdisjoint(prefix[len(scheme) :])
    return True


def _github_doubts(claims: set[str], subjects: tuple[ClaimPattern, ...]) -> Iterable[str]:
    by_subject = any(pattern.text.startswith("repo:") for pattern in subjects)
    if not (by_subject or claims & (_GITHUB_NAMES | _GITHUB_IDS)):
        return
    if claims.isdisjoint(_GITHUB_IDS) and not (
        by_subject and all(_IMMUTABLE_GITHUB_SUBJECT.match(pattern.text) for pattern in subjects)
    ):
        yield (
            "knows its owner by name only, and a name that is given up can be taken by somebody else: "
            "add repository_owner_id or repository_id"
        )
    if claims.isdisjoint(_GITHUB_MOMENTS):
        yield (
            "admits every branch, tag and pull request: add ref, environment or event_name "
            '(`ref: "**"` says that this is meant)'
        )


def _gitlab_doubts(claims: set[str], subjects: tuple[ClaimPattern, ...]) -> Iterable[str]:
    by_subject = any(pattern.text.startswith("project_path:") for pattern in subjects)
    if not (by_subject or claims & (_GITLAB_NAMES | _GITLAB_IDS)):
        return
    if claims.isdisjoint(_GITLAB_IDS):
        yield (
            "knows its project by name only, and a name that is given up can be taken by somebody else: "
            "add project_id or namespace_id"
        )
    if claims.isdisjoint(_GITLAB_MOMENTS):
        yield (
            "admits every branch, tag and merge request: add ref_path, ref_protected or environment "
            '(`ref: "**"` says that this is meant)'
        )
    elif "ref" in claims and "sub" not in claims and claims.isdisjoint(_GITLAB_REF_KINDS):
        yield "admits a tag that is called like the branch: add ref_type or ref_protected, or use ref_path"


def _other_doubts(claims: dict[str, tuple[ClaimPattern, ...]]) -> Iterable[str]:
    subjects = claims.get("sub", ())
    accounts = [pattern for pattern in subjects if pattern.text.startswith("system:serviceaccount:")]
    namespaced = "/kubernetes.io/namespace" in claims or bool(accounts)
    if "/kubernetes.io/serviceaccount/name" in claims and not namespaced:
        yield "admits a service account of that name in every namespace: add /kubernetes.io/namespace"
    if any(_is_whole_issuer(pattern) for pattern in subjects):
        yield "admits every workload of the provider: write out more of sub, such as the namespace or the path"
    elif any(_SERVICE_ACCOUNT.match(pattern.text) is None for pattern in accounts):
        yield "admits service accounts of several namespaces: write out the namespace in sub"


def _is_whole_issuer(pattern: ClaimPattern) -> bool:
    prefix = pattern.literal_prefix
    return prefix in _WHOLE_ISSUERS and not pattern.text.removeprefix(prefix).strip("*/:")
