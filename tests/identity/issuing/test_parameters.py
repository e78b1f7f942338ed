"""A request's parameters have one meaning or none."""

import pytest

from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import MAX_PARAMETERS, Parameters


def test_parameters_are_decoded_once() -> None:
    parameters = Parameters.parse(b"state=a%2520b+c&code=x%26y&empty=&resource=one&resource=two")
    assert (parameters.get("state"), parameters.get("code")) == ("a%20b c", "x&y")
    assert parameters.get("empty") is None
    assert parameters.get("absent") is None
    assert parameters.all("resource") == ("one", "two")
    parameters.check_repeats()


@pytest.mark.parametrize(
    "encoded",
    [b"a=%ff", "a=\u00e9".encode(), b"&".join(b"a%d=1" % number for number in range(MAX_PARAMETERS + 1))],
)
def test_what_is_no_form_is_refused(encoded: bytes) -> None:
    with pytest.raises(OAuthError, match="invalid_request"):
        Parameters.parse(encoded)


@pytest.mark.parametrize("encoded", [b"code=1&code=2", b"code=1&code=1", b"what=1&what=2"])
def test_a_parameter_that_comes_twice_is_refused(encoded: bytes) -> None:
    """RFC 6749, sections 3.1 and 3.2."""
    parameters = Parameters.parse(encoded)
    with pytest.raises(OAuthError, match="twice"):
        parameters.check_repeats()


def test_a_parameter_that_comes_twice_is_not_read() -> None:
    with pytest.raises(OAuthError, match="twice"):
        Parameters.parse(b"code=1&code=2").get("code")


@pytest.mark.parametrize("encoded", [b"code=a%00b", b"code=a%0d%0ab", b"code=%C3%A9", b"code=" + b"a" * 2049, b""])
def test_values_are_short_printable_ascii(encoded: bytes) -> None:
    with pytest.raises(OAuthError, match="invalid_request"):
        Parameters.parse(encoded).required("code")


def test_no_value_is_shown_where_parameters_are_printed() -> None:
    """SECURITY-CASES 24"""
    assert "secret-code" not in repr(Parameters.parse(b"code=secret-code"))
