"""The policy of a run: as many rules as asked for, few of which concern the bench's caller."""

import shutil
from pathlib import Path

from tests.bench.credentials import GROUPS

PROVIDER = "corp"
ENVIRONMENT = "prod"
BACKEND = "bench"
_TEAMS = 50
_MODEL = Path(__file__).resolve().parents[2] / "policies" / "model.conf"


def write_policies(directory: Path, count: int) -> None:
    """Write a bundle with the shipped model and `count` rules; the one that lets the caller read stands in the middle.

    The caller has a role through each of the three groups in the token.
    """
    (directory / "rules").mkdir(parents=True)
    shutil.copy(_MODEL, directory / "model.conf")
    rules = [
        f"p, role:team-{number % _TEAMS:02d}, {ENVIRONMENT}, {BACKEND}/service-{number:06d}/**, read, allow,"
        for number in range(count - 2)
    ]
    middle = len(rules) // 2
    rules[middle:middle] = [
        f"p, role:payments-reader, {ENVIRONMENT}, {BACKEND}/payments, read, allow,",
        f"p, role:bulk-mover, {ENVIRONMENT}, {BACKEND}/bulk, *, allow,",
    ]
    links = [
        f"g, group:{PROVIDER}:{group}, {role}"
        for group, role in zip(GROUPS, ("role:payments-reader", "role:bulk-mover", "role:team-07"), strict=True)
    ]
    (directory / "rules" / "bench.csv").write_text("\n".join([*rules, *links]) + "\n")
