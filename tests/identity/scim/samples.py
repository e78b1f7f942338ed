"""Filters and users for property tests, and a user as Entra ID creates one."""

from typing import Any

from hypothesis import strategies as st

from identity.scim.filter import COMPARISONS, And, Comparison, Filter, Name, Not, Or, Present, Selection
from identity.scim.schema import CORE_USER, ENTERPRISE_USER, USER
from identity.scim.values import read_resource

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

ENTRA_USER: dict[str, Any] = {
    "schemas": [CORE_USER, ENTERPRISE_USER],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Alice@example.com",
    "active": True,
    "emails": [{"primary": True, "type": "work", "value": "alice@example.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Alice Example", "familyName": "Example", "givenName": "Alice"},
    "roles": [],
    ENTERPRISE_USER: {"department": "Platform"},
}


def kept(body: dict[str, Any]) -> dict[str, Any]:
    """Return a user as it is kept."""
    return read_resource(body, USER)


def patch_of(*operations: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a PATCH."""
    return {"schemas": [PATCH], "Operations": list(operations)}


_attribute_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
_uris = st.none() | st.sampled_from([CORE_USER, ENTERPRISE_USER, "urn:example:a:2.0"])
_values = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.booleans()
    | st.none()
    | st.integers(-(10**17), 10**17)
    | st.sampled_from([0.5, -12.25])
)
_inner_names = st.builds(Name, st.none(), _attribute_names, st.none())
_names = st.builds(Name, _uris, _attribute_names, st.none() | _attribute_names)


def _combined(terms: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    return st.recursive(
        terms,
        lambda inner: st.builds(And, inner, inner) | st.builds(Or, inner, inner) | st.builds(Not, inner),
        max_leaves=8,
    )


def _terms(names: st.SearchStrategy[Name]) -> st.SearchStrategy[Filter]:
    return st.builds(Comparison, names, st.sampled_from(sorted(COMPARISONS)), _values) | st.builds(Present, names)


def _filters() -> st.SearchStrategy[Filter]:
    plain = st.builds(Name, _uris, _attribute_names, st.none())
    selections: st.SearchStrategy[Filter] = st.builds(Selection, plain, _combined(_terms(_inner_names)))
    return _combined(_terms(_names) | selections)


any_filter = _filters()

# Few names and few values, so that filters often fit.
_words = st.sampled_from(["alice", "ALICE", "bob", "al", "work", "home", ""])
_known_terms: st.SearchStrategy[Filter] = st.one_of(
    st.builds(
        Comparison,
        st.sampled_from([Name(None, "userName"), Name(None, "title"), Name(None, "externalId")]),
        st.sampled_from(sorted(COMPARISONS)),
        _words,
    ),
    st.builds(Comparison, st.just(Name(None, "active")), st.sampled_from(["eq", "ne"]), st.booleans()),
    st.builds(Comparison, st.just(Name(None, "emails", "value")), st.sampled_from(sorted(COMPARISONS)), _words),
    st.builds(Comparison, st.just(Name(None, "emails")), st.sampled_from(["eq", "co"]), _words),
    st.builds(Comparison, st.just(Name(None, "title")), st.sampled_from(["eq", "ne"]), st.none()),
    st.builds(Present, st.sampled_from([Name(None, "title"), Name(None, "emails"), Name(None, "name", "givenName")])),
    st.builds(
        Selection,
        st.just(Name(None, "emails")),
        st.builds(
            And,
            st.builds(Comparison, st.just(Name(None, "type")), st.just("eq"), _words),
            st.builds(Comparison, st.just(Name(None, "value")), st.sampled_from(["eq", "co", "ne"]), _words),
        ),
    ),
)
user_filter = _combined(_known_terms)

users = st.fixed_dictionaries(
    {"userName": _words},
    optional={
        "title": _words,
        "externalId": _words,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({}, optional={"givenName": _words}),
        "emails": st.lists(st.fixed_dictionaries({}, optional={"type": _words, "value": _words}), max_size=3),
    },
)
