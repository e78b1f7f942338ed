"""Imports point one way; these keep the lists that `make lint` works from complete."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEAMS = {"adapters.backend", "adapters.backend_settings", "adapters.credentials", "adapters.upstream"}


def contract(name: str) -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: dict[str, Any] = next(each for each in settings["contracts"] if each["name"] == name)
    return found


def modules(package: str) -> set[str]:
    files = {path.stem for path in (ROOT / package).glob("*.py") if path.stem != "__init__"}
    packages = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    return {f"{package}.{name}" for name in files | packages}


def test_the_policy_engine_is_kept_from_every_other_part_of_the_gateway() -> None:
    forbidden = set(contract("the policy engine imports identity only")["forbidden_modules"])
    assert forbidden == (modules("gateway") - {"gateway.policy"}) | {"adapters", "audit"}


def test_every_adapter_but_the_seams_is_for_the_composition_root_alone() -> None:
    forbidden = set(contract("only gateway.app imports concrete adapters")["forbidden_modules"])
    assert forbidden == modules("adapters") - SEAMS
