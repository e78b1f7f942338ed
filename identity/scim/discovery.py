"""What a client can learn of the server: its abilities, resource types and schemas (RFC 7644, section 4)."""

from typing import Any, Final

from identity.scim.listing import LIST_SCHEMA, MAX_COUNT
from identity.scim.schema import RESOURCE_TYPES, Attribute, ResourceType, Schema
from identity.strict_json import JsonObject

_CONFIG_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_TYPE_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"


def service_provider_config(base_url: str) -> JsonObject:
    """Return the document of `/ServiceProviderConfig` (RFC 7643, section 5)."""
    return {
        "schemas": [_CONFIG_SCHEMA],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MAX_COUNT},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token that the gateway's configuration names for this provider",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base_url}/ServiceProviderConfig"},
    }


def resource_types(base_url: str) -> dict[str, JsonObject]:
    """Return the documents below `/ResourceTypes`, by id (RFC 7643, section 6)."""
    return {each.kind: _resource_type(base_url, each) for each in RESOURCE_TYPES.values()}


def schemas(base_url: str) -> dict[str, JsonObject]:
    """Return the documents below `/Schemas`, by id (RFC 7643, section 7)."""
    published = [schema for each in RESOURCE_TYPES.values() for schema in (each.core, each.extension)]
    return {schema.id: _schema(base_url, schema) for schema in published if schema is not None}


def listed(documents: dict[str, JsonObject]) -> JsonObject:
    """Return the list of such documents."""
    return {
        "schemas": [LIST_SCHEMA],
        "totalResults": len(documents),
        "startIndex": 1,
        "itemsPerPage": len(documents),
        "Resources": list(documents.values()),
    }


def _resource_type(base_url: str, described: ResourceType) -> JsonObject:
    extension = described.extension
    return {
        "schemas": [_TYPE_SCHEMA],
        "id": described.kind,
        "name": described.kind,
        "description": described.description,
        "endpoint": f"/{described.endpoint}",
        "schema": described.core.id,
        "schemaExtensions": [{"schema": extension.id, "required": False}] if extension is not None else [],
        "meta": {"resourceType": "ResourceType", "location": f"{base_url}/ResourceTypes/{described.kind}"},
    }


def _schema(base_url: str, schema: Schema) -> JsonObject:
    return {
        "schemas": [_SCHEMA_SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [_attribute(attribute) for attribute in schema.attributes],
        "meta": {"resourceType": "Schema", "location": f"{base_url}/Schemas/{schema.id}"},
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "mutability": attribute.mutability,
        "returned": attribute.returned,
        "uniqueness": attribute.uniqueness,
    }
    if attribute.type in ("string", "reference"):
        document["caseExact"] = attribute.case_exact
    if attribute.type == "reference":
        document["referenceTypes"] = ["uri"]
    if attribute.canonical_values:
        document["canonicalValues"] = list(attribute.canonical_values)
    if attribute.sub_attributes:
        document["subAttributes"] = [_attribute(each) for each in attribute.sub_attributes]
    return document
