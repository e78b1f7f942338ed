"""A configuration file is read as it looks, and every mistake in its text is told with its line."""

from pathlib import Path

import pytest

from gateway.config_file import MAX_BYTES, ConfigError, Finding, read_config_file


def read(tmp_path: Path, content: str | bytes) -> dict[str, object]:
    path = tmp_path / "portcullis.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(read_config_file(path).data)


def findings(tmp_path: Path, content: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    assert {finding.file for finding in caught.value.findings} == {str(tmp_path / "portcullis.yaml")}
    return [(finding.line, finding.message) for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("0777", "0777"),
        ("0x1f", "0x1f"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ('"true"', "true"),
        ("'12'", "12"),
        ('"\\u00e9"', "é"),
        ("[a, 1]", ["a", 1]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
        ("999999999999999999999", "999999999999999999999"),
    ],
)
def test_a_value_is_what_it_looks_like(tmp_path: Path, text: str, value: object) -> None:
    assert read(tmp_path, f"key: {text}\n") == {"key": value}


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "portcullis.yaml"
    path.write_text("# comment\na: 1\nb:\n  - c: 2\n    d: 3\n  - {e: 4}\n")
    file = read_config_file(path)
    assert file.lines == {
        (): 1, ("a",): 2, ("b",): 3, ("b", 0): 4, ("b", 0, "c"): 4, ("b", 0, "d"): 5, ("b", 1): 6, ("b", 1, "e"): 6,
    }  # fmt: skip
    assert file.line(("b", 0, "missing", "deeper")) == 4
    assert file.line(("nowhere",)) == 1


def test_all_repeated_keys_are_told_at_once(tmp_path: Path) -> None:
    assert findings(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        (2, "the key `c` stands twice, first in line 2"),
        (3, "the key `a` stands twice, first in line 1"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "part"),
    [
        ("", 0, "is empty"),
        ("# only a comment\n", 0, "is empty"),
        ("- a\n- b\n", 1, "must hold keys and values"),
        ("just text\n", 1, "must hold keys and values"),
        ("a: 1\n\tb: 2\n", 2, "indent with spaces"),
        ("a:\n\t- b\n", 2, "indent with spaces"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
        ("a: [1]\nb: *x\n", 2, "anchors and aliases"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "tags (!)"),
        ("a: !secret x\n", 1, "tags (!)"),
        ("a: [1, 2\nb: 3\n", 2, "close the bracket that line 1 opens"),
        ("x: 1\na: {b: 1\n\nc: 3\n", 4, "close the bracket that line 2 opens"),
        ("x: 1\na: [", 2, "close the bracket that line 2 opens"),
        ('a: "open\n', 2, "close the quote that line 1 opens"),
        ("? [complex]\n: 1\n", 1, "a key must be plain text"),
        ("a: " + "[" * 100 + "]" * 100, 1, "levels deep"),
        ("a: " + "[" * 100_000, 1, "levels deep"),
        (b"a: 1\nb: \xff\xfe\n", 2, "is not UTF-8"),
        (b"\xff\xfea\x00:\x00", 1, "is not UTF-8"),
        (b"a: 1\nb: x\x00y\n", 2, "control character"),
        (b"a: " + b"x" * MAX_BYTES, 0, f"is over {MAX_BYTES} bytes"),
    ],
)
def test_text_that_can_not_be_read_is_told_with_its_line(
    tmp_path: Path, content: str | bytes, line: int, part: str
) -> None:
    ((found_line, message),) = findings(tmp_path, content)
    assert found_line == line
    assert part in message


def test_many_aliases_do_not_unfold_into_a_large_value(tmp_path: Path) -> None:
    """A "billion laughs" file is refused at its first anchor."""
    laughs = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert findings(tmp_path, laughs)[0][0] == 1


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n") == {"a": 1}


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="portcullis init"):
        read_config_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        read_config_file(tmp_path)


def test_a_finding_reads_like_a_compilers() -> None:
    assert str(Finding("a.yaml", 3, "is wrong")) == "a.yaml:3: is wrong"
    assert str(Finding("a.yaml", 0, "is empty")) == "a.yaml: is empty"
