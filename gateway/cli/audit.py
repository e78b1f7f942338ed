"""`portcullis audit`: search, export and verify the audit log."""

import typer

app = typer.Typer(help="Search, export and verify the audit log.", no_args_is_help=True)
