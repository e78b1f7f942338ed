"""identities.yaml: every mistake in a workload told with its line, beside those of the people."""

from pathlib import Path

import pytest

from identity.directory_file import DirectoryError, load_directory

MISTAKES = """\
people:
  alice: {accounts: []}
workloads:
  Deploy: {provider: github, claims: {sub: x}}
  a: {provider: github}
  b: {claims: {sub: x}}
  c: []
  d: {provider: Git:Hub, claims: {sub: x}}
  e: {provider: github, claims: [sub]}
  f:
    provider: github
    claims:
      sub: x
      iss: https://example.com
      /a~: x
      ref: [main, [x]]
      environment: yes
      run_id: 0123
      run_number: 1_000
      actor: ~
      sha: "a***"
      head_ref: []
  g: {provider: github, claims: {sub: x}, roles: [admin]}
  h: {provider: github, claims: {sub: x}}
  h: {provider: github, claims: {sub: y}}
  i: {provider: github, claims: {7: x, sub: y}}
"""


def test_every_mistake_is_told_at_once_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(MISTAKES)
    with pytest.raises(DirectoryError) as caught:
        load_directory(path)
    lines = [finding.line for finding in caught.value.findings]
    assert lines == [2, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26]
    messages = {finding.line: finding.message for finding in caught.value.findings}
    assert messages[5] == "the workload 'a' needs a provider and claims"
    assert messages[14] == "the workload 'f': iss is the provider's, which `provider` names; leave it out"
    assert messages[17].endswith("must be a text, a whole number, true or false: put it in quotes")
    assert messages[25] == "workloads: the key 'h' is already on line 24"


def test_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    claims = ", ".join(f"c{number}: x" for number in range(33))
    path.write_text(f"workloads: {{a: {{provider: x, claims: {{{claims}, sub: [{', '.join(['x'] * 101)}]}}}}}}")
    with pytest.raises(DirectoryError, match="more than 32 claims") as caught:
        load_directory(path)
    assert "more than 100 patterns" in str(caught.value)
