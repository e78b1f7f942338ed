"""Limits only ever get narrower, and are asked for in one way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.issuer.narrowing import (
    audience_of,
    check_known,
    limits_document,
    narrowed,
    narrowed_for,
    requested_limits,
    scope_of,
    stored_limits,
)
from identity.issuer.oauth_error import OAuthError
from identity.principal import UNLIMITED, Limits
from tests.parts.issuing import PUBLIC_URL, form

NAMES = st.text("ab:", min_size=0, max_size=4)
PATTERNS = st.builds(lambda name, star: name + star, NAMES, st.sampled_from(["", "*"])).filter(bool)
LIMITS = st.builds(
    Limits,
    backends=st.none() | st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple),
    actions=st.none() | st.lists(PATTERNS, max_size=5).map(tuple),
)


@given(LIMITS, LIMITS, st.sampled_from(["a", "b", "c", "d"]), st.text("ab:*", max_size=5))
def test_what_is_left_of_two_limits_is_exactly_what_both_allow(
    one: Limits, other: Limits, backend: str, action: str
) -> None:
    both = one.allow(backend, action) and other.allow(backend, action)
    assert narrowed(one, other).allow(backend, action) == both
    assert narrowed(other, one).allow(backend, action) == both


@given(LIMITS)
def test_limits_survive_being_stored(limits: Limits) -> None:
    assert stored_limits(limits_document(limits)) == limits


@given(LIMITS, LIMITS)
def test_narrowing_never_makes_a_long_list_of_two_short_ones(one: Limits, other: Limits) -> None:
    left = narrowed(one, other)
    assert len(left.actions or ()) <= len(one.actions or ()) + len(other.actions or ())


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, UNLIMITED),
        ({"resource": PUBLIC_URL}, UNLIMITED),
        ({"resource": f"{PUBLIC_URL}/aws-prod"}, Limits(("aws-prod",))),
        ({"resource": [f"{PUBLIC_URL}/aws-prod", f"{PUBLIC_URL}/logs-prod"]}, Limits(("aws-prod", "logs-prod"))),
        ({"resource": [f"{PUBLIC_URL}/aws-prod", PUBLIC_URL]}, UNLIMITED),
        ({"audience": ["aws-prod", "aws-prod"]}, Limits(("aws-prod",))),
        ({"audience": "logs-prod", "resource": f"{PUBLIC_URL}/aws-prod"}, Limits(("aws-prod", "logs-prod"))),
        ({"resource": f"{PUBLIC_URL}/-"}, Limits(("-",))),
        ({"scope": "action:s3:Get*"}, Limits(None, ("s3:Get*",))),
        ({"scope": "action:read action:write action:read"}, Limits(None, ("read", "write"))),
        ({"scope": "action:*"}, Limits(None, ("*",))),
    ],
)
def test_limits_are_asked_for_by_address_name_and_scope(asked: dict[str, Any], limits: Limits) -> None:
    assert requested_limits(form(**asked), PUBLIC_URL) == limits


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"resource": "https://evil.example.com/aws-prod"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}.evil.example.com/aws-prod"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/aws-prod/x"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/../aws-prod"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}//aws-prod"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/AWS-PROD"}, "invalid_target"),
        ({"resource": "aws-prod"}, "invalid_target"),
        ({"audience": "https://corp.example.com"}, "invalid_target"),
        ({"audience": "aws-prod,logs-prod"}, "invalid_target"),
        ({"audience": [f"b{number}" for number in range(65)]}, "invalid_target"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "action:read openid"}, "invalid_scope"),
        ({"scope": "action:"}, "invalid_scope"),
        ({"scope": "action:read  action:write"}, "invalid_scope"),
        ({"scope": "action:s3:*Get"}, "invalid_scope"),
        ({"scope": "action:**"}, "invalid_scope"),
        ({"scope": 'action:"'}, "invalid_scope"),
        ({"scope": " ".join(f"action:a{number}" for number in range(65))}, "invalid_scope"),
        ({"scope": ["action:read", "action:write"]}, "invalid_request"),
    ],
)
def test_anything_else_is_refused_not_ignored(asked: dict[str, Any], error: str) -> None:
    with pytest.raises(OAuthError) as raised:
        requested_limits(form(**asked), PUBLIC_URL)
    assert raised.value.error == error


def test_limits_that_leave_nothing_are_an_error_and_not_a_token_for_nothing() -> None:
    with pytest.raises(OAuthError, match="invalid_target"):
        narrowed_for(Limits(("aws-prod",)), Limits(("logs-prod",)))
    with pytest.raises(OAuthError, match="invalid_scope"):
        narrowed_for(Limits(None, ("read",)), Limits(None, ("write",)))


def test_only_a_backend_that_is_there_can_be_named() -> None:
    check_known(Limits(("aws-prod",)), ("aws-prod",))
    check_known(UNLIMITED, ())
    with pytest.raises(OAuthError, match="invalid_target"):
        check_known(Limits(("aws-prod", "other")), ("aws-prod",))


def test_limits_are_written_as_audience_and_scope() -> None:
    limits = Limits(("aws-prod", "logs-prod"), ("read", "s3:Get*"))
    assert audience_of(limits, PUBLIC_URL) == [f"{PUBLIC_URL}/aws-prod", f"{PUBLIC_URL}/logs-prod"]
    assert scope_of(limits) == "action:read action:s3:Get*"
    assert (audience_of(UNLIMITED, PUBLIC_URL), scope_of(UNLIMITED)) == (PUBLIC_URL, None)
