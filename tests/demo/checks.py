"""What the answers of the demo's story must be; every check raises DiffersError saying what differed."""

import re
from collections.abc import Callable
from typing import Any

from tests.demo.answer import Answer, DiffersError, HttpAnswer, exit_code, holds, lacks, same
from tests.demo.world import World

Check = Callable[[Answer], None]


def printed(*parts: str, code: int = 0, without: tuple[str, ...] = ()) -> Check:
    """The command ends with `code` and prints every part, whatever the spacing; and nothing of `without`."""

    def check(answer: Answer) -> None:
        exit_code(answer, code)
        text = " ".join(f"{answer.out} {answer.err}".split())
        holds("what it printed", text, *parts)
        lacks("what it printed", text, *without)

    return check


def ready(world: World) -> Check:
    """The gateway is ready, knows both providers' keys, and decides by the policy repository's newest commit."""

    def check(answer: Answer) -> None:
        document = answer.json()
        same("ready", document["ready"], True)
        same(
            "the providers that are ready",
            [p["name"] for p in document["providers"] if p["ready"]],
            ["corp", "partner"],
        )
        same("the policy in force", document["policy"]["commit"], world.commit())
        same("the policy's problem", document["policy"]["problem"], None)

    return check


def last_good_policy(world: World, place: str) -> Check:
    """The newest commit is refused with its fault's place, and the commit before it goes on deciding."""

    def check(answer: Answer) -> None:
        document = answer.json()
        same("ready", document["ready"], True)
        same("the policy in force", document["policy"]["commit"], world.commit("HEAD~1"))
        holds("the policy's problem", str(document["policy"]["problem"]), place)

    return check


def not_authenticated(code: str, challenge: str) -> Check:
    """A 401 problem document with that code, and a bearer challenge (RFC 6750) that holds `challenge`."""

    def check(answer: Answer) -> None:
        response = answer.http()
        _problem(response, 401, code)
        holds("WWW-Authenticate", response.headers.get("www-authenticate", ""), "Bearer ", challenge)

    return check


def denied(resource: str, action: str, role: str | None = None) -> Check:
    """A 403 problem document for that access, with a receipt, that names `role` as one that would allow it."""

    def check(answer: Answer) -> None:
        response = answer.http()
        document = _problem(response, 403, "denied")
        decision = document["decision"]
        same("what was asked", (decision["resource"], decision["action"]), (resource, action))
        if "portcullis-receipt" not in response.headers:
            raise DiffersError("expected the header Portcullis-Receipt, it was absent")
        if role is not None:
            holds("the roles that would allow it", " ".join(decision["roles_that_would_allow"]), role)
            holds("the detail", document["detail"], role)

    return check


def build_started(answer: Answer) -> None:
    """Buildbot took the order: its JSON-RPC result names a build set and one build request."""
    response = answer.http()
    same("status", response.status, 200)
    build_set, requests = response.json()["result"]
    same("the kinds of Buildbot's result", (type(build_set), len(requests)), (int, 1))


def builds(*results: int) -> Check:
    """Buildbot lists exactly these finished builds; 0 is success."""

    def check(answer: Answer) -> None:
        response = answer.http()
        same("status", response.status, 200)
        listed = response.json()["builds"]
        same("the finished builds' results", [b["results"] for b in listed if b["complete"]], list(results))
        same("the number of builds", len(listed), len(results))

    return check


def decided_under(world: World) -> Check:
    """Bob's deploy was denied under the first policy commit and allowed under the one that made him a deployer."""

    def check(answer: Answer) -> None:
        exit_code(answer, 0)
        first, grant = world.commit("HEAD~3"), world.commit("HEAD~2")
        holds("the records", answer.out, f"denied deploy under {first}\n", f"allowed deploy under {grant}\n")
        holds("the history", answer.out, f"{first} The policy as it is today", f"{grant} bob deploys payments")

    return check


def keeping(kept: list[str], phrase: str) -> Check:
    """The command prints `phrase` and a number once; the number is put into `kept` for a later check."""

    def check(answer: Answer) -> None:
        exit_code(answer, 0)
        numbers = re.findall(re.escape(phrase) + r"([0-9]+)", answer.out)
        same(f"how often it printed {phrase!r}", len(numbers), 1)
        kept[:] = numbers

    return check


def finds(altered: list[str]) -> Check:
    """`audit verify` fails and names the one record that was altered."""

    def check(answer: Answer) -> None:
        exit_code(answer, 1)
        named = set(re.findall(r"record ([0-9]+)", answer.out + answer.err))
        same("the records that it names", named, set(altered))

    return check


def _problem(response: HttpAnswer, status: int, code: str) -> dict[str, Any]:
    same("status", response.status, status)
    same("Content-Type", response.headers.get("content-type"), "application/problem+json")
    document: dict[str, Any] = response.json()
    same("the problem's code", document.get("code"), code)
    return document
