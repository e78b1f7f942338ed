"""Bundles written for one test."""

from pathlib import Path

from gateway.policy.bundle import load_bundle
from gateway.policy.engine import PolicyEngine
from gateway.policy.findings import BundleError
from gateway.policy.request import AccessRequest, ContextValue

SHIPPED = Path(__file__).parents[3] / "policies"
SHIPPED_MODEL = (SHIPPED / "model.conf").read_text("utf-8")


def write_bundle(
    root: Path,
    rules: str | bytes = "",
    *,
    model: str | bytes = SHIPPED_MODEL,
    tests: str | bytes | None = None,
    identities: str | None = None,
) -> Path:
    """Write a bundle with one rule file (`rules/a.csv`) and return its directory."""
    (root / "rules").mkdir(parents=True, exist_ok=True)
    _write(root / "model.conf", model)
    _write(root / "rules" / "a.csv", rules)
    if tests is not None:
        (root / "tests").mkdir(exist_ok=True)
        _write(root / "tests" / "a.yaml", tests)
    if identities is not None:
        _write(root / "identities.yaml", identities)
    return root


def engine_of(root: Path, rules: str, *, model: str = SHIPPED_MODEL) -> PolicyEngine:
    """Return an engine over a bundle with these rules."""
    return PolicyEngine(load_bundle(write_bundle(root, rules, model=model)))


def problems(root: Path) -> list[str]:
    """Return what loading the bundle finds wrong, one text a finding."""
    try:
        load_bundle(root)
    except BundleError as error:
        return [str(finding) for finding in error.findings]
    return []


def ask(
    subject: str = "user:alice",
    action: str = "read",
    resource: str = "logs/payments",
    *,
    environment: str = "prod",
    groups: tuple[str, ...] = (),
    context: dict[str, ContextValue] | None = None,
) -> AccessRequest:
    """Return a request."""
    return AccessRequest(subject, groups, environment, resource, action, context or {})


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
