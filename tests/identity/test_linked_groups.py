"""One person, two providers that disagree about their groups: those of the provider that vouched count."""

from pathlib import Path

from identity.directory_file import load_directory
from tests.identity.issuer import Issuer, World, code_of, in_world

CORP, PARTNER = Issuer("corp"), Issuer("partner")
IDENTITIES = """\
people:
  alice:
    accounts:
      - {provider: corp, subject: "1"}
      - {provider: partner, email: alice@example.com}
"""


def test_a_requests_groups_are_those_of_the_provider_that_vouched(tmp_path: Path) -> None:
    """Never a union: what one provider says of a person, a token of another does not carry."""
    path = tmp_path / "identities.yaml"
    path.write_text(IDENTITIES)

    async def story(world: World) -> None:
        by_corp = await world.federation.authenticate(CORP.token(sub="1", groups=["dev", "ops"]))
        by_partner = await world.federation.authenticate(
            PARTNER.token(sub="9", email="Alice@example.com", email_verified=True, groups=["guests", "ops"])
        )
        assert by_corp.subject == by_partner.subject == "user:alice"
        assert by_corp.groups == ("group:corp:dev", "group:corp:ops")
        assert by_partner.groups == ("group:partner:guests", "group:partner:ops")
        # Seen again, from memory: still each its own.
        assert (
            await world.federation.authenticate(CORP.token(sub="1", groups=["dev", "ops"]))
        ).groups == by_corp.groups

    settings = [CORP.settings(), PARTNER.settings(email_domains=["example.com"])]
    in_world(story, CORP, PARTNER, settings=settings, directory=load_directory(path))


def test_deactivation_reaches_every_account_of_a_person(tmp_path: Path) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(IDENTITIES)
    settings = [CORP.settings(), PARTNER.settings(email_domains=["example.com"])]

    async def story(world: World) -> None:
        by_corp = CORP.token(sub="1")
        by_partner = PARTNER.token(sub="9", email="alice@example.com", email_verified=True)
        assert (await code_of(world, by_corp), await code_of(world, by_partner)) == (None, None)
        path.write_text(IDENTITIES.replace("  alice:\n", "  alice:\n    deactivated: true\n"))
        world.federation.use_directory(load_directory(path))
        for token in (by_corp, by_partner):
            assert await code_of(world, token) == "person_deactivated"

    in_world(story, CORP, PARTNER, settings=settings, directory=load_directory(path))
