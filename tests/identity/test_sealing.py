"""What is sealed here can be opened here only, for the purpose it was sealed for."""

from pathlib import Path

import pytest

from identity.sealing import Sealer, SealError, SecretFileError

SEALER = Sealer(bytes(range(32)))


def test_what_was_sealed_opens_again_and_never_looks_the_same() -> None:
    first, second = SEALER.seal("cookie", b"alice"), SEALER.seal("cookie", b"alice")
    assert first != second
    assert SEALER.open("cookie", first) == SEALER.open("cookie", second) == b"alice"


def test_another_purpose_another_secret_or_a_changed_byte_does_not_open() -> None:
    sealed = SEALER.seal("cookie", b"alice")
    with pytest.raises(SealError):
        SEALER.open("signing key", sealed)
    with pytest.raises(SealError):
        Sealer(bytes(32)).open("cookie", sealed)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealError):
            SEALER.open("cookie", bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            SEALER.open("cookie", sealed[:length])


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "identity.secret"
    Sealer.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = Sealer.load(path).seal("cookie", b"x")
    assert Sealer.load(path).open("cookie", sealed) == b"x"
    with pytest.raises(FileExistsError):
        Sealer.create(path)


def test_a_secret_that_cant_be_trusted_is_refused_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "identity.secret"
    with pytest.raises(SecretFileError, match="portcullis init"):
        Sealer.load(path)
    path.write_text("00" * 32)
    path.chmod(0o644)
    with pytest.raises(SecretFileError, match="chmod 600"):
        Sealer.load(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(SecretFileError, match="64 hex digits"):
        Sealer.load(path)
