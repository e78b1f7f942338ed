"""The attributes of users and groups that are kept, as `/Schemas` publishes them (RFC 7643).

What decides nothing here is not held: telephone numbers, addresses, photos, passwords and the like (`unkept`) are
accepted in requests and ignored, and so are extensions other than the enterprise user.
"""

from dataclasses import dataclass
from typing import Literal

from identity.scim.filter import Name

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
CORE_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

Kind = Literal["User", "Group"]
Type = Literal["string", "boolean", "dateTime", "reference", "complex"]

_UNKEPT_OF_USER = (
    "password",
    "profileUrl",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute's definition (RFC 7643, section 7)."""

    name: str
    description: str
    type: Type = "string"
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Literal["readOnly", "readWrite", "immutable"] = "readWrite"
    returned: Literal["always", "default"] = "default"
    uniqueness: Literal["none", "server"] = "none"
    canonical_values: tuple[str, ...] = ()
    sub_attributes: tuple["Attribute", ...] = ()

    def sub_attribute(self, name: str) -> "Attribute | None":
        """Return the sub-attribute of that name, which is compared without case."""
        return _named(self.sub_attributes, name)


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema: its URN and what it defines."""

    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute of that name, which is compared without case."""
        return _named(self.attributes, name)


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind of resource.

    `key` is the attribute that names each one, uniquely without case. `unkept` are the standard's attributes, in lower
    case, that are ignored.
    """

    kind: Kind
    endpoint: str
    description: str
    core: Schema
    extension: Schema | None
    key: str
    unkept: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Attribute | None:
        """Return a core or common attribute."""
        return self.core.attribute(name) or _named(COMMON, name)

    def find(self, name: Name) -> "Place | None":
        """Return what a written name means, None where it is no attribute that is kept."""
        if name.uri is None or name.uri.lower() == self.core.id.lower():
            return _place(None, self.attribute(name.attribute), name.sub_attribute)
        extension = self.extension
        if extension is None:
            return None
        if str(name).lower() == extension.id.lower():
            return Place(extension, None, None)
        if name.uri.lower() != extension.id.lower():
            return None
        return _place(extension, extension.attribute(name.attribute), name.sub_attribute)

    def ignores(self, name: Name) -> bool:
        """Tell whether a name that `find` doesn't know is ignored in requests: not kept, or of another extension."""
        if name.uri is None or name.uri.lower() == self.core.id.lower():
            return name.attribute.lower() in self.unkept
        return self.extension is None or name.uri.lower() != self.extension.id.lower()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a resource something is: in an extension or, where that is None, in the resource itself.

    `attribute` None is the extension as a whole.
    """

    extension: Schema | None
    attribute: Attribute | None
    sub_attribute: Attribute | None


def _place(extension: Schema | None, attribute: Attribute | None, sub_name: str | None) -> Place | None:
    if attribute is None:
        return None
    if sub_name is None:
        return Place(extension, attribute, None)
    sub_attribute = attribute.sub_attribute(sub_name)
    return Place(extension, attribute, sub_attribute) if sub_attribute is not None else None


def _named(attributes: tuple[Attribute, ...], name: str) -> Attribute | None:
    wanted = name.lower()
    return next((attribute for attribute in attributes if attribute.name.lower() == wanted), None)


def _text(name: str, description: str) -> Attribute:
    return Attribute(name, description)


_META = (
    Attribute("resourceType", "The kind of resource.", case_exact=True, mutability="readOnly"),
    Attribute("created", "When it was created.", "dateTime", mutability="readOnly"),
    Attribute("lastModified", "When it was last changed.", "dateTime", mutability="readOnly"),
    Attribute("location", "Its URI.", "reference", case_exact=True, mutability="readOnly"),
    Attribute("version", "Its entity tag.", case_exact=True, mutability="readOnly"),
)

COMMON = (
    Attribute(
        "schemas",
        "The schemas that it has.",
        "reference",
        multi_valued=True,
        required=True,
        returned="always",
    ),
    Attribute(
        "id", "Its identifier here.", case_exact=True, mutability="readOnly", returned="always", uniqueness="server"
    ),
    Attribute("externalId", "Its identifier at the provider.", case_exact=True),
    Attribute("meta", "What the server says about it.", "complex", mutability="readOnly", sub_attributes=_META),
)
"""Attributes that every resource has; no schema document lists them (RFC 7643, section 3.1)."""

_NAME = (
    _text("formatted", "The full name."),
    _text("familyName", "The family name."),
    _text("givenName", "The given name."),
    _text("middleName", "The middle names."),
    _text("honorificPrefix", "Titles before the name."),
    _text("honorificSuffix", "What stands after the name."),
)
_EMAIL = (
    _text("value", "The address."),
    _text("display", "The address as people see it."),
    Attribute("type", "What it is for.", canonical_values=("work", "home", "other")),
    Attribute("primary", "Whether it is the one to use.", "boolean"),
)
_GROUP_OF_USER = (
    Attribute("value", "The group's id.", case_exact=True, mutability="readOnly"),
    Attribute("$ref", "The group's URI.", "reference", case_exact=True, mutability="readOnly"),
    Attribute("display", "The group's name.", mutability="readOnly"),
    Attribute("type", "How the user is in it.", mutability="readOnly", canonical_values=("direct",)),
)
_MANAGER = (
    Attribute("value", "The manager's id.", case_exact=True),
    Attribute("displayName", "The manager's name.", mutability="readOnly"),
)
_MEMBER = (
    Attribute("value", "The user's id.", case_exact=True, mutability="immutable"),
    Attribute("$ref", "The user's URI.", "reference", case_exact=True, mutability="readOnly"),
    Attribute("type", "What the member is.", mutability="readOnly", canonical_values=("User",)),
)

USER = ResourceType(
    kind="User",
    endpoint="Users",
    description="An account",
    core=Schema(
        CORE_USER,
        "User",
        "An account at the provider",
        (
            Attribute("userName", "The name of the account.", required=True, uniqueness="server"),
            Attribute("name", "The person's name.", "complex", sub_attributes=_NAME),
            _text("displayName", "The name shown to people."),
            _text("nickName", "What the person is called."),
            _text("title", "The person's title."),
            _text("userType", "How the person belongs to the organization."),
            _text("preferredLanguage", "The person's preferred language."),
            _text("locale", "The person's locale."),
            _text("timezone", "The person's time zone."),
            Attribute("active", "Whether the account may be used.", "boolean"),
            Attribute("emails", "E-mail addresses.", "complex", multi_valued=True, sub_attributes=_EMAIL),
            Attribute(
                "groups",
                "The groups that the user is in.",
                "complex",
                multi_valued=True,
                mutability="readOnly",
                sub_attributes=_GROUP_OF_USER,
            ),
        ),
    ),
    extension=Schema(
        ENTERPRISE_USER,
        "EnterpriseUser",
        "What an enterprise knows of a user",
        (
            _text("employeeNumber", "The number of the employee."),
            _text("costCenter", "The cost center."),
            _text("organization", "The organization."),
            _text("division", "The division."),
            _text("department", "The department."),
            Attribute("manager", "The user's manager.", "complex", sub_attributes=_MANAGER),
        ),
    ),
    key="userName",
    unkept=frozenset(name.lower() for name in _UNKEPT_OF_USER),
)

GROUP = ResourceType(
    kind="Group",
    endpoint="Groups",
    description="A group of accounts",
    core=Schema(
        CORE_GROUP,
        "Group",
        "A group of accounts at the provider",
        (
            Attribute("displayName", "The name of the group.", required=True, uniqueness="server"),
            Attribute("members", "The users in it.", "complex", multi_valued=True, sub_attributes=_MEMBER),
        ),
    ),
    extension=None,
    key="displayName",
)

RESOURCE_TYPES = {resource_type.endpoint: resource_type for resource_type in (USER, GROUP)}
