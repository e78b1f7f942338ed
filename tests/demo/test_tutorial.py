"""The tutorial's commands are the demo's, so that they are known to work."""

import re
from pathlib import Path

from tests.demo.story import story
from tests.demo.world import World

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_every_command_of_the_tutorial_is_one_that_the_demo_runs(tmp_path: Path) -> None:
    steps = story(World(tmp_path, lambda part: None))
    commands = [command for step in steps for command in step.commands]
    typed = {(c.who, line.replace(" --quiet", "")) for c in commands for line in c.line.split("\n")}

    told = re.findall(r"^([a-z-]+)\$ (.*)$", TUTORIAL.read_text(), re.MULTILINE)

    assert len(told) > 10
    assert [line for line in told if line not in typed] == []
