"""Signed notes are those of Go's `sumdb/note`: its published example verifies, and nothing altered does."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, open_checkpoint
from audit.note import NoteError, Signer, SigningKeyError, Verifier
from tests.audit.samples import ORIGIN, SIGNER

# From the documentation of golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_the_published_example_verifies() -> None:
    text = Verifier.parse(GO_KEY).verify(GO_NOTE)
    assert text.startswith("If you think")
    assert text.endswith("problem is.\n")


def test_a_verifier_key_reads_and_writes_the_same() -> None:
    assert Verifier.parse(GO_KEY).key == GO_KEY
    assert Verifier.parse(f" {SIGNER.verifier.key}\n") == SIGNER.verifier


@given(st.integers(0, len(GO_NOTE) * 8 - 1))
def test_no_flipped_bit_passes(bit: int) -> None:
    altered = bytearray(GO_NOTE)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        Verifier.parse(GO_KEY).verify(bytes(altered))


def test_other_signatures_are_passed_over_and_ours_is_found() -> None:
    signed = SIGNER.sign("text\n")
    other = Signer("other.example.com", Ed25519PrivateKey.generate()).sign("text\n").split(b"\n\n")[1]
    assert SIGNER.verifier.verify(signed + other) == "text\n"
    with pytest.raises(NoteError, match="no signature of"):
        SIGNER.verifier.verify(b"text\n\n" + other)


def test_a_key_of_the_same_name_does_not_vouch() -> None:
    namesake = Signer(ORIGIN, Ed25519PrivateKey.generate())
    with pytest.raises(NoteError, match="no signature of"):
        SIGNER.verifier.verify(namesake.sign("text\n"))


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        "text\n\n— name\n".encode(),
        "text\n\n— name !!\n".encode(),
        b"\xff\n\n",
        b"a\x00b\n\n",
        b"x" * 1_000_001,
    ],
)
def test_what_is_not_a_note_is_refused(note: bytes) -> None:
    with pytest.raises(NoteError):
        SIGNER.verifier.verify(note)


@pytest.mark.parametrize(
    "key", ["", "name", "name+00000000+AAAA", GO_KEY.replace("c74f", "c74e"), GO_KEY + "!", "+a+b"]
)
def test_what_is_not_a_verifier_key_is_refused(key: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(key)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_that_would_break_a_note_is_refused(name: str) -> None:
    with pytest.raises(NoteError):
        Verifier(name, bytes(32))


def test_a_new_key_is_private_loads_again_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = Signer.create(ORIGIN, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.load(ORIGIN, path).verifier == made.verifier
    with pytest.raises(SigningKeyError, match=r"audit\.key.*exists"):
        Signer.create(ORIGIN, path)


def test_a_bad_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    with pytest.raises(SigningKeyError, match=r"audit\.key"):
        Signer.load(ORIGIN, path)
    path.write_text("no key")
    with pytest.raises(SigningKeyError, match=r"audit\.key.*PEM"):
        Signer.load(ORIGIN, path)
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(SigningKeyError, match="Ed25519"):
        Signer.load(ORIGIN, path)


def test_a_checkpoint_reads_as_it_was_signed() -> None:
    checkpoint = Checkpoint(ORIGIN, 1234, bytes(range(32)))
    note = checkpoint.sign(SIGNER)
    assert note.startswith(b"gateway.example.com/audit\n1234\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n")
    assert open_checkpoint(note, SIGNER.verifier) == checkpoint


def test_extension_lines_are_allowed() -> None:
    text = Checkpoint(ORIGIN, 1, bytes(32)).text + "extension\n"
    assert open_checkpoint(SIGNER.sign(text), SIGNER.verifier).size == 1


@pytest.mark.parametrize(
    "text",
    [
        "other.example.com\n1\n" + "A" * 43 + "=\n",
        f"{ORIGIN}\n01\n" + "A" * 43 + "=\n",
        f"{ORIGIN}\n-1\n" + "A" * 43 + "=\n",
        f"{ORIGIN}\n\u0661\n" + "A" * 43 + "=\n",
        f"{ORIGIN}\n1\nAAAA\n",
        f"{ORIGIN}\n1\n!\n",
        f"{ORIGIN}\n1\n",
    ],
)
def test_a_malformed_checkpoint_is_refused_though_signed(text: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(SIGNER.sign(text), SIGNER.verifier)
