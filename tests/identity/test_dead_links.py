"""Links that can't match with the providers' settings are named, each reason once, by the line of the first."""

from pathlib import Path

from identity.dead_links import DeadLink, dead_links
from identity.directory import Directory, Person
from identity.directory_file import load_directory
from identity.provider_settings import ProviderSettings

TEXT = """\
people:
  alice:
    accounts: [{provider: corp, subject: '1'}]
  bob:
    accounts:
      - {provider: corp, email: Bob@Example.com}
      - {provider: corp, subject: '2'}
workloads:
  a: {provider: github, claims: {sub: x}}
"""


def provider(name: str, **settings: object) -> ProviderSettings:
    given = {"name": name, "issuer": f"https://{name}.example.com", "audiences": ["portcullis"], **settings}
    return ProviderSettings.model_validate(given)


GITHUB = provider("github", tokens="workloads")


def directory(tmp_path: Path) -> Directory:
    path = tmp_path / "identities.yaml"
    path.write_text(TEXT)
    return load_directory(path)


def test_what_can_match_is_no_dead_link(tmp_path: Path) -> None:
    assert dead_links(directory(tmp_path), [provider("corp", email_domains=["example.com"]), GITHUB]) == ()


def test_a_provider_that_is_not_configured(tmp_path: Path) -> None:
    assert dead_links(directory(tmp_path), []) == (
        DeadLink(3, "an account is linked at the provider 'corp', which is not configured (3 of them)"),
        DeadLink(9, "a workload is defined at the provider 'github', which is not configured"),
    )


def test_an_address_of_a_domain_for_which_the_provider_is_not_believed(tmp_path: Path) -> None:
    (found,) = dead_links(directory(tmp_path), [provider("corp", email_domains=["mail.example.com"]), GITHUB])
    assert found.line == 6
    assert found.message.endswith("by an address of example.com, which its email_domains lack")
    (found,) = dead_links(directory(tmp_path), [provider("corp"), GITHUB])
    assert found.message.endswith("by an address, but the provider has no email_domains")


def test_a_provider_of_the_other_kind(tmp_path: Path) -> None:
    people = provider("github")
    assert [link.line for link in dead_links(directory(tmp_path), [provider("corp", tokens="workloads"), people])] == [
        3,
        9,
    ]


def test_a_person_whose_accounts_have_no_lines_stands_for_them() -> None:
    assert [link.line for link in dead_links(Directory({("x", "1"): Person("alice", line=7)}, {}), [])] == [7]
