"""`portcullis audit`: search, export and verify the audit log."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from gateway.cli.audit_query import KindChoice, VerdictChoice, query_of
from gateway.cli.audit_text import event_document, event_line, report_document, report_lines
from gateway.cli.output import CommandError, Format, FormatOption, counted, print_error, print_json, print_text
from gateway.cli.progress import watched_file, watched_reader
from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG, read_settings

if TYPE_CHECKING:
    from audit.note import Verifier
    from audit.store import AuditReader
    from audit.verify import VerifyReport

app = typer.Typer(help="Search, export and verify the audit log.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """How an export is written."""

    jsonl = "jsonl"
    csv = "csv"


Config = Annotated[Path, CONFIG_OPTION]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From this time on: 2026-11-23T10:00:00Z, 2026-11-23, or 90m, 2h, 7d ago."
    ),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time.")]
Actor = Annotated[str | None, typer.Option("--actor", metavar="SUBJECT", help="Who, such as user:alice.")]
Backend = Annotated[str | None, typer.Option("--backend", metavar="NAME", help="Which backend.")]
Verdict = Annotated[
    VerdictChoice | None,
    typer.Option("--verdict", help="A decision's verdict; with --kind outcome or policy_load, the result."),
]
Kind = Annotated[KindChoice | None, typer.Option("--kind", help="Which kind of record.")]
RequestId = Annotated[
    str | None, typer.Option("--request-id", metavar="ID", help="As in the answer's Portcullis-Request-Id.")
]


@app.command()
def search(
    *,
    config: Config = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    backend: Backend = None,
    verdict: Verdict = None,
    kind: Kind = None,
    request_id: RequestId = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    output: FormatOption = Format.text,
) -> None:
    """List records, newest first, each decision with its outcome."""
    from audit.search import search as find

    query = query_of(
        since=since, until=until, actor=actor, backend=backend, verdict=verdict, kind=kind, request_id=request_id
    )
    with _reader(config) as reader:
        events = find(reader, query, limit=limit)
        if output is Format.json:
            print_json([event_document(event) for event in events])
        else:
            for event in events:
                print_text(event_line(event))


@app.command()
def export(
    *,
    config: Config = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    backend: Backend = None,
    verdict: Verdict = None,
    kind: Kind = None,
    request_id: RequestId = None,
    start: Annotated[
        int, typer.Option("--start", min=0, help="The first index, to continue an earlier export; jsonl only.")
    ] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file; by default standard output.")
    ] = None,
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="jsonl: the records as they were hashed, for `audit verify`; csv: for people."),
    ] = ExportFormat.jsonl,
) -> None:
    """Write the log to a file: for a SIEM and for proof (jsonl), or for a spreadsheet (csv)."""
    from audit.export import export_jsonl
    from audit.search import Query
    from audit.spreadsheet import export_csv

    query = query_of(
        since=since, until=until, actor=actor, backend=backend, verdict=verdict, kind=kind, request_id=request_id
    )
    wanted = None if query == Query() else query
    if form is ExportFormat.csv and start:
        raise CommandError("--start continues a jsonl export; choose rows of a csv by --since")
    with _reader(config) as reader, _new_file(output) as out:
        if form is ExportFormat.jsonl:
            records = export_jsonl(reader, out, start=start, query=wanted).records
        else:
            import io

            text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
            records = export_csv(reader, text, query=wanted)
            text.detach()
    print_error(counted(records, "record") + (f" in {output}" if output else ""))


@app.command()
def verify(
    *,
    config: Config = DEFAULT_CONFIG,
    exported: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Verify this jsonl export instead of the database.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="VKEY", help="The log's public key (name+hash+key), or a file that holds it."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept earlier, instead of the log's newest."),
    ] = None,
    receipt: Annotated[
        list[str] | None,
        typer.Option("--receipt", metavar="INDEX:HASH", help="A Portcullis-Receipt to look for; can be repeated."),
    ] = None,
    output: FormatOption = Format.text,
) -> None:
    """Prove that no record was altered, removed or added.

    With --export and --key it needs neither the gateway's configuration nor its database. Exit code 1 where the proof
    breaks; the first bad record is named.
    """
    from audit.export import ExportError, verify_export
    from audit.store import AuditCorruptError
    from audit.verify import Finding, VerifyReport, verify_store

    if exported is not None and key is None:
        raise CommandError(
            "an export is verified with the log's public key: give --key (`portcullis init` wrote audit.pub)"
        )
    verifier = _verifier(key, config)
    kept = _read(checkpoint) if checkpoint else None
    receipts = dict(_receipt(text) for text in receipt or ())
    try:
        if exported is not None:
            with _open(exported) as file, watched_file(file, exported) as watched:
                report = verify_export(watched, verifier=verifier, checkpoint=kept, receipts=receipts)
        else:
            with _reader(config) as reader, watched_reader(reader) as watched_log:
                report = verify_store(watched_log, verifier=verifier, checkpoint=kept, receipts=receipts)
    except ExportError as error:
        raise CommandError(f"{exported}: {error}") from error
    except AuditCorruptError as error:
        # The store refuses to read a log that contradicts itself: that is an answer, not a failure to answer.
        report = VerifyReport(0, b"", 0, (Finding(None, "store", str(error)),), 1)
    _print_report(report, output)


def _print_report(report: "VerifyReport", output: Format) -> None:
    if output is Format.json:
        print_json(report_document(report))
    else:
        for line in report_lines(report):
            print_text(line)
    if not report.ok:
        raise typer.Exit(1)


@contextmanager
def _reader(config: Path) -> "Iterator[AuditReader]":
    from audit.store import AuditCorruptError, AuditUnavailableError
    from gateway.app import open_audit_reader

    settings = read_settings(config, check_inputs=False)
    try:
        with closing(open_audit_reader(settings.database)) as reader:
            yield reader
    except AuditCorruptError:
        raise
    except AuditUnavailableError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _new_file(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    import os

    try:
        # Never over an existing file, which may be evidence; readable by its owner, because records name people.
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except FileExistsError as error:
        raise CommandError(f"{path} exists already: name a new file") from error
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}") from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink()
        raise


def _verifier(key: str | None, config: Path) -> "Verifier":
    from audit.note import NoteError, Signer, SigningKeyError, Verifier

    try:
        if key is None:
            settings = read_settings(config, check_inputs=False)
            return Signer.load(settings.audit.origin, settings.audit.signing_key_file).verifier
        text = _read(Path(key)).decode("utf-8", "replace") if "+" not in key else key
        return Verifier.parse(text)
    except (NoteError, SigningKeyError) as error:
        raise CommandError(str(error)) from error


def _receipt(text: str) -> tuple[int, bytes]:
    index, _, leaf = text.partition(":")
    try:
        if len(leaf) == 64:
            return int(index), bytes.fromhex(leaf)
    except ValueError:
        pass
    raise CommandError(f"--receipt {text}: not of the form INDEX:HASH, with a hash of 64 hex digits")


def _read(path: Path) -> bytes:
    with _open(path) as file:
        return file.read(1 << 20)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from error
