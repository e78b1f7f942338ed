"""Two spellings of one URL are equal, and two URLs never are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.normal_url import normal_url


@pytest.mark.parametrize(
    "spelling",
    [
        "https://gateway.example.com/logs/a%20b",
        "HTTPS://Gateway.EXAMPLE.com/logs/a%20b",
        "https://gateway.example.com:443/logs/a%20b",
        "https://gateway.example.com:0443/logs/a%20b",
        "https://gateway.example.com/logs/a%20b?x=1",
        "https://gateway.example.com/logs/a%20b#part",
        "https://gateway.example.com/%6Cogs/%61%20b",
    ],
)
def test_spellings_of_one_url_are_equal(spelling: str) -> None:
    assert normal_url(spelling) == "https://gateway.example.com/logs/a%20b"


@pytest.mark.parametrize(
    "other",
    [
        "http://gateway.example.com/logs/a",
        "https://gateway.example.com:8443/logs/a",
        "https://gateway.example.com.evil.example/logs/a",
        "https://gateway.example.com/logs/a/",
        "https://gateway.example.com/logs//a",
        "https://gateway.example.com/logs%2Fa",
        "https://gateway.example.com/logs/%2561",
        "https://gateway.example.com/Logs/a",
        "https://gateway.example.com/logs/./a",
        "https://gateway.example.com/x/../logs/a",
        "https://gateway.example.com/logs/a%00",
    ],
)
def test_another_url_is_another(other: str) -> None:
    assert normal_url(other) not in (None, "https://gateway.example.com/logs/a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/logs/a",
        "//gateway.example.com/logs/a",
        "ftp://gateway.example.com/logs/a",
        "https://alice@gateway.example.com/logs/a",
        "https://gateway.example.com@evil.example/logs/a",
        "https:///logs/a",
        "https://gateway.example.com/logs/a b",
        "https://gateway.example.com/logs/a\n",
        "https://gateway.example.com/logs\\a",
        "https://gateway.example.com/logs/%6",
        "https://gateway.example.com/logs/\u00e9",
        "https://gateway.\u0435xample.com/logs/a",
        " https://gateway.example.com/logs/a",
    ],
)
def test_what_is_no_plain_url_equals_nothing(text: str) -> None:
    assert normal_url(text) is None


@given(st.text(alphabet="abz09/%~.:?#ABF2@", max_size=40))
def test_a_normal_url_is_its_own_normal_form(path: str) -> None:
    normal = normal_url("https://gateway.example.com/" + path)
    assert normal is None or normal_url(normal) == normal


def test_the_root_may_be_written_without_a_slash() -> None:
    assert normal_url("https://gateway.example.com") == normal_url("https://gateway.example.com/")
    assert normal_url("http://[::1]:80") == "http://[::1]/"
