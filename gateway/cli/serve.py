"""`portcullis serve`: run the gateway."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import CommandError
from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG, read_settings


def serve(config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG) -> None:
    """Run the gateway until it is told to stop (SIGINT, SIGTERM).

    Exit code 2 where it can't start: a wrong configuration, a policy that does not load, an address in use.
    """
    settings = read_settings(config)
    from audit.note import SigningKeyError
    from gateway.app import serve as run
    from gateway.policy.findings import BundleError
    from identity.secret import SecretError

    try:
        run(settings)
    except BundleError as error:
        raise CommandError(f"the policy in {settings.policies} does not load:\n{error}") from error
    except (SecretError, SigningKeyError) as error:
        raise CommandError(str(error)) from error
    except SystemExit as end:
        # uvicorn has logged why it could not listen, and ends with 1, which says "a finding" here.
        raise typer.Exit(2 if end.code else 0) from end
