"""The command line: one module a verb, each a function that typer reads; it returns its exit code.

0: done, and the verdict is yes. 1: the verdict is no. 2: wrong usage or settings.
"""

from __future__ import annotations

import sys

import typer

from ops import docs, review, up

app = typer.Typer(
    name="python -m ops",
    help="The operator's verbs. Exit codes: 0 done, 1 the verdict is no, 2 wrong usage or settings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.command)
app.command("review")(review.command)
app.command("docs", hidden=True)(docs.command)


def main() -> None:
    """Run the verb of sys.argv and exit with its code."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")  # help that was not asked for would be an error, exit code 2
    app()
