"""`tfcourse data`: what sets there are, preparing and verifying them."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="The data sets: what is there, how large, which licence.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
