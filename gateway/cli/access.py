"""`portcullis token`, `whoami` and `can-i`: what a person is to a gateway, and what they may do."""

from typing import Annotated, Any

import typer

from gateway.cli.login import ACR_OPTION, GATEWAY_OPTION, MAX_AGE_OPTION
from gateway.cli.output import CommandError, Format, FormatOption, print_json, print_text


def token(
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    acr: Annotated[list[str] | None, ACR_OPTION] = None,
    max_age_s: Annotated[int | None, MAX_AGE_OPTION] = None,
    output: FormatOption = Format.text,
) -> None:
    """Print the current token, as in `curl -H "Authorization: Bearer $(portcullis token)" URL`.

    It is PORTCULLIS_TOKEN where that is set, else the login's, renewed first where it ends soon.

    With --acr or --max-age, the person is asked to log in again first where the login is weaker than that.
    """
    from gateway.cli.assurance import Assurance
    from gateway.cli.caller import Caller

    caller = Caller()
    current = caller.token_of(caller.gateway(gateway), Assurance(tuple(acr or ()), max_age_s))
    if output is Format.json:
        print_json({"token": current})
    else:
        typer.echo(current)


def whoami(gateway: Annotated[str | None, GATEWAY_OPTION] = None, output: FormatOption = Format.text) -> None:
    """Say who the gateway takes the caller for."""
    answer = _ask(gateway, "/-/api/v1/whoami")
    if output is Format.json:
        print_json(answer)
        return
    from gateway.cli.caller import moment

    print_text(f"subject    {answer['subject']}")
    print_text(f"username   {answer['username']}")
    print_text(f"provider   {answer['provider']} ({answer['issuer']})")
    print_text(f"groups     {', '.join(answer['groups']) or 'none'}")
    # What is not there does not bound the token; an older gateway says none of it.
    for label, field in (("acting", "delegates"), ("only for", "backends"), ("only to", "actions")):
        if answer.get(field):
            print_text(f"{label:<10} {', '.join(answer[field])}")
    print_text(f"until      {moment(answer['expires_at'])}")


def can_i(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="What to do, such as `query` or `s3:GetObject`.")],
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE", help="With what: a path that begins with a backend's name, no slash before it."
        ),
    ],
    environment: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Where; by default the backend's own environment.")
    ] = None,
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    output: FormatOption = Format.text,
) -> None:
    """Ask whether the policy would let the caller do something, and by which rule.

    Exit code 0: allowed; 1: denied.
    """
    params = {"action": action, "resource": resource}
    if environment is not None:
        params["environment"] = environment
    answer = _ask(gateway, "/-/api/v1/can-i", params)
    if output is Format.json:
        print_json(answer)
    else:
        _print_decision(action, resource, answer)
    if answer["allowed"] is not True:
        raise typer.Exit(1)


def _print_decision(action: str, resource: str, answer: dict[str, Any]) -> None:
    print_text(f"{'allowed' if answer['allowed'] is True else 'denied'}: {action} on {resource} ({answer['reason']})")
    rule = answer["rule"]
    if rule:
        print_text(f"rule       {rule['file']}:{rule['line']}: {rule['text']}")
    if answer["role_path"]:
        print_text(f"through    {' -> '.join(answer['role_path'])}")
    if answer["roles_that_would_allow"]:
        print_text(f"would need {' or '.join(answer['roles_that_would_allow'])}")
    stronger = _stronger_login(answer)
    if stronger:
        also = "or would" if answer["roles_that_would_allow"] else "would"
        print_text(f"{also} need a stronger login: `portcullis login{stronger}`")
    bindings = answer.get("token_binding_required")
    if bindings:
        ways = " or ".join(_BINDINGS.get(str(way), str(way)) for way in bindings)
        print_text(f"token      refused all the same: the backend takes only one that is bound to {ways}")
    policy = answer["policy"]
    print_text(f"policy     {policy['commit'] or 'no commit'} {policy['digest']}")


def _stronger_login(answer: dict[str, Any]) -> str:
    """Return, as options of `portcullis login`, what login would be allowed; empty where none would."""
    from gateway.cli.assurance import Assurance

    wanted = answer.get("step_up")
    if not isinstance(wanted, dict):
        return ""
    acr_values, max_age = wanted.get("acr_values") or (), wanted.get("max_age")
    return Assurance(tuple(str(value) for value in acr_values), max_age if isinstance(max_age, int) else None).options()


_BINDINGS = {"dpop": "a key by DPoP proofs", "mtls": "a client certificate"}
_ANSWERS = {
    "/-/api/v1/whoami": ("subject", "username", "provider", "issuer", "groups", "expires_at"),
    "/-/api/v1/can-i": ("allowed", "reason", "rule", "role_path", "roles_that_would_allow", "policy"),
}


def _ask(gateway: str | None, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
    from gateway.cli.caller import Caller

    caller = Caller()
    url = caller.gateway(gateway)
    answer = caller.ask(url, path, params=params)
    if any(field not in answer for field in _ANSWERS[path]):
        raise CommandError(f"{url} answers in a way this version can't read: update portcullis")
    return answer
