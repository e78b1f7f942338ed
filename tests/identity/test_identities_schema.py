"""An editor's schema and the loader say the same of a file, where form alone decides."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from identity.accounts import normalise_email
from identity.directory_file import DirectoryError, load_directory
from identity.identities_schema import EMAIL_PATTERN, identities_schema

SHIPPED = Path(__file__).parents[2] / "policies"
VALIDATOR = jsonschema.Draft202012Validator(identities_schema())

PERSON = "people: {alice: {accounts: [%s]}}"
CLAIMS = "workloads: {deploy: {provider: github, claims: %s}}"

GOOD = [
    "",
    "people: {}",
    "workloads: {}",
    "people: {}\nworkloads: {}",
    PERSON % "{provider: corp, subject: '1'}",
    PERSON % "{provider: corp, email: Alice@example.com}",
    "people: {alice: {name: Alice Examplé, deactivated: true, accounts: [{provider: corp, subject: x}]}}",
    CLAIMS % "{repository: example/payments}",
    CLAIMS % "{repository_id: 74, ref: '**'}",
    CLAIMS % "{repository: [example/a, example/b], ref_protected: true}",
    CLAIMS % "{/kubernetes.io/namespace: payments}",
    CLAIMS % "{/a~1b/c~0d: x}",
    CLAIMS % "{'https://example.com/team': payments}",
    CLAIMS % "{sub: 'repo:example/payments:ref:refs/heads/*'}",
    CLAIMS % "{sub: 'spiffe://example.com/ns/*/sa/deploy'}",
]
BAD = [
    "[]",
    "persons: {}",
    "people:",
    "people: []",
    "people: {Alice: {accounts: [{provider: corp, subject: '1'}]}}",
    "people: {'a:b': {accounts: [{provider: corp, subject: '1'}]}}",
    "people: {alice: {}}",
    "people: {alice: {accounts: []}}",
    "people: {alice: {accounts: {provider: corp, subject: '1'}}}",
    "people: {alice: {accounts: [{provider: corp, subject: '1'}], deactivated: 'yes'}}",
    "people: {alice: {accounts: [{provider: corp, subject: '1'}], name: 7}}",
    "people: {alice: {accounts: [{provider: corp, subject: '1'}], name: ''}}",
    'people: {alice: {accounts: [{provider: corp, subject: "1"}], name: "a\\tb"}}',
    "people: {alice: {accounts: [{provider: corp, subject: '1'}], admin: true}}",
    PERSON % "{provider: corp}",
    PERSON % "{subject: '1'}",
    PERSON % "{provider: corp, subject: 248289761001}",
    PERSON % "{provider: corp, subject: ''}",
    PERSON % "{provider: corp, subject: '1', email: alice@example.com}",
    PERSON % "{provider: Corp, subject: '1'}",
    PERSON % "{provider: corp, sub: '1'}",
    PERSON % "{provider: corp, email: a@evil.com@corp.com}",
    PERSON % "{provider: corp, email: alice}",
    PERSON % "{provider: corp, email: \u0430lice@example.com}",
    "workloads: {Deploy: {provider: github, claims: {sub: x}}}",
    "workloads: {deploy: {claims: {sub: x}}}",
    "workloads: {deploy: {provider: github}}",
    "workloads: {deploy: {provider: github, claims: {sub: x}, deactivated: true}}",
    "workloads: {deploy: {provider: 'a:b', claims: {sub: x}}}",
    CLAIMS % "{}",
    CLAIMS % "[sub]",
    CLAIMS % "{sub: ''}",
    CLAIMS % "{sub: []}",
    CLAIMS % "{sub: null}",
    CLAIMS % "{sub: 1.5}",
    CLAIMS % "{sub: {a: b}}",
    CLAIMS % "{sub: [[x]]}",
    CLAIMS % "{sub: 'a***'}",
    CLAIMS % '{sub: "a\\nb"}',
    CLAIMS % ("{sub: '" + "x" * 513 + "'}"),
    CLAIMS % "{sub: x, iss: 'https://example.com'}",
    CLAIMS % "{sub: x, exp: 1}",
    CLAIMS % "{'': x}",
    CLAIMS % "{/: x}",
    CLAIMS % "{/a//b: x}",
    CLAIMS % "{/a~2: x}",
    CLAIMS % "{sub: '**'}",
    CLAIMS % "{sub: [x, '*']}",
    CLAIMS % "{ref: refs/heads/main, environment: production}",
    CLAIMS % "{ref: refs/heads/main, repository: '*/*'}",
    CLAIMS % ("{" + ", ".join(f"c{number}: x" for number in range(33)) + "}"),
    CLAIMS % ("{sub: [" + ", ".join(["x"] * 101) + "]}"),
]
# What the form does not show. The loader refuses all of these.
BEYOND_FORM = [
    "people: {a: {accounts: [{provider: corp, subject: '1'}]}, b: {accounts: [{provider: corp, subject: '1'}]}}",
    CLAIMS % "{repository: 'ex*/payments'}",
    CLAIMS % "{sub: 'repo:**'}",
    CLAIMS % "{repository_id: 0x10}",
    CLAIMS % "{sub: x, ref_protected: yes}",
]


def _loads(directory: Path, text: str) -> bool:
    path = directory / "identities.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_directory(path)
    except DirectoryError:
        return False
    return True


@pytest.mark.parametrize("text", GOOD)
def test_what_loads_is_good_to_the_schema(tmp_path: Path, text: str) -> None:
    assert _loads(tmp_path, text)
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize("text", BAD)
def test_what_has_a_wrong_form_is_bad_to_both(tmp_path: Path, text: str) -> None:
    assert not _loads(tmp_path, text)
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("text", BEYOND_FORM)
def test_what_form_does_not_show_only_loading_tells(tmp_path: Path, text: str) -> None:
    assert not _loads(tmp_path, text)
    assert VALIDATOR.is_valid(yaml.safe_load(text))


@given(
    st.one_of(
        st.from_regex(r"[a-zA-Z.+@\"\u0430-]{1,12}@[a-zA-Z.-]{1,12}", fullmatch=True),
        st.emails(),
        st.text(max_size=20),
    )
)
def test_an_address_is_one_to_both_or_to_neither(address: str) -> None:
    """SECURITY-CASES 21: the editor promises nothing that loading refuses."""
    is_address = re.search(EMAIL_PATTERN, address) is not None and len(address) <= 254 and "\n" not in address
    assert is_address == (normalise_email(address) is not None)


def test_it_is_a_schema_and_the_checked_in_file_is_it() -> None:
    jsonschema.Draft202012Validator.check_schema(identities_schema())
    assert json.loads((SHIPPED / "identities.schema.json").read_text()) == identities_schema()
    VALIDATOR.validate(yaml.safe_load((SHIPPED / "identities.yaml").read_text()))
