"""What a pytest session knows of its experiments: their outcomes, and the exit status they amount to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from harness.engine.options import Options, Outcome
from harness.errors import Exit, HarnessError
from harness.model.closed import nearest
from harness.model.verdict import Verdict, worst
from harness.pytest_plugin import summary
from harness.pytest_plugin.summary import Ran

T = TypeVar("T")
NAME = "harness-session"


def of(config: pytest.Config) -> Session:
    """Give the session's state; the first call registers the hooks that need it."""
    found = config.pluginmanager.get_plugin(NAME)
    if found is None:
        found = Session(config)
        config.pluginmanager.register(found, NAME)
    assert isinstance(found, Session)
    return found


@dataclass(eq=False)
class Session:
    """The experiments of one pytest session."""

    config: pytest.Config
    sets: dict[str, frozenset[str]] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    interrupted: bool = False

    @property
    def options(self) -> Options:
        """Say where runs go, from the command line."""
        option = self.config.getoption
        return Options(
            kubeconfig=option("chaos_kubeconfig"),
            context=option("chaos_context"),
            seed=option("chaos_seed"),
            runs=self.config.invocation_params.dir / option("chaos_runs"),
            dry_run=option("chaos_dry_run"),
        )

    @contextmanager
    def following(self, item: pytest.Item) -> Iterator[Options]:
        """Let the terminal follow a run with -v, keep its lines for a failure, and count what it raises."""
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if self.config.get_verbosity() > 0:
                self._write(line)

        try:
            yield replace(self.options, say=say)
        except HarnessError as error:
            self.note(error)
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        except Exception:
            self.codes.append(int(Exit.INTERNAL))
            raise
        finally:
            if lines:
                item.add_report_section("setup", "chaos log", "\n".join(lines))

    def _write(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
        if reporter:
            with uncaptured:
                reporter.ensure_newline()
                reporter.write_line(line)

    def note(self, error: HarnessError) -> None:
        """Count an error into the session's exit status."""
        self.codes.append(int(error.exit))

    def finished(self, item: pytest.Item, name: str, expected: Verdict, outcome: Outcome) -> None:
        """Take in one outcome; what was left broken, or an interruption, ends the session."""
        self.ran.append(Ran(name, expected, outcome))
        self.told.add(item.nodeid)
        item.user_properties += [
            ("chaos_verdict", str(outcome.verdict)),
            ("chaos_run", outcome.run),
            ("chaos_report", str(outcome.dir / "index.html")),
        ]
        if outcome.verdict is Verdict.DIRTY:
            item.session.shouldstop = f"{name} left something broken: `harness undo` makes it clean again"
        elif outcome.exit == Exit.INTERRUPTED:
            item.session.shouldstop = f"{name} was interrupted and undone"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the experiments of the chosen set; raises UsageError for a set that no experiment is in."""
        chosen = self.config.getoption("chaos_set")
        if chosen is None or not self.sets:
            return
        known = sorted(frozenset().union(*self.sets.values()))
        if chosen not in known:
            raise pytest.UsageError(f"--chaos-set {chosen}: no experiment is in this set; {nearest(chosen, known)}")
        others = [item for item in items if chosen not in self.sets.get(item.nodeid, {chosen})]
        self.config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a person's Ctrl-C from a session that stopped by itself."""
        self.interrupted |= excinfo.type is KeyboardInterrupt

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures of ordinary tests of the same session."""
        judged = report.nodeid in self.sets or (report.when == "teardown" and report.nodeid in self.told)
        if report.failed and not judged:
            self.codes.append(int(Exit.DEVIATED))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the session's exit status the harness's exit code."""
        session.exitstatus = self.status(session.exitstatus)

    def status(self, pytest_status: int) -> int:
        """Fold everything that happened into one exit code, the worst; nothing judged is not a pass."""
        lenient = self.config.getoption("chaos_inconclusive") == "xfail"
        judged = [ran for ran in self.ran if not (lenient and ran.outcome.verdict is Verdict.INCONCLUSIVE)]
        codes = [*self.codes, *(ran.code for ran in judged)]
        if self.interrupted:
            codes.append(int(Exit.INTERRUPTED))
        if pytest_status == pytest.ExitCode.INTERNAL_ERROR:
            codes.append(int(Exit.INTERNAL))
        if pytest_status == pytest.ExitCode.USAGE_ERROR or (pytest_status == pytest.ExitCode.INTERRUPTED and not codes):
            codes.append(int(Exit.USAGE))
        if codes:
            return worst(codes)
        return int(Exit.NOTHING_RAN) if self.ran else int(pytest_status)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show plans, verdicts, evidence and time."""
        summary.write(terminalreporter, self.ran, self.plans, self.config.getoption("chaos_set"))
