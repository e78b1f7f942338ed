"""Every configuration and people file that a how-to page shows is one that loads."""

import re
from pathlib import Path

import pytest
import yaml

from identity.directory_file import load_directory
from identity.provider_settings import ProviderSettings, provider_conflicts

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(HOW_TO.glob("*.md"))
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_what_a_page_shows_loads(block: str, tmp_path: Path) -> None:
    document = yaml.safe_load(block)
    if "identity" in document:
        providers = [ProviderSettings.model_validate(entry) for entry in document["identity"]["providers"]]
        assert providers
        assert provider_conflicts(providers) == ()
    else:
        path = tmp_path / "identities.yaml"
        path.write_text(block)
        directory = load_directory(path)
        entries = document.get("people", {}).values(), document.get("workloads", {}).values()
        assert any(entries)
        for person in document.get("people", {}).values():
            for account in person["accounts"]:
                assert directory.find(account["provider"], account.get("subject", "x"), account.get("email"))


def test_every_provider_of_the_how_tos_is_in_their_index() -> None:
    index = (HOW_TO / "README.md").read_text()
    for page in HOW_TO.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index
