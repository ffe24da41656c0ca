"""Judge what no plan covers: a foreign step that touched nothing is no evidence, and one that did proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.model.verdict import Finding, State

Step = Mapping[str, Any]
SERVED = 400
NO_MATCH = "No resources found"


def check(steps: Sequence[Step], *, uncovered: Sequence[str], promising: bool, proven: bool) -> list[Finding]:
    """Say unknown for steps without an effect, and for uncovered ones where nothing else is proof.

    `proven` says that a fault of ours was felt or an objective held; the hypothesis alone would hold as well if the
    step had done nothing.
    """
    found = []
    if useless := [f"step {step.get('name')!r} {why}" for step in steps if (why := no_evidence(step))]:
        found.append(Finding("steps", State.UNKNOWN, "; ".join(useless), "every step did what it says"))
    if uncovered and promising and not proven:
        found.append(
            Finding(
                "uncovered",
                State.UNKNOWN,
                f"no plan, cap or evidence covers {'; '.join(uncovered)}; the hypothesis alone proves nothing",
                "a fault felt, or an objective held",
            )
        )
    elif uncovered:
        found.append(Finding("uncovered", State.NOTED, f"not covered: {'; '.join(uncovered)}"))
    return found


def no_evidence(step: Step) -> str:
    """Say why a step is no evidence; empty when it may be one."""
    status, output, by = step.get("status"), step.get("output"), str(step.get("by", ""))
    if status not in ("succeeded", None):
        return f"{status}: {step.get('error') or ''}".rstrip(": ")
    if step.get("tolerance_met") is False:
        return f"is outside its tolerance: {output!r}"
    if not step.get("acts"):
        return ""
    if isinstance(output, list | dict | str) and not output:
        return "matched nothing"
    if _found_nothing(output):
        return "matched nothing"
    if step.get("changed") is False:
        return "asked the cluster and changed nothing"
    if failed := _commands(output):
        return f"ended {', '.join(failed)}"
    code = output.get("status") if isinstance(output, dict) else None
    if not isinstance(code, int):
        return ""
    if by.startswith("process ") and code:
        return f"ended with status {code}"
    return f"was answered {code}" if by.startswith("http ") and code >= SERVED else ""


def _commands(output: Any) -> list[str]:
    """Name the commands that a step ran and that did not end well, where it tells of each by an exit code."""
    told = [one for one in (output if isinstance(output, list) else [output]) if isinstance(one, dict)]
    codes = [(str(one.get("exit_code")), one.get("pod_name")) for one in told]
    failed = [(code, pod) for code, pod in codes if code.lstrip("-").isdecimal() and int(code)]
    return [f"with status {code}{f' in {pod}' if pod else ''}" for code, pod in failed]


def _found_nothing(output: Any) -> bool:
    """Say whether all that a command printed is kubectl's word for no match, with which it ends well."""
    told = [str(output.get(key) or "") for key in ("stdout", "stderr")] if isinstance(output, dict) else []
    lines = [line for text in told for line in text.splitlines() if line.strip()]
    return bool(lines) and all(line.startswith(NO_MATCH) for line in lines)
