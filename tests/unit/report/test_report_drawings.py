"""The drawings: nothing joined over a gap, nothing live from outside, nothing unreadable."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.checkers.machine import Reading
from harness.journal.event import Event
from harness.model.history import Operation
from harness.model.verdict import Finding, State
from harness.report import html, junit, markdown, terminal, timeline, words
from harness.report.values import Bucket, Fault, Line, Mark, Span, View
from harness.report.view import build

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J]]>`|@all #1 **b**"
TEMPLATES = Path(html.__file__).parent / "templates"
VOID = {"meta", "br", "img", "link"}


def hostile():
    log: list[Event] = []
    for type, data in (
        ("run.start", {"run": HOSTILE, "title": HOSTILE, "path": HOSTILE, "hypothesis": HOSTILE, "context": HOSTILE}),
        ("plan", {"faults": [{"id": "a", "kind": HOSTILE, "victim": {"name": HOSTILE, "uid": HOSTILE}}]}),
        ("phase.start", {"name": HOSTILE}),
        ("fault.injected", {"id": "a", "facts": {HOSTILE: HOSTILE}}),
        ("fault.felt", {"id": "a", "evidence": {HOSTILE: HOSTILE}}),
        ("undo", {"id": "a", "ok": False, "how": HOSTILE, "ops": [{"op": HOSTILE, "argv": [HOSTILE]}]}),
        ("sample", {"series": f"ready/{HOSTILE}", "value": 0, "labels": {"desired": "1"}}),
        ("sample", {"series": f"breaker/{HOSTILE}", "value": 2, "labels": {"pod": HOSTILE}}),
        ("sample", {"series": "machine/others", "value": 0.9, "labels": {f"by/{HOSTILE}": "0.9"}, "time": 3.0}),
        ("sample", {"series": "machine/idle", "value": 0.01, "labels": {}, "time": 3.0}),
        ("k8s.event", {"kind": HOSTILE, "name": HOSTILE, "reason": HOSTILE, "message": HOSTILE}),
        ("eviction", {"pod": HOSTILE, "status": HOSTILE}),
        ("abort", {"trigger": HOSTILE, "why": HOSTILE, "latency": 0.1}),
        ("error", {"what": HOSTILE, "where": HOSTILE, "why": HOSTILE, "hint": HOSTILE}),
        ("finding", {"checker": HOSTILE, "state": HOSTILE, "summary": HOSTILE, "target": HOSTILE}),
        ("verdict", {"verdict": "DEVIATED", "expected": HOSTILE, "reason": HOSTILE, "seconds": 1.0}),
    ):
        log.append(Event(len(log) + 1, 1e9, float(len(log)), "hold", type, data))
    return build(log)


class Elements(HTMLParser):
    """Count what a browser would make of a page, and check that it is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.names, self.open, self.attributes = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_keeps_hostile_text_inert():
    page = Elements(html.draw(hostile()))
    assert not {"script", "img", "iframe", "link", "object"} & set(page.names)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not page.open


def test_page_asks_no_network():
    page = Elements(html.draw(hostile()))
    links = [value for _, name, value in page.attributes if name in ("src", "href", "action")]
    assert links == ["journal.jsonl"]
    assert "url(http" not in html.draw(hostile())


def test_page_names_every_element_once():
    page = Elements(html.draw(hostile()))
    names = [value for _, name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    referred = {value for _, name, value in page.attributes if name == "aria-labelledby"}
    assert {word for value in referred for word in value.split()} <= set(names)


def test_junit_of_hostile_text_is_one_well_formed_case():
    root = ElementTree.fromstring(junit.draw([(hostile(), Path("r"))]))
    assert len(root.findall("testsuite/testcase")) == 1


def test_summary_of_hostile_text_holds_no_element_of_its_own():
    found = set(re.findall(r"</?([a-z]+)", markdown.draw(hostile())))
    assert found == {"details", "summary", "code", "pre"}


def test_summary_never_mentions_anybody():
    assert "@all" not in markdown.draw(hostile())


def test_summary_links_nowhere():
    text = markdown.plain("see www.evil.example, WWW.evil.example and https://evil.example or a@evil.example")
    assert not re.search(r"(?i)www\.|://|@", text)


def test_block_of_hostile_text_holds_no_escape_sequence():
    assert "\x1b" not in terminal.draw(hostile())


def test_line_over_a_gap_is_two_lines():
    seconds = [
        Bucket(float(t), 10, 0, 1.0, 0.01, 0.02, 0.03) if t not in (3, 4) else Bucket(float(t)) for t in range(8)
    ]
    view = View(end=8.0, buckets=tuple(seconds), gaps=((3.0, 5.0),), phases=(Span("hold", 0.0, 8.0),))
    drawing = timeline.lay_out(view)
    lines = [path.d for path in drawing.paths if path.style == "line good"]
    left, right = drawing.time(3.0), drawing.time(5.0)
    assert len(lines) == 2
    for line in lines:
        xs = [float(x) for x in re.findall(r"([\d.]+) [\d.]+", line)]
        assert all(x <= left for x in xs) or all(x >= right for x in xs)


def test_gap_is_hatched_and_named_in_words():
    view = View(end=8.0, buckets=(Bucket(0.0, 1, 0, 1.0, 0.1, 0.1, 0.1), Bucket(1.0)), gaps=((1.0, 2.0),))
    assert "no data from 1 s to 2 s" in {rect.title for rect in timeline.lay_out(view).rects}
    assert "There is no data from 1 s to 2 s." in html.describe(view)


def test_fault_window_is_shaded_through_every_lane():
    view = View(end=10.0, window=(2.0, 6.0), faults=(Fault("a", injected=2.0, felt=3.0, healed=6.0),))
    drawing = timeline.lay_out(view)
    shade = next(rect for rect in drawing.back if rect.style == "window")
    assert (shade.x, round(shade.x + shade.width, 1)) == (drawing.time(2.0), drawing.time(6.0))
    assert all(shade.y <= rect.y <= shade.y + shade.height for rect in drawing.rects)


def test_many_faults_are_counted_not_all_drawn():
    faults = tuple(Fault(str(number), kind="pod_kill", injected=1.0) for number in range(40))
    drawing = timeline.lay_out(View(end=5.0, faults=faults))
    assert "and 24 more" in {text.text for text in drawing.texts}


@pytest.mark.parametrize(
    ("verdict", "right", "outcome"),
    [
        ("PASS", True, None),
        ("DEVIATED", True, None),
        ("PASS", False, "failure"),
        ("DEVIATED", False, "failure"),
        ("INCONCLUSIVE", False, "failure"),
        ("ABORTED", False, "error"),
        ("DIRTY", False, "error"),
        ("DIRTY", True, "error"),
        ("unfinished", False, "error"),
    ],
)
def test_junit_tells_a_broken_promise_from_a_run_without_an_end(verdict, right, outcome):
    suite = ElementTree.fromstring(junit.draw([(View(verdict=verdict, right=right), Path("r"))]))[0]
    case = suite.find("testcase")
    assert case is not None
    assert [child.tag for child in case if child.tag != "properties"] == ([outcome] if outcome else [])
    assert (suite.get("failures"), suite.get("errors")) == (
        str(int(outcome == "failure")),
        str(int(outcome == "error")),
    )


def test_summary_is_cut_to_what_a_job_shows_and_says_so():
    log = tuple(Line(float(t), "hold", "step", "é" * 400) for t in range(3000))
    text = markdown.draw(View(run="r", log=log))
    assert len(text.encode()) <= markdown.MOST_BYTES
    assert text.count("<details>") == text.count("</details>")
    assert text.count("<pre>") == text.count("</pre>")
    assert "the journal has it all" in text


def test_gantt_takes_no_punctuation_from_outside():
    view = View(phases=(Span("a: b; c # d", 0.0, 0.0),), aborts=(Mark(1.0, "abort: x, y", ""),), end=2.0)
    gantt = markdown.draw(view).partition("```mermaid")[2].partition("```")[0]
    assert "  a b c d : 0, 1" in gantt
    assert "  abort x y : milestone, 1000, 1001" in gantt


def test_block_fits_its_width_and_keeps_commands_whole():
    finding = Finding("disruption-budget", State.BROKEN, "word " * 60, "t" * 50, "b" * 40, "f", "r")
    view = View(
        run="r", path="experiments/x y.yaml", seed="1", findings=(finding,), verdict="DEVIATED", reason="w " * 99
    )
    lines = terminal.draw(view, width=100).splitlines()
    assert "harness run 'experiments/x y.yaml' --seed 1" in terminal.draw(view, width=20)
    assert all(len(line) <= 100 for line in lines)


def test_block_says_only_once_what_a_row_says():
    finding = Finding("availability", State.BROKEN, "3 of 9 failed")
    view = View(findings=(finding,), verdict="DEVIATED", reason="availability: 3 of 9 failed")
    assert terminal.draw(view).count("3 of 9 failed") == 1


def test_an_error_of_the_run_counts_as_no_promise_and_has_its_own_line():
    findings = (Finding("recovery", State.HELD, ""), Finding("run", State.UNKNOWN, "no answer"))
    view = View(findings=findings, verdict="INCONCLUSIVE", errors=({"what": "no answer", "hint": "harness up"},))
    block = terminal.draw(view)
    assert "1 of 1 held" in block
    assert block.count("no answer") == 1
    assert "error  no answer (fix: harness up)" in block


def test_undone_is_said_only_when_nothing_is_owed():
    owed = Fault("a", injected=1.0)
    assert words.undo(View(faults=(owed,))) == "NOT UNDONE: 1"
    assert words.undo(View(verdict="DIRTY")) == "NOT UNDONE"
    assert words.undo(View()) == "nothing to undo"


def colors(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(color):
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    block = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), re.S)[scheme]
    color = {"faint": "#ffffff"} | colors(block)
    washes = ("good", "bad", "doubt", "stop", "plain")
    pairs = [("text", "page"), ("text", "panel"), ("soft", "panel"), ("line", "panel"), ("text", "phase0")]
    pairs += [("text", "phase1"), ("panel", "bad"), ("bad", "panel"), ("stop", "panel")]
    pairs += [pair for name in washes for pair in ((name, f"{name}-wash"), ("soft", f"{name}-wash"))]
    for front, back in pairs:
        dark, light = sorted((luminance(color[front]), luminance(color[back])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_operations_of_a_dead_load_are_drawn_as_far_as_they_go():
    log = [Event(1, 1e9, 0.0, "baseline", "load.started", {"rate": 10})]
    view = build(log, [Operation(0.5, 0.5, 0.6, 200)])
    assert "operations" in html.draw(view)


def reading(start, end, **shares):
    told = {"idle": 0.5, "others": 0.1, "steal": 0.0, "cluster": 0.3, "harness": 0.1} | shares
    return Reading(start, end, **told)


def test_a_starved_second_is_marked_and_says_who_took_it():
    hogged = reading(1.0, 2.0, idle=0.02, others=0.48, names={"yes": 0.46})
    drawing = timeline.lay_out(View(end=4.0, machine=(reading(0.0, 1.0), hogged, reading(2.0, 3.0))))
    marked = [rect for rect in drawing.rects if rect.style == "starved"]
    assert [(rect.x, rect.x + rect.width) for rect in marked] == [(drawing.time(1.0), drawing.time(2.0))]
    assert marked[0].title == "1.0 s to 2.0 s: others took 48 % (yes), 2 % was idle"


def test_the_machine_is_not_drawn_over_a_gap_nor_where_it_was_never_seen():
    seen = (reading(0.0, 1.0), reading(1.0, 2.0), reading(2.0, 3.0, cluster=None, others=None), reading(3.0, 4.0))
    drawing = timeline.lay_out(View(end=4.0, machine=seen))
    areas = [path for path in drawing.paths if path.style == "cpu cluster"]
    assert [path.title for path in areas] == [
        "cluster and harness used 40 % of the CPU from 0.0 s to 2.0 s, at most 40 %",
        "cluster and harness used 40 % of the CPU from 3.0 s to 4.0 s, at most 40 %",
    ]
    unknown = [rect.title for rect in drawing.rects if rect.style == "gap"]
    assert unknown == ["from 2.0 s to 3.0 s nobody knows who had the CPU"]
    assert not [path for path in timeline.lay_out(View(end=4.0)).paths if path.style.startswith("cpu")]


def test_others_are_stacked_on_what_is_the_clusters():
    drawing = timeline.lay_out(View(end=1.0, machine=(reading(0.0, 1.0),)))
    cluster, others = (path.d for path in drawing.paths if path.style.startswith("cpu"))
    heights = [set(map(float, re.findall(r"V([\d.]+)", d))) for d in (cluster, others)]
    assert min(heights[0]) == max(heights[1])


def test_junit_tells_of_the_machine_where_a_test_passed_too():
    view = View(verdict="PASS", right=True, findings=(Finding("machine", State.NOTED, "others took 48 % of the CPU"),))
    root = ElementTree.fromstring(junit.draw([(view, Path("r"))]))
    found = {item.get("name"): item.get("value") for item in root.iter("property")}
    assert found["chaos_machine"] == "others took 48 % of the CPU"


def test_a_number_and_its_sign_stay_on_one_line():
    idle = "0 % idle, others 48 %"
    noted = Finding("machine", State.NOTED, "", baseline=idle, in_fault=idle, recovery=idle)
    wide = Finding("load", State.HELD, "", target="<= 2% sent late or never")
    lines = terminal.draw(View(findings=(noted, wide)), width=96).splitlines()
    assert any("others" in line for line in lines)
    assert not [line for line in lines if re.search(r"(^|  )%", line)]
