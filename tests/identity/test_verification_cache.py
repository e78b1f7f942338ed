"""The cache of good tokens is bounded, keeps what is used, and gives nothing back too late."""

from identity.principal import Principal
from identity.verification_cache import CacheEntry, VerificationCache


def _entry(name: str = "alice", provider: str = "corp", key: str = "k1", valid_until: float = 100.0) -> CacheEntry:
    principal = Principal(f"user:{name}", provider, "", name, name, (), 100, 0, None, None, (), "")
    return CacheEntry(principal, (provider, key), valid_until)


def test_a_token_is_known_until_it_ends_and_not_at_that_second() -> None:
    """SECURITY-CASES 20: a cached verification ends at `exp` at the latest."""
    cache = VerificationCache()
    cache.put(b"a", _entry(), now=0)
    assert cache.get(b"a", now=99.9) == _entry()
    assert cache.get(b"a", now=100) is None
    cache.put(b"b", _entry(), now=100)
    assert len(cache) == 1


def test_it_never_holds_more_than_twice_its_capacity() -> None:
    cache = VerificationCache(capacity=10)
    for number in range(1000):
        cache.put(str(number).encode(), _entry(), now=0)
        assert len(cache) <= 20


def test_a_token_in_use_outlives_a_stream_of_others() -> None:
    cache = VerificationCache(capacity=10)
    cache.put(b"used", _entry("used"), now=0)
    for number in range(200):
        cache.put(str(number).encode(), _entry(), now=0)
        if number % 5 == 0:
            assert cache.get(b"used", now=0) == _entry("used")
    assert cache.get(b"0", now=0) is None


def test_what_is_dropped_is_gone_from_both_generations() -> None:
    cache = VerificationCache(capacity=2)
    for name, key in (("a", "k1"), ("b", "k2"), ("c", "k1")):
        cache.put(name.encode(), _entry(name, key=key), now=0)
    cache.drop(lambda entry: entry.vouched_by == ("corp", "k1"))
    assert [cache.get(name, now=0) is not None for name in (b"a", b"b", b"c")] == [False, True, False]
    cache.discard(b"b")
    assert cache.get(b"b", now=0) is None
    cache.put(b"d", _entry("d"), now=0)
    cache.clear()
    assert len(cache) == 0
