import re
from pathlib import Path

from tests.demo.story import story
from tests.demo.world import World

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
# Who commits is the demo's own affair: a reader has a git identity.
IDENTITY = re.compile(r" -c user\.[a-z]+=('[^']*'|\S+)| --quiet")


def test_every_command_of_the_tutorial_is_one_that_the_demo_runs(tmp_path: Path) -> None:
    steps = story(World(tmp_path, lambda part: None))
    commands = [command for step in steps for command in step.commands]
    typed = {(c.who, IDENTITY.sub("", line)) for c in commands for line in c.line.split("\n")}

    told = re.findall(r"^([a-z-]+)\$ (.*)$", TUTORIAL.read_text(), re.MULTILINE)

    assert len(told) > 10
    assert [line for line in told if line not in typed] == []
