"""`portcullis policy`: check a policy directory and run its cases, as a pull request's gate does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import (
    CommandError,
    Format,
    FormatOption,
    Located,
    counted,
    finding_documents,
    place,
    print_error,
    print_json,
    print_text,
)

if TYPE_CHECKING:
    from gateway.policy.bundle import PolicyBundle

app = typer.Typer(help="Check and test a policy directory.", no_args_is_help=True)

_DIRECTORY = typer.Argument(metavar="DIR", help="The directory that holds model.conf, rules/ and tests/.")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A finding whose file is named from where the command runs, so that an editor can open it."""

    file: str
    line: int
    message: str


@app.command()
def check(directory: Annotated[Path, _DIRECTORY] = Path("policies"), output: FormatOption = Format.text) -> None:
    """Check that the policy loads and that nothing in it looks like a mistake.

    Exit code 1 where there is a finding.
    """
    from gateway.policy.lint import check as look_over

    bundle = _load(directory, output)
    findings = _placed(directory, look_over(bundle))
    if output is Format.json:
        print_json({"ok": not findings, "findings": finding_documents(findings), "policy": _revision(bundle)})
    else:
        for finding in findings:
            print_text(place(finding))
        rules, links = counted(len(bundle.rules), "rule"), counted(len(bundle.links), "link")
        print_text(f"{rules}, {links}: {counted(len(findings), 'finding')}")
    if findings:
        raise typer.Exit(1)


@app.command("test")
def run_tests(directory: Annotated[Path, _DIRECTORY] = Path("policies"), output: FormatOption = Format.text) -> None:
    """Run the cases in tests/*.yaml.

    Exit code 1 where one fails or the policy does not load; 2 where there is no case at all.
    """
    from gateway.policy.cases import run_cases
    from gateway.policy.engine import PolicyEngine

    bundle = _load(directory, output)
    if not bundle.cases:
        raise CommandError(f"{directory}/tests holds no case: a policy without cases is not tested")
    results = run_cases(PolicyEngine(bundle), bundle.cases)
    failed = [
        _Placed(str(directory / result.case.file), result.case.line, f"{result.case.name}: {result.problem}")
        for result in results
        if not result.passed
    ]
    passed = len(results) - len(failed)
    if output is Format.json:
        document = {"ok": not failed, "passed": passed, "failed": len(failed), "findings": finding_documents(failed)}
        print_json(document | {"policy": _revision(bundle)})
    else:
        for finding in failed:
            print_text(place(finding))
        print_text(f"{counted(len(results), 'case')}: {passed} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def _load(directory: Path, output: Format) -> "PolicyBundle":
    """Return the bundle; where it does not load, print every reason and end with exit code 1."""
    from gateway.policy.bundle import load_bundle
    from gateway.policy.findings import BundleError

    if not directory.is_dir():
        raise CommandError(f"{directory} is not a directory: name the one that holds model.conf")
    try:
        return load_bundle(directory)
    except BundleError as error:
        findings = _placed(directory, error.findings)
        if output is Format.json:
            print_json({"ok": False, "findings": finding_documents(findings)})
        else:
            for finding in findings:
                print_text(place(finding))
            print_error(f"portcullis: the policy does not load: {counted(len(findings), 'finding')}")
        raise typer.Exit(1) from error


def _placed(directory: Path, findings: Sequence[Located]) -> list[_Placed]:
    return [_Placed(str(directory / finding.file), finding.line, finding.message) for finding in findings]


def _revision(bundle: "PolicyBundle") -> dict[str, str]:
    return {"commit": bundle.revision.commit, "digest": bundle.revision.digest}
