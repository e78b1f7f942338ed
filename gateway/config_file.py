"""A YAML file read with the line of every key, and what is wrong with it told by file and line.

The file is plain YAML 1.2: mappings, lists, text, whole numbers, decimals, `true`, `false` and `null`. `yes`,
`on`, `12:30` and `2026-01-01` are therefore text, as they look. Anchors, aliases and tags are refused: a
value stands where its line says, and no small file unfolds into a large one.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

Location = tuple[int | str, ...]
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

_WORDS: dict[str, Value] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong: where (line 0: the file as a whole), and what to do about it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ConfigError(Exception):
    """The configuration can't be used; `findings` names everything that is wrong with it, in file order."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file's content and where each part of it stands.

    `data` is the top mapping. `lines` gives the line, counted from 1, of each key and list item by its
    location (`("backends", 0, "url")`); the empty location is the file's first line.
    """

    file: str
    data: dict[str, Value]
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Return the line of a location, or of the nearest part around it that is in the file."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]


def read_config_file(path: Path) -> ConfigFile:
    """Read and parse one file.

    Raises ConfigError: with the first place only where the text does not parse, else with every repeated or
    odd key.
    """
    text = _read_text(path)
    try:
        node = _Loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Finding(str(path), line, "holds a control character: remove it")]) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_finding(str(path), error)]) from error
    if node is None:
        raise ConfigError([Finding(str(path), 0, "is empty: `portcullis init DIR` writes one to start from")])
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError([Finding(str(path), 1, "must hold keys and values, such as `listen: ...`")])
    lines: dict[Location, int] = {(): 1}
    findings: list[Finding] = []
    data = _mapping(node, (), str(path), lines, findings)
    if findings:
        raise ConfigError(findings)
    return ConfigFile(str(path), data, lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        message = "no such file: `portcullis init DIR` writes one to start from"
        raise ConfigError([Finding(str(path), 0, message)]) from error
    except OSError as error:
        raise ConfigError([Finding(str(path), 0, f"can't be read: {error.strerror}")]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([Finding(str(path), 0, f"is over {MAX_BYTES} bytes: is it the right file?")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Finding(str(path), line, "is not UTF-8: save the file as UTF-8")]) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's parser without anchors, aliases and tags, and with a bound on depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases (& and *) are not supported: write the value out, or quote it"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if getattr(event, "tag", None):
            problem = "tags (!) are not supported: quote the value"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if self.depth >= MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} levels deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _syntax_finding(file: str, error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "is not YAML"
    if "'\\t'" in problem:
        problem = "a tab where YAML wants spaces: indent with spaces"
    elif "another document" in problem or "single document" in str(error.context):
        problem = "a second document (`---`) begins here: keep one in a file"
    elif error.context_mark and "flow" in str(error.context):
        problem += f": close the bracket that line {error.context_mark.line + 1} opens, or quote the value"
    elif error.context_mark and "quoted" in str(error.context):
        problem += f": close the quote that line {error.context_mark.line + 1} opens"
    return Finding(file, mark.line + 1 if mark else 0, problem)


def _mapping(
    node: yaml.MappingNode, location: Location, file: str, lines: dict[Location, int], findings: list[Finding]
) -> dict[str, Value]:
    data: dict[str, Value] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            findings.append(Finding(file, line, "a key must be plain text"))
            continue
        key = str(key_node.value)
        here = (*location, key)
        if key in data:
            findings.append(Finding(file, line, f"the key `{key}` stands twice, first in line {lines[here]}"))
            continue
        lines[here] = line
        data[key] = _value(value_node, here, file, lines, findings)
    return data


def _value(
    node: yaml.Node, location: Location, file: str, lines: dict[Location, int], findings: list[Finding]
) -> Value:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, file, lines, findings)
    if isinstance(node, yaml.SequenceNode):
        items: list[Value] = []
        for index, item in enumerate(node.value):
            lines[(*location, index)] = item.start_mark.line + 1
            items.append(_value(item, (*location, index), file, lines, findings))
        return items
    text = str(node.value)
    quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    return text if quoted else _plain(text)


def _plain(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
