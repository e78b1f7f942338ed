"""One row of an HTTP backend's route table: which requests it covers, and which resource and action they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from adapters.bounded_json import field as json_field
from adapters.http_query import QueryReader
from adapters.path_template import PathTemplate, Segment, Variables, check_value


class Route(BaseModel):
    """Requests of these methods on this path, with these query parameters and JSON body fields, are one access.

    `resource` is below the backend's name: `{project}` becomes `deploy-prod/payments`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    path: str
    query: dict[str, str] = {}
    body: dict[str, StrictStr | StrictInt | StrictBool] = {}
    resource: str
    action: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$")]

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not re.fullmatch(r"[A-Z][A-Z-]{0,31}", method):
                raise ValueError(f"{method!r} is not a method: methods are upper-case, such as GET")
            if method in ("CONNECT", "TRACE"):
                raise ValueError(f"{method} is never forwarded")
        if len(set(methods)) != len(methods):
            raise ValueError("names a method twice")
        return methods

    @field_validator("path")
    @classmethod
    def _path_template(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError("must begin with `/`")
        PathTemplate.parse(path[1:])
        return path

    @field_validator("query")
    @classmethod
    def _query_templates(cls, query: dict[str, str]) -> dict[str, str]:
        for value in query.values():
            Segment.parse_parameter(value)
        return query

    @field_validator("resource")
    @classmethod
    def _resource_template(cls, resource: str, info: ValidationInfo) -> str:
        template = PathTemplate.parse(resource)
        if not template.segments and template.rest is None:
            raise ValueError("must name what `**` stands for, as in `files/{rest**}`")
        if any(segment == Segment("") for segment in template.segments):
            raise ValueError("must not be empty, nor begin or end with `/`")
        if template.open_end and template.rest is None:
            raise ValueError("`**` has no value: name it in the path and here, as in `{rest**}`")
        if "path" in info.data and "query" in info.data:
            path = PathTemplate.parse(info.data["path"][1:])
            bound = {s.variable for s in path.segments} | {
                Segment.parse_parameter(v).variable for v in info.data["query"].values()
            }
            unknown = [s.variable for s in template.segments if s.variable is not None and s.variable not in bound]
            if template.rest is not None and template.rest != path.rest:
                unknown.append(template.rest + "**")
            if unknown:
                raise ValueError(f"{{{unknown[0]}}} is no variable of this route's path or query")
        return resource

    @model_validator(mode="after")
    def _distinct_variables(self) -> Self:
        matcher = self.matcher()
        names = [*matcher.path.variables, *(value.variable for _, value in matcher.query if value.variable is not None)]
        if len(set(names)) != len(names):
            raise ValueError("path and query use one variable name for two values")
        return self

    def matcher(self) -> "RouteMatcher":
        """Return the route with its templates parsed."""
        return RouteMatcher(
            path=PathTemplate.parse(self.path[1:]),
            query=tuple((name, Segment.parse_parameter(value)) for name, value in self.query.items()),
            body=self.body,
            resource=PathTemplate.parse(self.resource),
            action=self.action,
        )


@dataclass(frozen=True, slots=True)
class RouteMatcher:
    """A route as requests of its methods are held against it."""

    path: PathTemplate
    query: tuple[tuple[str, Segment], ...]
    body: Mapping[str, str | int | bool]
    resource: PathTemplate
    action: str

    def match(self, segments: Sequence[str], query: QueryReader) -> Variables | None:
        """Return the variables' values where path and query match, None where they don't.

        Raises UnclassifiedError where a matching path or parameter has an unsafe or ambiguous value.
        """
        values = self.path.match(segments)
        if values is None:
            return None
        for name, template in self.query:
            value = template.match(query.only(name))
            if value is None:
                return None
            if template.variable is not None:
                check_value(template.variable, value)
                values[template.variable] = value
        return values

    def body_matches(self, value: dict[str, Any]) -> bool:
        """Say whether the JSON object has every required field with exactly its value and type."""
        for name, required in self.body.items():
            given = json_field(value, name)
            if type(given) is not type(required) or given != required:
                return False
        return True
