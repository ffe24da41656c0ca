"""The `chaos` fixture, with the run that it drives replaced at its door."""

from __future__ import annotations

import pytest

from harness.errors import InjectionFailed, PreconditionFailed
from harness.model.plan import PlannedFault
from harness.model.verdict import Verdict
from harness.pytest_plugin import fixture
from tests.plugin.block import BROKEN, Run

pytest_plugins = ["pytester"]


def test_a_fault_lasts_as_long_as_its_block(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'PASS'"))
    result = pytester.runpytest("--strict-markers")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert did == ["start", "inject pod_kill {'grace': 0}", "heal shop/cart-0", "finish"]


def test_a_test_may_send_load_to_a_service_of_its_own(pytester, driven):
    driven()
    (pytester.path / "workloads").mkdir()
    (pytester.path / "workloads" / "carts.yaml").write_text("url: http://127.0.0.1:1/carts\n")
    for load in (
        'rate="20/s", url="http://127.0.0.1:1/carts"',
        '"carts", "20/s"',
        '"carts", stages=[{"rate": "20/s"}]',
    ):
        pytester.makepyfile(BROKEN.format(then="pass").replace('"list-agents", "20/s"', load))
        pytester.runpytest().assert_outcomes(passed=1)
        (call,) = fixture.Live.experiments[-1].load.calls
        assert (call.method, call.url) == ("GET", "http://127.0.0.1:1/carts")


def test_a_fault_is_healed_when_its_block_fails(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace("assert names ==", "assert not names, names =="))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    assert did[-2:] == ["heal shop/cart-0", "finish"]


def test_a_test_that_passes_when_it_is_run_again_has_passed(pytester, driven):
    did = driven()
    then = "assert chaos.verdict() == 'PASS'; assert next(TURNS)"
    pytester.makepyfile(BROKEN.format(then=then) + "\nTURNS = iter([False, True])\n")
    result = pytester.runpytest("-p", "pytest_rerunfailures", "--reruns", "1", "--junit-xml", "junit.xml")
    assert (result.ret, did.count("start")) == (0, 2)
    junit = (pytester.path / "junit.xml").read_text()
    assert junit.count("<testcase") == junit.count("chaos_verdict")


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.DEVIATED, 1), (Verdict.INCONCLUSIVE, 2), (Verdict.DIRTY, 6)])
def test_a_verdict_that_nobody_asked_for_counts_all_the_same(pytester, driven, verdict, code):
    driven(verdict)
    pytester.makepyfile(BROKEN.format(then="pass"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == code


def test_a_test_may_expect_a_deviation(pytester, driven):
    driven(Verdict.DEVIATED)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'DEVIATED'"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_nothing_excuses_dirty(pytester, driven):
    driven(Verdict.DIRTY)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'DIRTY'"))
    assert pytester.runpytest().ret == 6


def test_more_than_the_marker_allows_is_refused_before_anything_begins(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace('app=cart", pods=1', 'app=cart", pods=2'))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert did == []
    result.stdout.fnmatch_lines(["*the faults ask for 2 pods, the chaos marker allows 1"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('app=cart", pods=1', 'app=cart", pods=2', "*fix   @pytest.mark.chaos(pods=2), or ask for fewer"),
        (
            '@pytest.mark.chaos(namespaces=["shop"], pods=1)',
            "",
            '*fix   @pytest.mark.chaos(namespaces=[[]"shop"], pods=1)',
        ),
        ('chaos.load("list-agents", "20/s")', "", '*fix   chaos.load("execute-agent", "50/s")'),
        ("pods=1)\ndef", "pod=1)\ndef", "*unknown key 'pod' in the chaos marker"),
    ],
)
def test_a_refusal_speaks_of_the_test_and_not_of_a_document(pytester, driven, old, new, said):
    did = driven()
    text = BROKEN.format(then="pass")
    assert old in text
    pytester.makepyfile(test_it=text.replace(old, new))
    result = pytester.runpytest()
    result.stdout.fnmatch_lines([said])
    result.stdout.no_re_match_line(r".*test_it\.py::test_it:\d|.*blast.radius")
    assert (result.ret, did) == (4, [])


def test_positional_limits_are_refused_and_not_overlooked(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace('namespaces=["shop"]', '["shop"]'))
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["*the chaos marker takes its limits by name"])
    assert (result.ret, did) == (4, [])


def test_a_misspelt_fault_is_refused_with_the_word_that_was_meant(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace("pod_kill", "pod_kil"))
    pytester.runpytest().stdout.fnmatch_lines(["*did you mean 'pod_kill'*"])
    assert did == []


@pytest.mark.parametrize(
    "how",
    [
        'selector="app=cart", minimum_age="1m"',
        'annotations="chaos=yes", excluded_pod_names="canary"',
        'selector="app=cart", kinds=["ReplicaSet"]',
    ],
)
def test_a_test_says_of_a_target_what_a_document_may(pytester, driven, how):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace('selector="app=cart"', how))
    pytester.runpytest().assert_outcomes(passed=1)
    assert "inject pod_kill {'grace': 0}" in did


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("selector=", "selecter=", "selector"),
        ("namespace=", "namespase=", "namespace"),
        ("pods=1, grace", "pod=1, grace", "pods"),
        ("grace=", "grase=", "grace"),
        ("selector=", "anotations=", "annotations"),
        ("grace=", "durations=", "duration"),
    ],
)
def test_a_misspelt_argument_is_refused_with_the_one_that_was_meant(pytester, driven, old, new, meant):
    did = driven()
    head, call, rest = BROKEN.format(then="pass").partition("with chaos")
    assert old in rest
    pytester.makepyfile(head + call + rest.replace(old, new))
    result = pytester.runpytest()
    result.stdout.fnmatch_lines([f"*did you mean '{meant}'?"])
    assert (result.ret, did) == (4, [])


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("selector=", "selecter=", None),
        ("assert names ==", "chaos.load('mixed', '10/s'), names ==", None),
        ("grace=0", "grace=0", PreconditionFailed("no local cluster")),
    ],
)
def test_a_mistake_shows_the_tests_own_lines_and_none_of_ours(pytester, driven, old, new, refusal):
    driven(refuse=refusal)
    pytester.makepyfile(BROKEN.format(then="pass").replace(old, new))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*chaos*"])
    result.stdout.no_re_match_line(r".*(self\.gen|contextlib\.py|fixture\.py|__traceback)")


def test_a_heal_that_fails_does_not_hide_why_the_block_failed(pytester, driven, monkeypatch):
    driven()

    def heal(run: Run, faults: tuple[PlannedFault, ...]) -> None:
        raise InjectionFailed("not healed")

    monkeypatch.setattr(Run, "heal", heal)
    pytester.makepyfile(BROKEN.format(then="pass").replace("assert names ==", "assert 'mine' ==  names =="))
    result = pytester.runpytest()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*assert 'mine'*", "*not healed*"])


@pytest.mark.parametrize(
    ("refusal", "code"), [(PreconditionFailed("no local cluster"), 4), (InjectionFailed("not steady"), 2)]
)
def test_a_run_that_may_not_begin_is_told_once_with_its_own_code(pytester, driven, refusal, code):
    did = driven(refuse=refusal)
    pytester.makepyfile(BROKEN.format(then="pass"))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert (result.ret, did) == (code, [])


def test_a_refusal_that_the_test_expects_is_none(pytester, driven):
    driven(refuse=PreconditionFailed("no local cluster"))
    text = BROKEN.format(then="pass").replace("    with chaos", "    with pytest.raises(Exception), chaos")
    pytester.makepyfile(text)
    assert pytester.runpytest().ret == 0


def test_a_dry_run_breaks_nothing(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass"))
    result = pytester.runpytest("--chaos-dry-run")
    result.assert_outcomes(skipped=1)
    assert (result.ret, did) == (0, [])


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.DEVIATED, 1), (Verdict.INCONCLUSIVE, 2), (Verdict.ABORTED, 3), (Verdict.DIRTY, 6)],
)
def test_a_test_that_wanted_another_verdict_ends_with_the_code_of_the_one_it_got(pytester, driven, verdict, code):
    driven(verdict)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'PASS'"))
    assert pytester.runpytest().ret == code


def test_a_test_that_wanted_a_deviation_and_passes_is_a_deviation(pytester, driven):
    driven(Verdict.PASS)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'DEVIATED'"))
    assert pytester.runpytest().ret == 1


@pytest.mark.parametrize(
    ("then", "outcomes", "code"),
    [
        ("assert chaos.verdict() == 'PASS'", {"xfailed": 1}, 5),
        ("pass", {"passed": 1, "xfailed": 1}, 5),
        ("assert chaos.verdict() == 'INCONCLUSIVE'", {"passed": 1}, 5),
        ("assert False", {"failed": 1, "xfailed": 1}, 1),
    ],
)
def test_an_inconclusive_run_may_be_an_expected_failure(pytester, driven, then, outcomes, code):
    driven(Verdict.INCONCLUSIVE)
    pytester.makepyfile(BROKEN.format(then=then))
    result = pytester.runpytest("--chaos-inconclusive=xfail")
    result.assert_outcomes(**outcomes)
    assert result.ret == code


def test_another_fixture_that_fails_in_its_tear_down_fails_the_session(pytester, driven):
    driven()
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef other():\n    yield\n    assert False")
    text = BROKEN.format(then="assert chaos.verdict() == 'PASS'").replace("(chaos)", "(chaos, other)")
    pytester.makepyfile(text)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1


def test_what_the_run_said_is_shown_with_the_failure(pytester, driven):
    driven(Verdict.DEVIATED)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'PASS'"))
    pytester.runpytest().stdout.fnmatch_lines(["*chaos log call*", "the run says something"])


def test_a_verdict_inside_the_block_is_refused_where_it_is_asked_for(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace("assert names ==", "chaos.verdict() ==").replace("['", "['"))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert (result.ret, did[-2:]) == (4, ["heal shop/cart-0", "finish"])
    result.stdout.fnmatch_lines(["*the verdict was asked for inside a fault's block", "*fix   ask after*"])


def test_nothing_is_broken_after_the_verdict(pytester, driven):
    driven()
    then = "chaos.verdict()\n    with chaos.fault('pod_kill', namespace='shop', selector='app=cart', pods=0): pass"
    pytester.makepyfile(BROKEN.format(then=then))
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["*the run is over, so nothing can be broken"])
    assert result.ret == 4


@pytest.mark.parametrize(
    ("slo", "more", "promised"),
    [
        (True, "", {"availability": {"ratio": 0.99, "minimum-operations": 30}}),
        (False, "", {"recovery": {"within": 60.0, "steady": 1.0}}),
        (False, "chaos.phases(recovery='30s')", {"recovery": {"within": 30.0, "steady": 1.0}}),
    ],
)
def test_a_run_always_promises_something(pytester, driven, slo, more, promised):
    driven()
    seen = []
    fixture.Live.experiments = seen
    if slo:
        (pytester.mkdir("stack") / "slo.yaml").write_text("availability: {ratio: 99%}\n")
    text = BROKEN.format(then="pass").replace('chaos.promise("availability", ratio="99%")', more or "pass")
    pytester.makepyfile(text)
    assert pytester.runpytest().ret == 0
    assert {one.checker: dict(one.parameters) for one in seen[0].objectives} == promised


def test_what_holds_for_the_run_is_stated_before_the_first_fault(pytester, driven):
    driven()
    pytester.makepyfile(BROKEN.format(then="chaos.load('mixed', '10/s')"))
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["*load must be stated before the first fault"])
    assert result.ret == 4


def test_a_test_that_breaks_nothing_has_no_verdict(pytester, driven):
    did = driven()
    pytester.makepyfile("def test_it(chaos): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert (result.ret, did) == (0, [])
