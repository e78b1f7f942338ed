"""Reads `model.conf`: the Casbin model of a bundle, checked for what the stock reader would let pass."""

import ast
import re
from dataclasses import dataclass

from casbin.effect import get_effector
from casbin.model import FunctionMap, Model
from casbin.util import SimpleEval, util

from gateway.policy.bundle_files import MODEL
from gateway.policy.findings import BundleError, Finding
from gateway.policy.matchers import MATCHERS

ALLOW_BY_DEFAULT_MARKER = "# portcullis: allow-by-default"
_DENY_OVERRIDE_ALONE = "!some(where (p_eft == deny))"
_SECTIONS = {
    "request_definition": "r",
    "policy_definition": "p",
    "role_definition": "g",
    "policy_effect": "e",
    "matchers": "m",
}
# The engine's own index decides this model and no other; compared with all white space taken out.
_SHIPPED = {
    "r": "sub, env, res, act, ctx",
    "p": "sub, env, res, act, eft, when",
    "g": "_, _",
    "e": "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    "m": (
        "g(r.sub, p.sub) && environmentMatch(r.env, p.env) && resourceMatch(r.res, p.res)"
        " && actionMatch(r.act, p.act) && conditionHolds(r.ctx, p.when, p.eft)"
    ),
}
# What a request can offer to a model, by the names models use for it.
REQUEST_TOKENS = {
    "sub": "subject", "subject": "subject",
    "env": "environment", "dom": "environment", "domain": "environment",
    "res": "resource", "obj": "resource", "resource": "resource", "object": "resource",
    "act": "action", "action": "action",
    "ctx": "context", "context": "context",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Definition:
    """One line of the model: `m = ...`, and where it begins."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class PolicyModel:
    """A model that Casbin accepts. Tokens are without their `p_` or `r_` prefix.

    `role_widths` gives, for each role definition (`g`, `g2`), how many fields its rows have.
    """

    definitions: tuple[tuple[str, Definition], ...]
    request_tokens: tuple[str, ...]
    policy_tokens: tuple[str, ...]
    role_widths: tuple[tuple[str, int], ...]
    effect: str
    is_shipped: bool

    def casbin_model(self) -> Model:
        """Return a new pycasbin model without any rows."""
        model = Model()
        for key, definition in self.definitions:
            model.add_def(key[0], key, definition.value)
        return model


def parse_model(text: str) -> PolicyModel:
    """Parse and check a model. Raises BundleError with every problem found.

    Stricter than the stock reader where that drops or rewrites text silently: unknown sections and keys, repeated keys,
    matchers of more than one expression, and string literals that its textual rewriting would mangle.
    """
    definitions, findings = _definitions(text)
    for section, key in _SECTIONS.items():
        if key != "g" and key not in definitions:
            findings.append(Finding(MODEL, 0, f"has no `{key} = ...` in [{section}]"))
    if findings:
        raise BundleError(findings)
    model = Model()
    for key, definition in definitions.items():
        model.add_def(key[0], key, definition.value)
    findings += _token_findings(model, definitions)
    findings += _role_findings(definitions)
    findings += _effect_findings(model, definitions, ALLOW_BY_DEFAULT_MARKER in map(str.strip, text.split("\n")))
    findings += _matcher_findings(model, definitions)
    if findings:
        raise BundleError(findings)
    roles = {key: definition for key, definition in definitions.items() if key.startswith("g")}
    return PolicyModel(
        definitions=tuple(definitions.items()),
        request_tokens=_tokens(model, "r"),
        policy_tokens=_tokens(model, "p"),
        role_widths=tuple((key, definition.value.count("_")) for key, definition in roles.items()),
        effect=model["e"]["e"].value,
        is_shipped={key: _squeeze(d.value) for key, d in definitions.items()}
        == {key: _squeeze(value) for key, value in _SHIPPED.items()},
    )


def _definitions(text: str) -> tuple[dict[str, Definition], list[Finding]]:
    definitions: dict[str, Definition] = {}
    findings: list[Finding] = []
    letter = ""
    pending: list[str] = []
    first_line = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line.isprintable():
            findings.append(Finding(MODEL, number, "has control or invisible characters"))
        elif pending and (not line or line[0] in "#;["):
            findings.append(Finding(MODEL, number, "a line that ends in \\ must be followed by its continuation"))
            pending = []
        elif not line or line[0] in "#;":
            continue
        elif line.startswith("[") and line.endswith("]"):
            letter = _SECTIONS.get(line[1:-1], "")
            if not letter:
                findings.append(Finding(MODEL, number, f"unknown section {line}; known are {', '.join(_SECTIONS)}"))
        else:
            first_line = first_line if pending else number
            pending.append(line.removesuffix("\\").strip())
            if not line.endswith("\\"):
                _add_definition(" ".join(pending), letter, first_line, definitions, findings)
                pending = []
    if pending:
        findings.append(Finding(MODEL, first_line, "a line that ends in \\ must be followed by its continuation"))
    return definitions, findings


def _add_definition(
    line: str, letter: str, number: int, definitions: dict[str, Definition], findings: list[Finding]
) -> None:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals or not value:
        findings.append(Finding(MODEL, number, f"expected `name = value`, found {line!r}"))
    elif not letter or not re.fullmatch(rf"{letter}([2-9]|[1-9][0-9])?", key):
        findings.append(Finding(MODEL, number, f"{key!r} does not belong in this section"))
    elif key in definitions:
        findings.append(Finding(MODEL, number, f"{key!r} is already defined in line {definitions[key].line}"))
    else:
        definitions[key] = Definition(value, number)


def _tokens(model: Model, key: str) -> tuple[str, ...]:
    return tuple(token.removeprefix(f"{key}_") for token in model[key][key].tokens)


def _token_findings(model: Model, definitions: dict[str, Definition]) -> list[Finding]:
    findings = []
    for key in ("r", "p"):
        tokens = _tokens(model, key)
        if len(set(tokens)) != len(tokens) or not all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", token) for token in tokens):
            findings.append(Finding(MODEL, definitions[key].line, f"the names in `{key}` must be distinct identifiers"))
    findings += [
        Finding(
            MODEL,
            definitions["r"].line,
            f"a request has no {token!r}; it offers {', '.join(REQUEST_TOKENS)}",
        )
        for token in _tokens(model, "r")
        if token not in REQUEST_TOKENS
    ]
    return findings


def _role_findings(definitions: dict[str, Definition]) -> list[Finding]:
    findings = []
    for key, definition in definitions.items():
        if not key.startswith("g"):
            continue
        if "(" in definition.value:
            # Without its function, which only code can register, pycasbin grants a conditional role for ever.
            findings.append(Finding(MODEL, definition.line, "conditional roles are not supported; use a condition"))
        elif not re.fullmatch(r"_\s*,\s*_(\s*,\s*_)?", definition.value):
            findings.append(Finding(MODEL, definition.line, "a role definition is `_, _` or, with domains, `_, _, _`"))
    return findings


def _effect_findings(model: Model, definitions: dict[str, Definition], on_purpose: bool) -> list[Finding]:
    effect = model["e"]["e"].value
    line = definitions["e"].line
    try:
        get_effector(effect)
    except RuntimeError:
        return [Finding(MODEL, line, f"unsupported policy effect: {definitions['e'].value}")]
    if effect == _DENY_OVERRIDE_ALONE and not on_purpose:
        message = (
            "this effect allows whatever no rule denies; write "
            "`some(where (p.eft == allow)) && !some(where (p.eft == deny))`, or, where that is meant, add the line "
            f"`{ALLOW_BY_DEFAULT_MARKER}`"
        )
        return [Finding(MODEL, line, message)]
    if effect.startswith("subjectPriority") and "g" not in definitions:
        return [Finding(MODEL, line, "subjectPriority needs a role definition `g`")]
    return []


def _matcher_findings(model: Model, definitions: dict[str, Definition]) -> list[Finding]:
    line = definitions["m"].line
    for literal in re.findall(r"'[^']*'|\"[^\"]*\"", definitions["m"].value):
        if re.search(r"&&|\|\||!|#|\b[rp]\d*\.", literal):
            return [Finding(MODEL, line, f"Casbin rewrites the text inside the literal {literal}; use another value")]
    value = model["m"]["m"].value
    if util.has_eval(value):
        return []  # What is evaluated stands in the rows.
    return [Finding(MODEL, line, problem) for problem in expression_problems(value, model)]


def expression_problems(value: str, model: Model) -> list[str]:
    """Say what is wrong with a matcher expression, in Casbin's escaped form (`r_sub`): syntax and unknown names."""
    expression = re.sub(r"!(?!=)", "not ", value.replace("&&", "and").replace("||", "or"))
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        SimpleEval(expression)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [f"the matcher is not one expression: {getattr(error, 'msg', None) or error}"]
    functions = {*FunctionMap.load_function_map().get_functions(), *MATCHERS, *(model["g"] or ())}
    known = {*model["r"]["r"].tokens, *model["p"]["p"].tokens, *functions}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [f"the matcher names {name!r}, which is neither a field nor a function" for name in sorted(names - known)]


def _squeeze(value: str) -> str:
    return "".join(value.split())
