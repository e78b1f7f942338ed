"""Reads policy cases from YAML, each with the file and line it stands at."""

from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from gateway.policy.bundle_files import BundleFile, text_of
from gateway.policy.cases import PolicyCase
from gateway.policy.conditions import CONTEXT_KEYS, parse_timestamp
from gateway.policy.findings import Finding
from gateway.policy.request import AccessRequest, ContextValue
from gateway.policy.rows import subject_problem

_MAX_DEPTH = 8
_REQUIRED = ("subject", "environment", "resource", "action", "expect")
_OPTIONAL = ("name", "groups", "context", "rule")
_TAG = "tag:yaml.org,2002:"
_SCALARS = (f"{_TAG}str", f"{_TAG}timestamp")


class _CaseError(Exception):
    """One thing wrong in a case file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class CaseReader:
    """Collects the cases of the bundle's test files, in order, and all that is wrong with them."""

    cases: list[PolicyCase] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def read(self, file: BundleFile) -> None:
        """Read one file: a YAML list of cases. Raises BundleError where it is not text."""
        text = text_of(file)
        try:
            for node in _items(_document(text)):
                try:
                    self.cases.append(_case(node, file.name))
                except _CaseError as error:
                    self.findings.append(Finding(file.name, error.line, str(error)))
        except _CaseError as error:
            self.findings.append(Finding(file.name, error.line, str(error)))


def _document(text: str) -> yaml.Node | None:
    """Compose the document, after a first pass over its events has bounded depth and ruled out aliases."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise _CaseError(line, "anchors and aliases are not read here; write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise _CaseError(line, f"is nested deeper than {_MAX_DEPTH}")
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _CaseError(mark.line + 1 if mark else 1, f"is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise _CaseError(1, f"is not YAML: {error}") from error
    return node


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        _fail(node, "a test file is a list of cases, each `- name: ...`")
    return list(node.value)


def _case(node: yaml.Node, file: str) -> PolicyCase:
    fields = _fields(node)
    for key, value in fields.items():
        if key not in (*_REQUIRED, *_OPTIONAL):
            _fail(value, f"unknown key {key!r}; known are {', '.join((*_REQUIRED, *_OPTIONAL))}")
    missing = [key for key in _REQUIRED if key not in fields]
    if missing:
        _fail(node, f"the case lacks {', '.join(missing)}")
    expect = _text(fields["expect"])
    if expect not in {"allow", "deny"}:
        _fail(fields["expect"], f"expect is `allow` or `deny`, not {expect!r}")
    request = AccessRequest(
        subject=_subject(fields["subject"]),
        groups=tuple(_subject(item) for item in _list(fields["groups"])) if "groups" in fields else (),
        environment=_text(fields["environment"]),
        resource=_text(fields["resource"]),
        action=_text(fields["action"]),
        context=_context(fields["context"]) if "context" in fields else {},
    )
    name = _text(fields["name"]) if "name" in fields else f"{request.subject} {request.action} {request.resource}"
    rule = _text(fields["rule"]) if "rule" in fields else None
    return PolicyCase(name, request, expect == "allow", rule, file, node.start_mark.line + 1)


def _context(node: yaml.Node) -> dict[str, ContextValue]:
    context: dict[str, ContextValue] = {}
    for key, value in _fields(node).items():
        if key not in CONTEXT_KEYS:
            _fail(value, f"unknown context key {key!r}; known are {', '.join(CONTEXT_KEYS)}")
        kind = CONTEXT_KEYS[key]
        if kind is tuple:
            context[key] = tuple(_text(item) for item in _list(value))
        elif kind is str:
            context[key] = _text(value)
        else:
            context[key] = _number(key, value)
    return context


def _number(key: str, node: yaml.Node) -> int:
    if isinstance(node, yaml.ScalarNode):
        if node.tag == f"{_TAG}int" and node.value.isascii() and node.value.isdigit() and len(node.value) <= 18:
            return int(node.value)
        if key == "time" and node.tag in _SCALARS:
            try:
                return parse_timestamp(node.value)
            except ValueError as error:
                _fail(node, str(error))
    return _fail(node, f"{key} is a whole number" + (" or a time like 2026-12-31T18:00Z" if key == "time" else ""))


def _subject(node: yaml.Node) -> str:
    subject = _text(node)
    problem = subject_problem(subject)
    if problem is not None:
        _fail(node, f"{subject!r}: {problem}")
    return subject


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        _fail(node, "expected `key: value` lines")
    fields: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = _text(key)
        if name in fields:
            _fail(key, f"{name!r} is given twice")
        fields[name] = value
    return fields


def _list(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        _fail(node, "expected a list")
    return list(node.value)


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
        _fail(node, "expected a text; quote it where YAML reads it as something else")
    value: str = node.value
    return value


def _fail(node: yaml.Node, message: str) -> NoReturn:
    raise _CaseError(node.start_mark.line + 1, message)
