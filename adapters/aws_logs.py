"""What a CloudWatch Logs operation touches: the log groups that its JSON body names, or the service as a whole."""

import re
from collections.abc import Iterator
from typing import Any, Final

from adapters.aws_operation import Call
from adapters.aws_resource import resource
from adapters.backend import Access, BackendRequest, UnclassifiedError
from adapters.bounded_json import field, json_object

MAX_LOGS_BYTES: Final = 1024 * 1024

_ONE_GROUP: Final = ("logGroupName", "logGroupIdentifier")
_GROUPS: Final = ("logGroupNames", "logGroupIdentifiers", "logGroupArnList")
_GROUP_MEMBERS: Final = frozenset((*_ONE_GROUP, *_GROUPS))
_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9._/#-]{1,512}")
# Listings: without a group they are about the service as a whole, and they show names and settings only.
_MAY_NAME_NONE: Final = frozenset(("DescribeLogGroups", "DescribeMetricFilters", "DescribeQueries"))
# A query can name its own log groups: `SOURCE` in Logs Insights, `FROM` and `source=` in the other languages.
_SOURCE: Final = re.compile(r"\bsource\b", re.IGNORECASE)


def logs_accesses(backend: str, call: Call, request: BackendRequest) -> tuple[Access, ...]:
    """Return everything that the operation touches; raises UnclassifiedError where that can't be told."""
    action = f"logs:{call.operation}"
    members = call.service.operations[call.operation]
    if not members & _GROUP_MEMBERS:
        return (Access(resource(backend, "logs"), action),)
    body = json_object(request, MAX_LOGS_BYTES)
    _check_other_names(members, body)
    groups = dict.fromkeys(_groups(members, body))
    if not groups:
        if call.operation not in _MAY_NAME_NONE:
            raise UnclassifiedError(f"{action} names no log group: give its logGroupName")
        return (Access(resource(backend, "logs"), action),)
    actions = [action]
    if "unmask" in members and field(body, "unmask") not in (None, False):
        actions.append("logs:Unmask")
    return tuple(Access(resource(backend, "logs", group), name) for group in groups for name in actions)


def _groups(members: frozenset[str], body: dict[str, Any]) -> Iterator[str]:
    for member in _ONE_GROUP:
        value = field(body, member) if member in members else None
        if value is not None:
            yield _group(member, value)
    for member in _GROUPS:
        values = field(body, member) if member in members else None
        if values is None:
            continue
        if not isinstance(values, list):
            raise UnclassifiedError(f"{member} must be a list of log groups")
        for value in values:
            yield _group(member, value)


def _group(member: str, value: object) -> str:
    if not isinstance(value, str):
        raise UnclassifiedError(f"{member} must hold a log group's name")
    if value.startswith("arn:"):
        raise UnclassifiedError(f"{member}: name the log group, not its ARN, which may lead into another account")
    if not _GROUP_NAME.fullmatch(value):
        raise UnclassifiedError(f"{member} holds what is no log group's name")
    return value


def _check_other_names(members: frozenset[str], body: dict[str, Any]) -> None:
    """Raise UnclassifiedError where the operation could reach a log group by another member than those read."""
    if "resourceIdentifier" in members and field(body, "resourceIdentifier") is not None:
        raise UnclassifiedError("resourceIdentifier is an ARN: name the log group in logGroupName instead")
    if "queryString" not in members:
        return
    if "queryLanguage" in members and field(body, "queryLanguage") not in (None, "CWLI"):
        raise UnclassifiedError("only Logs Insights queries (CWLI) are accepted: SQL and PPL name their own log groups")
    query = field(body, "queryString")
    if query is not None and (not isinstance(query, str) or _SOURCE.search(query)):
        raise UnclassifiedError("the query names its own SOURCE: name the log groups in the request instead")
