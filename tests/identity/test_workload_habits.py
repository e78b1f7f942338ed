"""Entries that would admit strangers are refused, and those that one day might are told."""

from pathlib import Path

import pytest

from identity.directory_file import DirectoryError, load_directory
from identity.workload_habits import doubts


def _file(tmp_path: Path, claims: str) -> Path:
    path = tmp_path / "identities.yaml"
    path.write_text(f"workloads:\n  ci:\n    provider: github\n    claims: {claims}\n")
    return path


@pytest.mark.parametrize(
    "claims",
    [
        "{}",
        '{sub: "**"}',
        '{sub: "*"}',
        '{sub: "*:*/**"}',
        '{sub: ["repo:example/payments:ref:refs/heads/main", "**"]}',
        '{repository: "*/*", ref: "**"}',
    ],
)
def test_wildcards_alone_are_refused_with_line_and_remedy(tmp_path: Path, claims: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        load_directory(_file(tmp_path, claims))
    (finding,) = caught.value.findings
    assert finding.line == 2
    assert "would do: name a value" in finding.message or "would do: add one" in finding.message


@pytest.mark.parametrize(
    "claims",
    [
        # Anybody has a main branch, an environment `production`, and may call a public workflow.
        "{ref: refs/heads/main}",
        "{ref: refs/heads/main, environment: production, ref_protected: true}",
        "{job_workflow_ref: example/automation/.github/workflows/release.yml@refs/heads/main}",
        "{actor: alice}",
        "{groups_direct: example/platform, ref: main}",
        "{aud: portcullis}",
        # The owner is a wildcard, or only begins like ours.
        '{repository: "*/payments"}',
        '{repository: "ex*/payments"}',
        '{repository: "**/payments", environment: production}',
        '{repository_owner: "example*"}',
        '{repository_owner_id: "6*"}',
        '{project_path: "example**"}',
        '{sub: "r**"}',
        '{sub: "repo:**"}',
        '{sub: "repo:*/payments:ref:refs/heads/main"}',
        '{sub: "repo:example*/payments:ref:refs/heads/main"}',
        '{sub: "project_path:example**"}',
        '{sub: "**:ref:refs/heads/main"}',
        '{sub: "repository_owner_id:6*:ref:refs/heads/main"}',
        '{sub: "environment:production:ref:refs/heads/main"}',
        '{sub: "job_workflow_ref:example/automation/**"}',
        '{repository: [example/payments, "*/payments"]}',
    ],
)
def test_an_entry_that_does_not_say_whose_it_is_is_refused(tmp_path: Path, claims: str) -> None:
    """Shared issuers sign for everybody: such an entry would admit the whole world."""
    with pytest.raises(DirectoryError, match="that of a stranger would do: add one"):
        load_directory(_file(tmp_path, claims))


@pytest.mark.parametrize(
    "claims",
    [
        "{repository: example/payments}",
        '{repository: "example/*"}',
        "{repository_owner: example}",
        "{repository_owner_id: 65, job_workflow_ref: example/automation/.github/workflows/release.yml@refs/heads/main}",
        '{sub: "repo:example/**"}',
        '{sub: "repo:example@*/payments@*:ref:refs/heads/main"}',
        '{sub: "repository_owner_id:65:**"}',
        '{sub: "system:serviceaccount:payments:*"}',
        '{sub: "spiffe://example.com/**"}',
        '{sub: "nightly-*"}',
        '{client_id: "nightly-*"}',
        "{/kubernetes.io/namespace: payments}",
        "{enterprise_id: 2}",
    ],
)
def test_an_entry_that_says_whose_it_is_loads(tmp_path: Path, claims: str) -> None:
    assert load_directory(_file(tmp_path, claims)).has_workload("github", "ci")


def _doubts(tmp_path: Path, claims: str) -> list[str]:
    return [doubt.partition(":")[0] for doubt in doubts(load_directory(_file(tmp_path, claims)).workloads[0])]


OWNER = "knows its owner by name only, and a name that is given up can be taken by somebody else"
PROJECT = "knows its project by name only, and a name that is given up can be taken by somebody else"
EVERY_PULL = "admits every branch, tag and pull request"
EVERY_MERGE = "admits every branch, tag and merge request"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ("{repository: example/payments}", [OWNER, EVERY_PULL]),
        ("{repository: example/payments, ref: refs/heads/main}", [OWNER]),
        ("{repository: example/payments, repository_id: 74}", [EVERY_PULL]),
        ('{repository: example/payments, repository_owner_id: 65, ref: "**"}', []),
        ("{repository_id: 74, environment: production}", []),
        ('{sub: "repo:example/payments:ref:refs/heads/main"}', [OWNER]),
        ('{sub: "repo:example/payments:**"}', [OWNER, EVERY_PULL]),
        ('{sub: "repo:example@65/payments@74:ref:refs/heads/main"}', []),
        ('{sub: ["repo:example@65/a@74:ref:x", "repo:example/a:ref:x"]}', [OWNER]),
        ("{project_path: example/payments}", [PROJECT, EVERY_MERGE]),
        ("{project_id: 20, ref: main}", ["admits a tag that is called like the branch"]),
        ("{project_id: 20, ref: main, ref_type: branch}", []),
        ("{project_id: 20, ref_path: refs/heads/main}", []),
        ('{sub: "project_path:example/payments:ref_type:branch:ref:main", namespace_id: 72}', []),
        ("{/kubernetes.io/serviceaccount/name: deploy}", ["admits a service account of that name in every namespace"]),
        ("{/kubernetes.io/serviceaccount/name: deploy, /kubernetes.io/namespace: payments}", []),
        ('{sub: "system:serviceaccount:**"}', ["admits every workload of the provider"]),
        ('{sub: "system:serviceaccount:*:*"}', ["admits every workload of the provider"]),
        ('{sub: "system:serviceaccount:*:deploy"}', ["admits service accounts of several namespaces"]),
        ('{sub: "system:serviceaccount:pay*:deploy"}', ["admits service accounts of several namespaces"]),
        ('{sub: "system:serviceaccount:payments:*"}', []),
        ('{sub: "spiffe://**"}', ["admits every workload of the provider"]),
        ('{sub: "spiffe://example.com/ns/payments/**"}', []),
        ("{client_id: nightly}", []),
    ],
)
def test_what_is_lawful_but_probably_not_meant_is_told(tmp_path: Path, claims: str, expected: list[str]) -> None:
    assert _doubts(tmp_path, claims) == expected
