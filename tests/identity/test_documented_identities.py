"""What the documentation shows of identities.yaml loads, and the lint has nothing to say about it."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from identity.directory_file import load_directory
from identity.identities_schema import identities_schema
from identity.workload_habits import doubts

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(example, id=f"{page.relative_to(DOCS)}:{number}")
    for page in sorted(DOCS.glob("**/*.md"))
    for number, example in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
    if re.search(r"^(people|workloads):", example, re.MULTILINE)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_good(tmp_path: Path, example: str) -> None:
    path = tmp_path / "identities.yaml"
    path.write_text(example)
    directory = load_directory(path)
    assert [doubt for workload in directory.workloads for doubt in doubts(workload)] == []
    jsonschema.validate(yaml.safe_load(example), identities_schema())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
