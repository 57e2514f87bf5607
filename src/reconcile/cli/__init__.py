"""The command line: parses, calls, picks a renderer, sets the exit code; no logic.

Every command is a module `cli/NAME.py` with a click command called `command`. Only the one that is asked for
is imported; the table below has what `--help` lists, and a test compares the two.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from reconcile.cli.context import Invocation
from reconcile.exits import Exit

COMMANDS = {
    "init": "Write a commented starter project.",
    "validate": "Check the project's files; needs no server and no environment variable.",
    "plan": "Show what has to change so that the stores are as declared.",
    "check": "Ask every store what would stop an apply; changes nothing.",
    "apply": "Carry out a plan: a saved one, or a new one after asking.",
    "release": "Carry out contract steps that wait; plan again what was rolled back.",
    "rollback": "Take back what a run changed, as a plan like any other.",
    "backfill": "List backfills, try one without writing, run it, run it again, take it back.",
    "kept": "List what removals kept, bring it back, delete it for good.",
    "show": "Print a saved plan as `plan` printed it, or the report of a run.",
    "drift": "Show what moved in the stores since the last apply.",
    "verify": "Check that what the stores hold agrees with what is declared, and that all declared checks pass.",
    "migrate": "Run hand-written migrations, each once and in order, from folders as they are.",
    "import": "Write YAML from live stores.",
    "status": "Show the ledger: lock, what a run is at, what waits, what is recorded.",
    "history": "List the runs of this project and environment, newest first.",
    "graph": "Draw a plan's steps and their order as a Mermaid diagram.",
    "backup": "Save all stores into files; list, verify and prune what was saved.",
    "restore": "Put a backup back, or try it in scratch places.",
    "forget": "Stop managing addresses, leaving the stores alone.",
    "unlock": "Release the lock that a dead run left behind.",
    "sandbox": "Run real PostgreSQL + pgvector, Neo4j, Qdrant and Redis on this machine, on loopback.",
    "version": "Print the version.",
}
"""The commands in the order of a project's life, each with its line of help."""


class Lazy(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object, with `-C` and `-e` added to it."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('import', 'import_')}")
        command: click.Command = module.command
        own = [command]
        if isinstance(command, click.Group):  # those of a project take them too, after their members' names
            alone, members = command.invoke_without_command, command.commands.values()
            of_project = alone or getattr(module, "OF_A_PROJECT", False)
            own = [*([command] if alone else []), *(members if of_project else [])]
        for each in own:
            taken = {name for parameter in each.params for name in parameter.opts}
            each.params += [o for o in _globals() if not taken.intersection(o.opts)]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a mistyped name."""
        name = args[0] if args else ""
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else "."
        raise click.UsageError(f'there is no command "{name}"{meant}', ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that `--help` imports nothing."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in Exit])


def _directory(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Invocation).directory = value


def _environment(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Invocation).environment = value


def _globals() -> list[click.Option]:
    """The options every command has, before and after its name."""
    return [
        click.Option(
            ["-C", "--directory"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=_directory,
            help="Folder of reconcile.yaml; default: this one.",
        ),
        click.Option(
            ["-e", "--environment"],
            metavar="ENV",
            expose_value=False,
            callback=_environment,
            help="Environment of the project; default: its default_environment.",
        ),
    ]


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from reconcile import __version__

        click.echo(f"reconcile {__version__}")
        ctx.exit()


@click.pass_context
def _begin(ctx: click.Context) -> None:
    ctx.ensure_object(Invocation)


root = Lazy(
    name="reconcile",
    params=[
        *_globals(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Print the version.",
        ),
    ],
    callback=_begin,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Keep the schemas of PostgreSQL with pgvector, Neo4j and Qdrant as they are declared in YAML: "
    "read the live stores, compare, review one plan over all of them, apply it.",
)
"""The `reconcile` command."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors go to stderr; nothing is raised but `SystemExit`."""
    invocation = Invocation()
    try:
        code = root.main(
            args=None if arguments is None else list(arguments),
            prog_name="reconcile",
            standalone_mode=False,
            obj=invocation,
        )
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.ERROR
    except click.ClickException as error:
        error.show()
        return Exit.ERROR  # click's own 2 would read as "drift found"
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return Exit.ERROR
    except BrokenPipeError:
        from reconcile.cli.terminal import silence

        silence()  # the reader went away: `| head`
        return Exit.ERROR
    except Exception as error:  # whatever is left is printed with its exit code, and never hidden
        from reconcile.cli.failure import report

        contacts = invocation.loaded.contacts if invocation.loaded is not None else ()
        return report(error, invocation.secrets(), contacts)
    return int(code or Exit.CLEAN)


def main() -> None:
    """The console script."""
    gc.set_threshold(1_000_000, 50, 50)  # a plan makes a million small objects and drops few: a fifth less
    sys.setswitchinterval(0.0005)  # what a server sends is taken while YAML is parsed: each part waited 5 ms for that
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us (`>&-`): what is written goes nowhere
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # symbols must not break an ASCII terminal
    code = run()
    gc.freeze()  # else the interpreter, ending, looks for cycles among all there is: a tenth of a plan of 1,000 tables
    sys.exit(code)
