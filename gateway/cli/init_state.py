"""`portcullis init-state`: the identity state that a configuration names, made where it is missing."""

from pathlib import Path
from typing import Annotated

from gateway.cli.output import CommandError, Format, FormatOption, print_json, print_text
from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG, read_settings


def init_state(config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG, output: FormatOption = Format.text) -> None:
    """Make the empty tables of `identity.state.database`, and its secret's file where that is missing.

    Once for all replicas, before the first one starts. Tables that are there are never touched: exit code 2.
    """
    from gateway.app import create_identity_state, state_password
    from identity.sealing import Sealer, SecretFileError
    from identity.secret import SecretError
    from identity.state import StateUnavailableError

    state = read_settings(config, check_inputs=False).identity.state
    if state is None:
        raise CommandError(f"{config}: `identity.state` is missing: say there where sessions and keys are to be kept")
    made_secret = not state.secret_file.exists()
    try:
        if not made_secret:
            # No replica would start with a secret that others can read, or that is none: nothing is made before.
            Sealer.load(state.secret_file)
        create_identity_state(state.database, state_password(state))
        if made_secret:
            Sealer.create(state.secret_file)
    except (StateUnavailableError, SecretError, SecretFileError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    if output is Format.json:
        print_json({"database": state.database, "secret_file": str(state.secret_file), "secret_made": made_secret})
        return
    print_text(f"Made empty identity state in {state.database}.")
    print_text(f"{'Made' if made_secret else 'Kept'} the secret in {state.secret_file}: every replica needs the same.")
