"""The documentation says what is there: codes, rules, metrics, targets of links and make targets."""

import re
from pathlib import Path

import httpx
import pytest

from gateway.problems import PROBLEMS
from gateway.target import RULES
from identity.rejections import REJECTIONS
from tests.parts.front import Front

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("policies/*.md")])
API = (ROOT / "docs/reference/api.md").read_text()


def test_every_problem_code_is_documented_with_its_status() -> None:
    documented = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", API, re.MULTILINE))
    assert documented == {code: str(kind.status) for code, kind in PROBLEMS.items()}


def test_every_problem_code_is_used() -> None:
    code = "".join(path.read_text() for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("adapters/upstream.py")])
    for name in PROBLEMS:
        assert code.count(f'"{name}"') > 1 or f'code = "{name}"' in code, f"{name} is in the table only"


def test_every_target_rule_is_documented() -> None:
    section = API.partition("## Targets")[2].partition("## Problems")[0]
    documented = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`([a-z0-9_]+)`", row)
    }
    assert documented == set(RULES)


def test_every_metric_is_documented(front: Front) -> None:
    httpx.get(f"{front.gateway.url}/raw/open/x", headers={"Authorization": f"Bearer {front.token}"})
    exposed = httpx.get(f"{front.gateway.url}/-/metrics").text
    names = set(re.findall(r"^(portcullis_[a-z_]+)[ {]", exposed, re.MULTILINE))
    documented = set(re.findall(r"^\| `(portcullis_[a-z_]+)` \|", API, re.MULTILINE))
    assert names == documented


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"`make ([a-z-]+)", page.read_text()):
            assert name in targets, f"{page}: make {name}"


def test_every_reason_to_refuse_a_token_is_documented() -> None:
    page = (ROOT / "docs/reference/identity.md").read_text().partition("## Why a token was refused")[2]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert documented == {*REJECTIONS, "malformed_credential", "ambiguous_credential"}
