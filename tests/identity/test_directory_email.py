"""An address finds its person letter for letter, but for the case of ASCII letters."""

import string
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from identity.accounts import linkable_email
from identity.directory import Directory, Person
from identity.directory_file import load_directory
from identity.provider_settings import ProviderSettings

ADDRESS = "alice.k@example.com"
ALICE = Person("alice")
DIRECTORY = Directory({}, {("corp", ADDRESS): ALICE})
CORP = ProviderSettings.model_validate(
    {
        "name": "corp",
        "issuer": "https://corp.example.com",
        "audiences": ["portcullis"],
        "email_domains": ["example.com"],
    }
)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _found(address: object, **claims: Any) -> Person | None:
    email = linkable_email({"email": address, "email_verified": True, **claims}, CORP)
    return DIRECTORY.find("corp", "anything", email)


@given(
    st.integers(0, len(ADDRESS)),
    st.integers(0, 2),
    # Look-alikes fold, lower or normalise to ASCII letters in careless code: Kelvin sign, dotless i, full width.
    st.sampled_from("\u212a\u0131\u0130\u017f\uff41\uff20\u3002\uff0e\u0430\u0435\u200b\u00ad\u2024\0\n @.")
    | st.characters(),
)
@example(6, 1, "\u212a")
@example(5, 1, "\u3002")
@example(7, 1, "\uff20")
@example(0, 0, "\u200b")
@example(len(ADDRESS), 0, "\n")
def test_no_look_alike_finds_a_person(place: int, replaced: int, character: str) -> None:
    """SECURITY-CASES 21: one character more, less or other is another address, whatever it looks like."""
    address = ADDRESS[:place] + character + ADDRESS[place + replaced :]
    assert (_found(address) == ALICE) == (address.translate(_LOWER) == ADDRESS)


@given(st.text(max_size=12), st.text(max_size=12))
def test_nothing_before_or_behind_it_finds_a_person(before: str, behind: str) -> None:
    """SECURITY-CASES 21: `a@evil.com@corp.com` and its like."""
    address = before + ADDRESS + behind
    assert (_found(address) == ALICE) == (not before and not behind)


def test_only_one_verified_text_finds_a_person() -> None:
    assert _found("Alice.K@EXAMPLE.com") == ALICE
    for address in (None, 7, [ADDRESS], {"0": ADDRESS}, "", f"{ADDRESS},{ADDRESS}", f"<{ADDRESS}>", f'"{ADDRESS}"'):
        assert _found(address) is None
    for verified in (False, None, "true", 1, [True]):
        assert _found(ADDRESS, email_verified=verified) is None


def test_a_look_alike_in_the_file_is_refused_not_linked(tmp_path: Path) -> None:
    """What is listed has one spelling too."""
    path = tmp_path / "identities.yaml"
    path.write_text("people: {alice: {accounts: [{provider: corp, email: ALICE.K@Example.com}]}}")
    assert load_directory(path).find("corp", "x", ADDRESS) == ALICE
