"""The command line. Imports no TensorFlow: `tfcourse list` answers at once.

Exercise code runs in child processes (`check_process`, `child`). A user's mistake is one
line on standard error and exit code 2.
"""

from __future__ import annotations

import sys

import typer

from tfcourse import (
    cli_author,
    cli_compress,
    cli_data,
    cli_doctor,
    cli_learn,
    cli_run,
)
from tfcourse.errors import UserError

app = typer.Typer(
    name="tfcourse",
    help="A TensorFlow-native deep-learning course that runs. Start: tfcourse list",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command, example in (
    (cli_learn.list_exercises, "list --json"),
    (cli_learn.start, "start 1 --notebook"),
    (cli_learn.check, "check 1 --task train --watch"),
    (cli_learn.hint, "hint 1"),
    (cli_learn.solution, "solution 1 --reveal"),
    (cli_run.run, "run 1 --tier lab --set learning_rate=0.05 --seed 1"),
    (cli_run.board, "board 1"),
    (cli_run.results, "results --json"),
    (cli_doctor.doctor, "doctor logs/runs/mine --json"),
    (cli_compress.compress, "compress mine.keras --data mnist --recipe recipe.toml"),
    (cli_author.new, "new 32 my_topic"),
    (cli_author.sync, "sync --check"),
    (cli_author.verify, "verify 1 --seeds 20"),
):
    app.command(example.split()[0], epilog=f"Example: tfcourse {example}")(command)
app.add_typer(cli_data.app, name="data")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the console script's entry point."""
    try:
        code = app(arguments, prog_name="tfcourse", standalone_mode=False)
    except UserError as error:
        code = _complain(str(error))
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            sys.exit(2)
        code = _complain(f"{error.format_message()} (see: tfcourse --help)")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code or 0)


def _complain(message: str) -> int:
    print(f"tfcourse: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
