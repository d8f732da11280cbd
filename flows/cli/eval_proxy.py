"""Breaks the tools of an agent on purpose, from outside: `aftercall eval proxy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import ExitCode, UsageError
from flows.cli.answers import print_sentence
from flows.cli.eval_options import Inject, Seed
from flows.cli.options import span


def proxy(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND...]", help="An MCP server over standard input, after `--`.")
    ] = None,
    *,
    inject: Inject,
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the tools are: requests go there, under its path.")
    ] = None,
    seed: Seed = 0,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Where it listens; what reaches it reaches the tools.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Where it listens; 0: any that is free.")
    ] = 0,
    hold: Annotated[
        str, typer.Option(metavar="SPAN", help="How long a tool that times out leaves the agent without an answer.")
    ] = "30s",
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append what was broken, for `eval run --fault-log`.")
    ] = None,
) -> None:
    """Stand between an agent and its tools, and break what `--inject` says, until it is stopped (SIGTERM or ctrl-C).

    With --upstream it is a proxy for tools over HTTP and prints its address; with a command after `--` it is one for an
    MCP server, and speaks on standard input and output as that server does.
    """
    from aftercall.evals.faults.injection import Injections

    if (upstream is None) == (not command):
        raise UsageError("--upstream: must be given, or a command after `--`, and not both (name where the tools are)")
    injections = Injections.parse(inject, seed)
    hold_s = span(hold, "--hold").total_seconds()

    from flows.evaluation.proxies import serve_http, serve_mcp

    if upstream is None:  # its standard error is that of the server: silent where all is well
        code, struck = serve_mcp(command or [], injections, log)
        sentences = [f"the server ended with exit code {code}"] if code else []
    else:
        struck = serve_http(upstream, injections, (host, port), hold_s, log)
        code, sentences = 0, struck.sentences()
    for sentence in (*sentences, *struck.losses()):
        print_sentence(sentence)
    if code or struck.unlogged:
        raise typer.Exit(ExitCode.FAILED)
