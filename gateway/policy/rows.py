"""Reads rule files: splits each line as pycasbin does, and refuses whatever pycasbin would drop or misread."""

from collections.abc import Callable
from dataclasses import dataclass, field

from casbin.util import util

from gateway.policy.bundle_files import BundleFile, text_of
from gateway.policy.condition_grammar import ConditionError
from gateway.policy.conditions import compile_condition
from gateway.policy.findings import Finding
from gateway.policy.matchers import action_problem, environment_problem, resource_problem
from gateway.policy.model import PolicyModel, expression_problems
from gateway.policy.request import Rule
from identity.accounts import NAME_RULE, is_safe_name

MAX_LINE = 4_096
EFFECTS = ("allow", "deny")
_SUBJECT_FORMS = "user:<id>, workload:<provider>:<name>, group:<provider>:<name> or role:<name>"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its type (`p`, `g`, ...), its fields after the type, and where it stands."""

    type: str
    fields: tuple[str, ...]
    rule: Rule


@dataclass(slots=True)
class RowReader:
    """Collects the rows of rule files, in order, and all that is wrong with them."""

    model: PolicyModel
    rules: list[Row] = field(default_factory=list)
    links: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _known_good: set[tuple[str, str]] = field(default_factory=set)

    def read(self, file: BundleFile) -> None:
        """Read one file. Raises BundleError where it is not text; problems of single rows go to `findings`."""
        for number, raw in enumerate(text_of(file).split("\n"), 1):
            line = raw.strip(" \r")
            if line and line[0] != "#":
                self._read_line(line, Rule(file.name, number, line))

    def _read_line(self, line: str, rule: Rule) -> None:
        if len(line) > MAX_LINE:
            self._report(rule, f"is longer than {MAX_LINE} characters")
            return
        if not line.isprintable():
            self._report(rule, "has tabs, control or invisible characters; separate fields with commas and spaces")
            return
        try:
            kind, *fields = split_row(line)
        except ValueError as error:
            self._report(rule, str(error))
            return
        if any(text.startswith('"') for text in fields):
            self._report(rule, "has a quoted field; Casbin does not understand quotes in rows, remove them")
        elif kind == "p":
            self._read_rule(tuple(fields), rule)
        else:
            self._read_link(kind, tuple(fields), rule)

    def _read_rule(self, fields: tuple[str, ...], rule: Rule) -> None:
        tokens = self.model.policy_tokens
        if len(fields) != len(tokens):
            hint = ""
            if self.model.is_shipped and len(fields) == len(tokens) - 1:
                hint = "; a row without a condition ends with a comma"
            found = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            self._report(rule, f"has {found} after `p`, the model has {len(tokens)} ({', '.join(tokens)}){hint}")
            return
        before = len(self.findings)
        checks = _SHIPPED_CHECKS if self.model.is_shipped else _GENERAL_CHECKS
        for token, text in zip(tokens, fields, strict=True):
            check = checks.get(token)
            if check is None or (token, text) in self._known_good:
                continue
            problem = check(text)
            if problem is None:
                self._known_good.add((token, text))
            else:
                self._report(rule, f"{token} {text!r}: {problem}")
        if not self.model.is_shipped:
            self._check_evaluated(fields, rule)
        if len(self.findings) == before:
            self.rules.append(Row("p", fields, rule))

    def _check_evaluated(self, fields: tuple[str, ...], rule: Rule) -> None:
        matcher = dict(self.model.definitions)["m"].value
        for name in util.get_eval_value(matcher):
            token = name.strip().removeprefix("p.")
            if token in self.model.policy_tokens:
                text = fields[self.model.policy_tokens.index(token)]
                model = self.model.casbin_model()
                for problem in expression_problems(util.escape_assertion(text), model):
                    self._report(rule, f"{token} {text!r}: {problem}")

    def _read_link(self, kind: str, fields: tuple[str, ...], rule: Rule) -> None:
        width = dict(self.model.role_widths).get(kind)
        if width is None:
            known = ", ".join(["p", *(name for name, _ in self.model.role_widths)])
            self._report(rule, f"unknown row type {kind!r}; this model's rows are {known}")
        elif len(fields) != width:
            self._report(rule, f"has {len(fields)} fields after `{kind}`, a link has {width}")
        elif not all(fields):
            self._report(rule, "has an empty field")
        elif self.model.is_shipped and not self._good_link(fields, rule):
            return
        else:
            self.links.append(Row(kind, fields, rule))

    def _good_link(self, fields: tuple[str, ...], rule: Rule) -> bool:
        before = len(self.findings)
        for text in fields:
            if ("sub", text) not in self._known_good:
                problem = subject_problem(text)
                if problem is None:
                    self._known_good.add(("sub", text))
                else:
                    self._report(rule, f"{text!r}: {problem}")
        if len(self.findings) == before and not fields[1].startswith("role:"):
            # What is in a group is the identity provider's to say, never the policy's.
            self._report(rule, f"{fields[1]!r}: the second field of a link is a role:<name>")
        return len(self.findings) == before

    def _report(self, rule: Rule, message: str) -> None:
        self.findings.append(Finding(rule.file, rule.line, message))


def split_row(line: str) -> list[str]:
    """Split a row at its commas, but for those inside `()` or `[]`, and trim each field.

    The same as pycasbin's loader for every line it reads without an error of its own or an unclosed bracket; those
    raise ValueError.
    """
    if not any(sign in line for sign in "()[]"):
        return [part.strip() for part in line.split(",")]
    fields = []
    closers: list[str] = []
    start = 0
    for place, character in enumerate(line):
        if character in "([":
            closers.append(")" if character == "(" else "]")
        elif character in ")]":
            if not closers or closers.pop() != character:
                raise ValueError(f"has a {character!r} that closes nothing, at column {place + 1}")
        elif character == "," and not closers:
            fields.append(line[start:place].strip())
            start = place + 1
    if closers:
        raise ValueError(f"has a bracket that is never closed by {closers[-1]!r}")
    return [*fields, line[start:].strip()]


def subject_problem(subject: str) -> str | None:
    """Say what is wrong with a subject, or None."""
    kind, _, rest = subject.partition(":")
    if kind in {"workload", "group"}:
        provider, _, rest = rest.partition(":")
        rest = rest if provider else ""
    elif kind not in {"user", "role"}:
        return f"is not {_SUBJECT_FORMS}"
    if not rest:
        return f"is not {_SUBJECT_FORMS}"
    if "*" in subject:
        return "subjects are exact; give a role to a group instead of using `*`"
    if kind != "role" and not all(is_safe_name(name) for name in (rest.split(":", 1) if kind == "user" else [rest])):
        # The gateway takes no such name from a provider: a deny on it would never match.
        return f"no caller has this name; a name is {NAME_RULE}"
    if '"' in subject:
        return "holds a quote"
    return None


def _effect_problem(effect: str) -> str | None:
    return None if effect in EFFECTS else f"unknown effect; it is {' or '.join(EFFECTS)}"


def _condition_problem(condition: str) -> str | None:
    if not condition:
        return None
    try:
        compile_condition(condition)
    except ConditionError as error:
        return str(error)
    return None


def _priority_problem(priority: str) -> str | None:
    # The test pycasbin makes before it reads a number; anything else it would sort as text, or fail on.
    return None if priority.isascii() and priority.isdigit() else "a priority is a whole number"


_SHIPPED_CHECKS: dict[str, Callable[[str], str | None]] = {
    "sub": subject_problem,
    "env": environment_problem,
    "res": resource_problem,
    "act": action_problem,
    "eft": _effect_problem,
    "when": _condition_problem,
}
_GENERAL_CHECKS: dict[str, Callable[[str], str | None]] = {"eft": _effect_problem, "priority": _priority_problem}
