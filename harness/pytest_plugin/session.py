"""What a pytest session knows of its experiments: their outcomes, and the exit status they amount to."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from harness.documents.document import Given
from harness.engine.options import Options, Outcome
from harness.engine.preflight import overrides
from harness.errors import Exit, HarnessError
from harness.model.experiment import SETS, Experiment
from harness.model.verdict import Verdict, worst
from harness.pytest_plugin import summary, unread
from harness.pytest_plugin.summary import Ran
from harness.source.closed import nearest

if TYPE_CHECKING:
    from harness.chaostoolkit.live import Live

NAME = "harness-session"
# What pytest found wrong beside the experiments, in our codes; any other status is somebody's own and stays.
FOUND_WRONG: Mapping[int, int] = {
    pytest.ExitCode.TESTS_FAILED: Exit.DEVIATED,
    pytest.ExitCode.INTERNAL_ERROR: Exit.INTERNAL,
    pytest.ExitCode.USAGE_ERROR: Exit.USAGE,
}


def of(config: pytest.Config) -> Session:
    """Return the session's state; the first call registers the hooks that need it."""
    found = config.pluginmanager.get_plugin(NAME)
    if found is None:
        found = Session(config)
        config.pluginmanager.register(found, NAME)
        unread.bear(config)
    assert isinstance(found, Session)
    return found


@dataclass(eq=False)
class Session:
    """The experiments of one pytest session.

    `begun` names a document's experiment each time its turn comes. By node: `asked` holds the outcomes whose verdict a
    test asked for, `blamed` the codes of tests that failed, `told` the nodes whose set-up or tear-down has failed and
    is counted, `lines` what a run said since the last report, `live` the run that a test drives, `counted` the codes
    of what it could not do.
    """

    config: pytest.Config
    sets: dict[str, frozenset[str]] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    asked: dict[str, Outcome] = field(default_factory=dict)
    blamed: dict[str, int] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    live: dict[str, Live] = field(default_factory=dict)
    counted: dict[str, list[int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
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

    @cached_property
    def given(self) -> Given:
        """Say what the command line replaces in documents; raises UsageError for what cannot be read."""
        option, here = self.config.getoption, self.config.invocation_params.dir
        return overrides.read(
            option("chaos_var"), [here / path for path in option("chaos_var_file")], option="--chaos-var"
        )

    @contextmanager
    def following(self, item: pytest.Item) -> Iterator[Options]:
        """Let the terminal follow a run with -v, keep its lines for a failure, and count what it raises."""

        def say(line: str) -> None:
            self.lines.setdefault(item.nodeid, []).append(line)
            if self.config.get_verbosity() > 0:
                self._write(line)

        try:
            yield replace(self.options, say=say)
        except HarnessError as error:
            self._count(item.nodeid, int(error.exit))
            self.told.add(item.nodeid)
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        except Exception:
            self._count(item.nodeid, int(Exit.INTERNAL))
            self.told.add(item.nodeid)
            raise

    def _write(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
        if reporter:
            with uncaptured:
                reporter.ensure_newline()
                reporter.write_line(line)

    def _count(self, node: str, code: int) -> None:
        self.counted.setdefault(node, []).append(code)

    def refuse_after_end(self, item: pytest.Item) -> None:
        """Fail an item that somebody runs again although the session is to end: something may still be broken."""
        if item.session.shouldstop:
            pytest.fail(f"not run again: {item.session.shouldstop}", pytrace=False)

    def note(self, error: HarnessError) -> None:
        """Count an error into the session's exit status."""
        self.codes.append(int(error.exit))

    def remark(self, text: str) -> None:
        """Keep a remark for the end of the session; one is enough."""
        if text and not self.remarks:
            self.remarks.append(text)

    def excuses(self, outcome: Outcome) -> bool:
        """Say whether this outcome is an expected failure by `--chaos-inconclusive=xfail`."""
        return outcome.verdict is Verdict.INCONCLUSIVE and self.config.getoption("chaos_inconclusive") == "xfail"

    def finished(self, item: pytest.Item, name: str, expected: Verdict, outcome: Outcome) -> None:
        """Take in one outcome; what was left broken, or an interruption, ends the session."""
        self.live.pop(item.nodeid, None)
        self.ran.append(Ran(name, expected, outcome, item.nodeid))
        # Of an item that was run again the last run is told.
        item.user_properties = [one for one in item.user_properties if not one[0].startswith("chaos_")]
        item.user_properties += [
            ("chaos_verdict", str(outcome.verdict)),
            ("chaos_run", outcome.run),
            ("chaos_report", str(outcome.dir / "index.html")),
        ]
        if outcome.verdict is Verdict.DIRTY:
            item.session.shouldstop = f"{name} left something broken: {outcome.reason}; `{outcome.heal}` heals faults"
        elif outcome.exit == Exit.INTERRUPTED:
            item.session.shouldstop = f"{name} was interrupted and undone"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put repeats into rounds and keep the chosen set; raises UsageError for one that there is not."""
        # All that runs once stays where it is, in the first round.
        items.sort(key=lambda item: getattr(item, "turn", 1))
        self._require_stated([found for item in items if (found := getattr(item, "experiment", None))])
        chosen = self.config.getoption("chaos_set")
        if chosen is None or not self.sets:
            return
        known = sorted(frozenset().union(*self.sets.values()))
        if chosen not in SETS:
            raise pytest.UsageError(f"--chaos-set {chosen}: there is no such set; {nearest(chosen, SETS)}")
        if chosen not in known:
            self.codes.append(int(Exit.NOTHING_RAN))
            self.remarks.append(f"no experiment is in the set {chosen}, they are in {', '.join(known) or 'no set'}")
        others = [item for item in items if chosen not in self.sets.get(item.nodeid, {chosen})]
        self.config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]

    def _require_stated(self, experiments: Sequence[Experiment]) -> None:
        option, here = self.config.getoption, self.config.invocation_params.dir
        files = [here / path for path in option("chaos_var_file")]
        if experiments:
            try:
                overrides.require_stated(option("chaos_var"), files, experiments, option="--chaos-var")
            except HarnessError as error:
                raise pytest.UsageError(str(error)) from None

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> list[str]:
        """Warn before minutes are spent: the machine is too busy for a verdict, the stack lacks parts."""
        option = self.config.getoption
        if option("collectonly") or option("chaos_dry_run") or not any(item.nodeid in self.sets for item in items):
            return []
        from harness.cluster.host import machine
        from harness.nightly import parts

        experiments = [found for item in items if (found := getattr(item, "experiment", None))]
        warnings = [machine.warning(), parts.lacking(experiments, self.options)]
        return [f"! {warning}" for warning in warnings if warning]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a person's Ctrl-C from a session that stopped by itself."""
        self.interrupted |= excinfo.type is KeyboardInterrupt

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add to a report what its run has said since the last one, and a failed test the code of what failed it."""
        if lines := self.lines.pop(item.nodeid, []):
            item.add_report_section(call.when, "chaos log", "\n".join(lines))
        report = yield
        if report.failed and report.when == "call" and call.excinfo and "chaos" in getattr(item, "fixturenames", ()):
            self._blame(report, call.excinfo.value, ended=item.nodeid in self.live and self.live[item.nodeid].ended)
        return report

    def _blame(self, report: pytest.TestReport, error: BaseException, *, ended: bool) -> None:
        asked = self.asked.get(report.nodeid)
        # Whatever fails in a test whose run was cut short fails for that.
        self.blamed[report.nodeid] = int(Exit.ABORTED if ended else Exit.DEVIATED)
        if isinstance(error, HarnessError):
            self.blamed[report.nodeid] = int(error.exit)
        elif asked:
            self.blamed[report.nodeid] = asked.exit or int(Exit.DEVIATED)
            if self.excuses(asked):
                report.outcome, report.wasxfail = "skipped", f"INCONCLUSIVE: {asked.reason}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures that no run's verdict accounts for; of an item that is run again only the last time counts."""
        if str(report.outcome) == "rerun":  # pytest-rerunfailures' own
            self._again(report.nodeid)
            return
        counted = report.nodeid in self.sets or (report.when != "call" and report.nodeid in self.told)
        if report.failed and not counted:
            blamed = self.blamed.get(report.nodeid) if report.when == "call" else None
            self._count(report.nodeid, int(Exit.DEVIATED) if blamed is None else blamed)

    def _again(self, node: str) -> None:
        self.counted.pop(node, None)
        self.blamed.pop(node, None)
        self.asked.pop(node, None)
        self.told.discard(node)
        for number, one in enumerate(self.ran):
            # What was left broken, or a person's wish to end, is not made good by another try.
            if one.node == node and one.code not in (Exit.DIRTY, Exit.INTERRUPTED):
                self.ran[number] = replace(one, again=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the session's exit status the harness's exit code."""
        session.exitstatus = self.status(session.exitstatus)

    def status(self, pytest_status: int) -> int:
        """Fold everything that happened into one exit code, the worst; nothing judged is not a pass.

        Whatever pytest found wrong counts, also where no experiment knows of it: another fixture, a file, a plugin.
        """
        codes = [*self.codes, *(code for counted in self.counted.values() for code in counted)]
        codes += [ran.code for ran in self.ran if not ran.again and not self.excuses(ran.outcome)]
        if self.interrupted:
            codes.append(int(Exit.INTERRUPTED))
        if pytest_status == pytest.ExitCode.INTERNAL_ERROR:
            codes.append(int(Exit.INTERNAL))
        found = worst(codes) if codes or self.ran else int(pytest_status)
        content = pytest_status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if content or (codes and found not in (Exit.PASS, Exit.NOTHING_RAN)):
            return found
        if pytest_status == pytest.ExitCode.INTERRUPTED:
            return int(Exit.ABORTED if self.ran else Exit.USAGE)
        return int(FOUND_WRONG.get(pytest_status, pytest_status))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show plans, verdicts, evidence and time."""
        for remark in self.remarks:
            terminalreporter.write_line(remark)
        summary.write(terminalreporter, self.ran, self.plans, self.config.getoption("chaos_set"))
        if self.config.getoption("chaos_repeat") > 1:
            summary.tally(terminalreporter, self.ran, self.begun)
