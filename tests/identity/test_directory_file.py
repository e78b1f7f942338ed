"""identities.yaml: who owns which account, and every mistake told with its line."""

from pathlib import Path

import pytest

from identity.authenticator import InvalidCredentialError
from identity.directory import Account, Person
from identity.directory_file import DirectoryError, load_directory

GOOD = """\
people:
  alice:
    accounts:
      - {provider: corp, subject: "248289761001"}
      - {provider: partner, email: Alice@example.com}
  bob:
    deactivated: true
    accounts:
      - {provider: corp, subject: "248289761002"}
"""


def _load(tmp_path: Path, text: str | bytes) -> list[tuple[int, str]]:
    path = tmp_path / "identities.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DirectoryError) as caught:
        load_directory(path)
    assert all(file == str(path) for file, _, _ in caught.value.findings)
    return [(line, message) for _, line, message in caught.value.findings]


def test_a_person_is_found_by_every_one_of_their_accounts(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(GOOD)
    directory = load_directory(path)
    assert directory.find("corp", "248289761001", None) == Person("alice")
    assert directory.find("partner", "anything", "alice@example.com") == Person("alice")
    assert directory.find("partner", "248289761001", None) is None
    assert directory.find("corp", "anything", "alice@example.com") is None


def test_a_person_is_known_with_their_accounts_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(GOOD.replace("  alice:\n", "  alice:\n    name: Alice Example\n"))
    directory = load_directory(path)
    alice, bob = directory.person("alice"), directory.person("bob")
    assert alice is not None
    assert bob is not None
    assert (alice.name, alice.line, alice.deactivated) == ("Alice Example", 2, False)
    assert alice.accounts == (
        Account("corp", "subject", "248289761001"),
        Account("partner", "email", "alice@example.com"),
    )
    assert [account.line for account in alice.accounts] == [5, 6]
    assert (bob.name, bob.line, bob.deactivated) == (None, 7, True)
    assert directory.person("carol") is None


def test_an_owner_is_told_even_where_they_are_deactivated(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(GOOD)
    owner = load_directory(path).owner("corp", "248289761002", None)
    assert owner is not None
    assert (owner.id, owner.deactivated) == ("bob", True)


def test_a_deactivated_person_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(GOOD)
    with pytest.raises(InvalidCredentialError) as caught:
        load_directory(path).find("corp", "248289761002", None)
    assert caught.value.code == "person_deactivated"


def test_an_account_whose_subject_and_address_are_two_people_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(
        "people:\n  alice: {accounts: [{provider: corp, subject: '1'}]}\n"
        "  bob: {accounts: [{provider: corp, email: bob@example.com}]}\n"
    )
    directory = load_directory(path)
    assert directory.find("corp", "1", "carol@example.com") == Person("alice")
    with pytest.raises(InvalidCredentialError) as caught:
        directory.find("corp", "1", "bob@example.com")
    assert caught.value.code == "ambiguous_person"


@pytest.mark.parametrize("text", [None, "", "# nobody yet\n", "people: {}\n"])
def test_no_file_and_no_people_are_an_empty_directory(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "identities.yaml"
    if text is not None:
        path.write_text(text)
    assert load_directory(path).find("corp", "1", None) is None


def test_one_account_of_two_people_is_a_conflict_with_both_lines(tmp_path: Path) -> None:
    text = GOOD + "  carol:\n    accounts:\n      - {provider: partner, email: ALICE@example.com}\n"
    assert _load(tmp_path, text) == [
        (12, "the email 'alice@example.com' at partner belongs to 'alice' (line 5) and to 'carol'")
    ]


def test_a_key_given_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    text = GOOD + "  alice:\n    accounts:\n      - {provider: corp, subject: '9'}\n"
    assert _load(tmp_path, text) == [(10, "people: the key 'alice' is already on line 2")]


def test_every_mistake_is_told_at_once_in_file_order(tmp_path: Path) -> None:
    text = """\
persons: {}
people:
  Alice:
    accounts: [{provider: corp, subject: "1"}]
  "bo:b":
    accounts: [{provider: corp, subject: "1"}]
  carol:
    accounts:
      - {provider: corp, subject: 248289761001}
      - {provider: corp}
      - {provider: corp, subject: "1", email: carol@example.com}
      - {provider: Corp, subject: "1"}
      - {provider: corp, email: "a@evil.com@corp.com"}
      - {provider: corp, sub: "1"}
      - corp
    deactivated: yes
  dave: {}
  erin: {accounts: []}
  frank: nobody
  7: {accounts: [{provider: corp, subject: "7"}]}
  grace: {accounts: [{provider: corp, subject: "8"}, {provider: corp, subject: "8"}]}
"""
    assert [line for line, _ in _load(tmp_path, text)] == [1, 3, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("people:\n  alice: [\n", 3),
        ("people: !!python/object:os.system {}\n", 1),
        ("- alice\n", 1),
        ("people:\n  - alice\n", 2),
        (b"people: \xff\n", 1),
        ("people: {}\n---\npeople: {}\n", 2),
        ("people: \x07\n", 1),
        ("[" * 2000, 1),
    ],
)
def test_what_is_not_such_a_file_is_refused_with_a_line(tmp_path: Path, text: str | bytes, line: int) -> None:
    findings = _load(tmp_path, text)
    assert findings[0][0] == line


def test_a_directory_in_place_of_the_file_is_unreadable_not_empty(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="can't be read"):
        load_directory(tmp_path)
