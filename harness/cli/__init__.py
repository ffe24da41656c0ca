"""The `harness` command: a few verbs, each answers one question."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from typing import Any

import click

from harness.errors import Exit, HarnessError

COMMANDS = {
    "doctor": "Can I run here?",
    "up": "Bring up the local cluster and the reference stack; repair what is broken.",
    "down": "Remove the local cluster, or a part of the stack; what was built stays.",
    "parts": "Which parts has the stack, what does each cost, and is it there?",
    "clean": "Remove the local cluster and what was built, and give the machine back as it was.",
    "agent": "Put the agents on a cluster's nodes, or take them away: faults inside of pods and of packets need them.",
    "release": "Release another version of the orchestrator, and follow it until it is promoted or rolled back.",
    "plan": "What would be touched? Name every target, touch nothing; or print the rights that are needed.",
    "run": "Run experiments and judge them.",
    "nightly": "Run a set, tell flips from regressions, compare with earlier nights.",
    "schedule": "Run experiments again and again, each when its document says so.",
    "gameday": "Plan, approve, run and close a game day: hold points, a log, results.",
    "import": "Make experiments of what chaoskube's or Litmus' own files ask for.",
    "undo": "Make it clean again: heal everything that is still broken on purpose.",
    "faults": "What is broken on purpose right now?",
    "fingerprint": "Is everything as it was found? Print or compare the cluster's fingerprint.",
    "keeper": "Stop, freeze and enter nodes of another cluster by commands of yours, and undo it when a run dies.",
    "lever": "Stop every run on this cluster and refuse new ones.",
    "list": "Which experiments are there?",
    "runs": "Which runs were there?",
    "show": "Show a run: its end, or its log.",
    "analyse": "Would this canary be promoted? Judge it as Argo Rollouts, Flagger or Kayenta does.",
    "report": "Rebuild a run's report from its journal.",
    "crds": "Print the definitions of the harness's resources, for a cluster that is not the local one.",
    "explain": "Explain a fault, an objective, a row of a report, a verdict, an error or an exit code.",
}

# What a disk, a folder or a limit of the system refuses is no bug of ours.
REFUSED = (
    "EACCES", "EDQUOT", "EEXIST", "EFBIG", "EISDIR", "ELOOP", "EMFILE", "ENAMETOOLONG", "ENOENT", "ENOSPC", "ENOTDIR",
    "EPERM", "EROFS",
)  # fmt: skip

EPILOG = """\b
First steps:
  harness up                                         a cluster on this machine
  harness plan experiments/orchestrator              what would be touched?
  harness run experiments/orchestrator/pod_kill.yaml
  harness clean                                      all of it goes again
  harness doctor --context NAME                      another cluster; HARNESS_CONTEXTS must list NAME

\b
Exit codes:
  0 PASS        1 DEVIATED      2 INCONCLUSIVE   3 ABORTED, undone
  4 usage       5 nothing ran   6 DIRTY          7 internal
  130 interrupted and undone
An experiment that ends as it declares (`expect`) counts as PASS.
"""


class Suggesting(click.Group):
    """A group that says which command was meant where one is misspelt."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error
            raise


class Lazy(Suggesting):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        # Not by `list`: the command of that name stands in its place here once it has been imported.
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"harness.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


class Patient(io.RawIOBase):
    """A stream that may be cut: what nobody takes any more goes nowhere, and the command to its own end.

    A reader may leave (`| head`), which is fine; `lost` holds why anything else could not be written.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.lost: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        try:
            return os.write(self._descriptor, data)
        except BrokenPipeError:
            pass
        except OSError as error:
            self.lost = self.lost or error
        return len(data)


class Plain(io.TextIOWrapper):
    """A text stream that shows its bytes to nobody: click would write UTF-8 to them where the terminal takes ASCII."""

    buffer = None  # type: ignore[assignment]


def _patient(name: str) -> Patient | None:
    """Make one standard stream patient; None when it is no file, as in a test.

    What its encoding cannot hold is replaced: a pod's name in another script must not cost the verdict.
    """
    # click would end the command with 1, which means DEVIATED.
    stream = getattr(sys, name)
    if not isinstance(stream, io.TextIOWrapper):
        return None
    raw = Patient(stream.fileno())
    errors = "backslashreplace" if stream.errors == "backslashreplace" else "replace"
    patient = Plain(io.BufferedWriter(raw), stream.encoding, errors, line_buffering=stream.line_buffering)
    setattr(sys, name, patient)
    return raw


def _open_closed() -> None:
    """Open what of the three standard streams is closed: else the next file that is opened becomes one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


@click.group(
    cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="kube-chaos-harness", prog_name="harness")
def group() -> None:
    """Break a Kubernetes cluster on purpose, judge by evidence what was promised of it, and put it back."""


def main() -> None:
    """Run the command line; a user's mistake ends in one clear error and exit code 4, never in a traceback."""
    _open_closed()
    out = _patient("stdout")
    _patient("stderr")
    code = _run()
    if code == Exit.INTERRUPTED:
        # Whoever presses Ctrl-C again and again has had his wish: from here on it would only spoil the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if out:
        sys.stdout.flush()
        if out.lost:
            click.echo(f"error: standard output: not everything could be written: {out.lost.strerror}", err=True)
            # A verdict is worth more than its listing.
            code = code or Exit.USAGE
    sys.exit(code)


def _run() -> int:
    try:
        group.main(standalone_mode=False)
    except SystemExit as end:
        return int(end.code or 0)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except HarnessError as error:
        from harness.cli import errors

        errors.show(error)
        return error.exit
    except Exception as error:
        if isinstance(error, OSError) and errno.errorcode.get(error.errno or 0) in REFUSED:
            click.echo(f"error: {error.filename or 'a file'}: {error.strerror}", err=True)
            return Exit.USAGE
        import traceback

        traceback.print_exc()
        click.echo(
            "error: this is a bug in the harness; `harness undo` makes sure that nothing is left behind", err=True
        )
        return Exit.INTERNAL
    return Exit.PASS
