"""The JSON Schema (2020-12) of `identities.yaml`, for editors and other checks.

It says of a file what can be said of its form. What takes more than form, only loading tells: accounts that two people
claim, repeated keys, and workloads whose owner is a wildcard.
"""

from typing import Any

from identity.claim_pattern import MAX_PATTERN_LENGTH
from identity.identities_people import MAX_NAME_LENGTH, PERSON_ID, PROVIDER_NAME
from identity.identities_workloads import MAX_CLAIMS, MAX_PATTERNS, UNUSABLE_CLAIMS, WORKLOAD_NAME
from identity.workload_habits import SAYS_NOT_WHOSE
from identity.workloads import MAX_CLAIM_NAME_LENGTH

Schema = dict[str, Any]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
EMAIL_PATTERN = rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+$"
_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def identities_schema() -> Schema:
    """Return the schema of the whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "identities.yaml: people, their accounts, and workloads",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "people": _named("People by id; `user:<id>` is the policy subject.", PERSON_ID.pattern, "person"),
            "workloads": _named(
                "Workloads by name; `workload:<provider>:<name>` is the policy subject. Of those that fit a token the "
                "first names it, in the order of the file.",
                WORKLOAD_NAME.pattern,
                "workload",
            ),
        },
        "$defs": {
            "provider": {
                "description": "A provider's `name` in the gateway's configuration.",
                "type": "string",
                "pattern": f"^{PROVIDER_NAME.pattern}$",
            },
            "person": _person(),
            "account": _account(),
            "workload": _workload(),
            "claims": _claims(),
            "pattern": _pattern(),
            "wildcards": {"type": "string", "pattern": "^[*/:]*$"},
        },
    }


def _named(description: str, pattern: str, kind: str) -> Schema:
    return {
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": f"^{pattern}$"},
        "additionalProperties": {"$ref": f"#/$defs/{kind}"},
    }


def _person() -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["accounts"],
        "properties": {
            "name": {
                "description": "What the person is called, for people to read.",
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME_LENGTH,
                "pattern": _PRINTABLE,
            },
            "deactivated": {
                "description": "Whether tokens of all listed accounts are refused.",
                "type": "boolean",
            },
            "accounts": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/account"}},
        },
    }


def _account() -> Schema:
    return {
        "description": "An account, by `sub` or by an e-mail address that the provider verifies and is trusted for.",
        "type": "object",
        "additionalProperties": False,
        "required": ["provider"],
        "oneOf": [{"required": ["subject"]}, {"required": ["email"]}],
        "properties": {
            "provider": {"$ref": "#/$defs/provider"},
            "subject": {"description": "The token's `sub`, exactly.", "type": "string", "minLength": 1},
            "email": {
                "description": "A plain ASCII address; case does not count.",
                "type": "string",
                "maxLength": 254,
                "pattern": EMAIL_PATTERN,
            },
        },
    }


def _workload() -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["provider", "claims"],
        "properties": {"provider": {"$ref": "#/$defs/provider"}, "claims": {"$ref": "#/$defs/claims"}},
    }


def _claims() -> Schema:
    wildcards = {"$ref": "#/$defs/wildcards"}
    return {
        "description": "What the token must say, all of it. A name is a claim's own or a JSON pointer, as in "
        "/kubernetes.io/namespace. At least one claim must say whose workload it is, and not by wildcards alone.",
        "type": "object",
        "maxProperties": MAX_CLAIMS,
        "propertyNames": {
            "maxLength": MAX_CLAIM_NAME_LENGTH,
            "pattern": r"^(?:[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*"
            r"|(?:/(?:[^/~\u0000-\u001f\u007f-\u009f]|~[01])+)+)$",
            "not": {"enum": list(UNUSABLE_CLAIMS)},
        },
        "additionalProperties": {
            "anyOf": [
                {"$ref": "#/$defs/pattern"},
                {"type": "array", "minItems": 1, "maxItems": MAX_PATTERNS, "items": {"$ref": "#/$defs/pattern"}},
            ]
        },
        "not": {
            "properties": dict.fromkeys(sorted(SAYS_NOT_WHOSE), True),
            "additionalProperties": {"anyOf": [wildcards, {"type": "array", "contains": wildcards}]},
        },
    }


def _pattern() -> Schema:
    return {
        "description": "The whole claim: `*` is any run without / and :, `**` any run, all else itself.",
        "anyOf": [
            {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_PATTERN_LENGTH,
                "pattern": _PRINTABLE,
                "not": {"pattern": r"\*\*\*"},
            },
            {"type": ["integer", "boolean"]},
        ],
    }
