"""What the loader refuses, each with the line and the words a person reads."""

from __future__ import annotations

import pytest

TARGET = "{namespace: shop, selector: app=cart, pods: 3, at-once: 3}"
ROUTED = "{namespace: shop, route: VirtualService/cart}"
FUNC = "func: pod_evict\n"
DEADLINE = "        deadline: 0s\n"
RECOVERY = "recovery: {within: 30s}"
BUDGET = "      disruption-budget: {name: cart}\n"
LOAD = "    load: {workload: mixed, rate: 50/s}\n"
RADIUS = "blast-radius: {namespaces: [shop], pods: 3}"
HTTP = "  - {type: probe, name: a, provider: {type: http, url: x}}\n"
PROBE = "provider: {type: python, module: probes.workload, func: ready_replicas, arguments: {deployment: cart}}"
TOLERANCE = "      tolerance: {type: range, range: [3, 20]}\n"

KILL = (
    "provider: {type: python, module: harness.chaostoolkit.actions, func: pod_kill,"
    " arguments: {target: {namespace: shop, selector: a=b, pods: 1}}}"
)


def target(text: str) -> tuple[str, str]:
    return TARGET, text


CASES = {
    # keys and shapes
    "unknown top key": (("tags:", "tag:"), 3, "unknown key 'tag' in the experiment"),
    "configuration": (
        ("tags:", "configuration: {a: {type: env, key: NOT_SET_HERE}}\ntags:"),
        3,
        "the environment variable NOT_SET_HERE is not set",
    ),
    "strategy": (
        ("tags:", "runtime: {hypothesis: {strategy: continuously}}\ntags:"),
        3,
        "the strategy 'continuously' is not followed",
    ),
    "no title": (("title: Evictions stop at the budget\n", ""), 1, "the experiment needs 'title'"),
    "no method": (("method:", "extensio:"), 1, "the experiment needs 'method'"),
    "tag not text": (("tags: [cart", "tags: [1"), 3, "1 is not a text"),
    "not a list": (("tags: [cart, pod]", "tags: cart"), 3, "'tags' must be a list, not 'cart'"),
    "no extension": (("name: harness\n", "name: other\n"), 23, "the document has no extension named harness"),
    "extension twice": (
        ("extensions:\n", "extensions:\n  - {name: harness}\n"),
        25,
        "the harness extension is here twice",
    ),
    "unknown part": (("sets: [local", "parts: [delivry]\n    sets: [local"), 25, "there is no part 'delivry'"),
    "part that is no text": (("sets: [local", "parts: [1]\n    sets: [local"), 25, "there is no part 1"),
    "unknown set": (("sets: [local", "sets: [lokal"), 25, "there is no set 'lokal'"),
    "load not a mapping": (("load: {workload: mixed, rate: 50/s}", "load: 50"), 26, "'load' must be a mapping, not 50"),
    "unknown workload": (("workload: mixed", "workload: mixd"), 26, "did you mean 'mixed'?"),
    "rate too high": (("50/s", "2001/s"), 26, "'2001/s' is not between 0 and 2000"),
    "ramp too long": (("rate: 50/s", "rate: 50/s, ramp: 11s"), 26, "a ramp of 11 s exceeds the baseline of 10 s"),
    "unknown objective": (("recovery: {", "recovry: {"), 30, "unknown key 'recovry' in 'objectives'"),
    "objective parameter": (("within: 30s", "whithin: 30s"), 30, "unknown key 'whithin' in 'recovery'"),
    "objective without number": ((RECOVERY, "latency: {why: slow}"), 30, "'latency' needs one of p50, p95, p99"),
    "duration without unit": (("within: 30s", "within: 30"), 30, "30 is not a duration; write a number with its unit"),
    "below minimum": (("within: 30s", "within: 0s"), 30, "'0s' is below 0.1"),
    "above maximum": ((RECOVERY, "burn-rate: {objective: 100%}"), 30, "'100%' is above 0.999999"),
    "phase too long": (("hold: 10s", "hold: 10h"), 27, "10h is longer than 1800 s"),
    "abort ratio": (("80%", "80"), 31, "for per cent write 80%"),
    "abort for": (("for: 10s", "for: 0s"), 31, "'0s' is not between 1s and 10m"),
    # expectation
    "expect without reason": (
        ("sets:", "expect: {verdict: DEVIATED}\n    sets:"),
        25,
        "expecting DEVIATED needs a 'reason'",
    ),
    "expect inconclusive": (
        ("sets:", "expect: {verdict: INCONCLUSIVE, reason: x}\n    sets:"),
        25,
        "'INCONCLUSIVE' is not known",
    ),
    "expect aborted": (("sets:", "expect: {verdict: ABORTED, reason: x}\n    sets:"), 25, "'ABORTED' is not known"),
    "expect dirty": (("sets:", "expect: {verdict: DIRTY, reason: x}\n    sets:"), 25, "'DIRTY' is not known"),
    # activities
    "activity kind": (("  - type: action", "  - type: akction"), 13, "'akction' is neither probe nor action"),
    "activity without name": (("    name: evict three at once\n", ""), 13, "an activity needs 'name'"),
    "activity without provider": ((f"      {PROBE}\n", ""), 8, "an activity needs 'provider'"),
    "activity reference": (
        ("  - type: action", "  - ref: other\n  - type: action"),
        13,
        "no activity is named 'other'",
    ),
    "activity not a mapping": (("rollbacks: []", "rollbacks: [undo]"), 22, "an activity must be a mapping, not 'undo'"),
    "two of one name": (("rollbacks: []", "rollbacks:\n" + HTTP * 2), 24, "two activities are named 'a'"),
    "background": (("    name: evict", "    background: yes please\n    name: evict"), 14, "is not true or false"),
    "background probe": (
        ("      name: ready carts", "      background: true\n      name: ready carts"),
        9,
        "a hypothesis' probe does not run in the background",
    ),
    "pauses": (
        ("    name: evict", "    pauses: {before: -1}\n    name: evict"),
        14,
        "-1 is not between 0 and 3600 seconds",
    ),
    "action as hypothesis": (
        ("    - type: probe", "    - type: action"),
        8,
        "a hypothesis only looks: this must be a probe",
    ),
    "probe without tolerance": ((TOLERANCE, ""), 8, "the probe 'ready carts' needs a 'tolerance'"),
    "tolerance fault": (
        ("{type: range, range: [3, 20]}", f"{{type: probe, {KILL}}}"),
        10,
        "a fault is no tolerance",
    ),
    "tolerance kind": (("{type: range, range", "{type: rang, range"), 10, "did you mean 'range'?"),
    "tolerance empty": (("{type: range, range: [3, 20]}", "{}"), 10, "{} is not a tolerance"),
    "tolerance range": (("[3, 20]", "[20, 3]"), 10, "a range tolerance needs 'range' with its lower and upper end"),
    "tolerance key": (
        ("{type: range, range: [3, 20]}", "{type: jsonpath, pth: x}"),
        10,
        "unknown key 'pth' in a jsonpath tolerance",
    ),
    "tolerance incomplete": (
        ("{type: range, range: [3, 20]}", "{type: regex}"),
        10,
        "a regex tolerance needs 'pattern'",
    ),
    "tolerance probe": (
        ("{type: range, range: [3, 20]}", "{type: probe, provider: {type: pyton}}"),
        10,
        "did you mean 'python'?",
    ),
    "provider kind": ((PROBE, "provider: {type: pyton}"), 11, "the provider's type is pyton"),
    "provider not a mapping": ((PROBE, "provider: python"), 11, "the provider's type is nothing"),
    "provider key": (
        ("module: probes.workload", "modul: probes.workload"),
        11,
        "unknown key 'modul' in a python provider",
    ),
    "provider incomplete": ((", func: ready_replicas", ""), 11, "a python provider needs 'func'"),
    # faults
    "unknown fault": (("func: pod_evict", "func: pod_evikt"), 18, "did you mean 'pod_evict'?"),
    "fault as probe": (("  - type: action", "  - type: probe"), 13, "the fault 'pod_evict' is an action, not a probe"),
    "fault parameter": (("deadline: 0s", "deadlin: 0s"), 20, "unknown key 'deadlin' in the arguments of pod_evict"),
    "fault in rollbacks": (
        ("rollbacks: []", f"rollbacks:\n  - {{type: action, name: a, {KILL}}}"),
        23,
        "a fault does not belong to the rollbacks",
    ),
    "no target": ((f"        target: {TARGET}\n", ""), 19, "pod_evict needs 'target'"),
    "no namespace": (target("{selector: app=cart, pods: 3}"), 21, "a target needs 'namespace'"),
    "no selector": (target("{namespace: shop, pods: 3}"), 21, "a target needs 'selector'"),
    "no count": (target("{namespace: shop, selector: app=cart}"), 21, "a target needs 'pods'"),
    "zero pods": (("pods: 3, at", "pods: 0, at"), 21, "0 is not a count of at least 1"),
    "negative pods": (("pods: 3, at", "pods: -1, at"), 21, "-1 is not a count of at least 1"),
    "true pods": (("pods: 3, at", "pods: true, at"), 21, "true is not a whole number"),
    "at-once above": (("at-once: 3", "at-once: 4"), 21, "at-once 4 is more than the 3 pods of the target"),
    "bad namespace": (("namespace: shop,", "namespace: Shop,"), 21, "'Shop' is not the name of a namespace"),
    "bad selector": (("selector: app=cart", "selector: app=*"), 21, "'app=*' is not a label selector"),
    "container": (("pods: 3, at", "container: x, pods: 3, at"), 21, "pod_evict acts on whole pods"),
    "nodes for pods": (("pods: 3, at", "nodes: 1, pods: 3, at"), 21, "pod_evict is aimed at pods, not nodes"),
    "hosting for pods": (("pods: 3, at", "hosting: shop/app=cart, pods: 3, at"), 21, "'hosting' picks nodes, not pods"),
    # caps
    "no blast radius": ((f"    {RADIUS}\n", ""), 24, "an experiment with faults needs 'blast-radius'"),
    "no namespaces": (("namespaces: [shop], pods: 3", "pods: 3"), 32, "'blast-radius' needs 'namespaces'"),
    "wrong cap namespace": (("namespaces: [shop]", "namespaces: [Shop]"), 32, "'Shop' is not the name of a namespace"),
    "negative cap": (("[shop], pods: 3", "[shop], pods: -3"), 32, "-3 is not a count"),
    "outside": (("namespaces: [shop]", "namespaces: [mail]"), 21, "namespace 'shop' is outside the blast radius"),
    "above the cap": (
        ("[shop], pods: 3", "[shop], pods: 2"),
        21,
        "the faults ask for 3 pods, the blast radius allows 2",
    ),
    # meaning
    "budget not exercised": ((FUNC, "func: pod_kill\n"), 29, "'disruption-budget' is not exercised by pod_kill"),
    "budget elsewhere": (
        ("{name: cart}", "{name: cart, namespace: mail}"),
        29,
        "no fault evicts pods of this namespace",
    ),
    "breaker not exercised": ((RECOVERY, "breaker: {dependency: cart}"), 30, "'breaker' is not exercised by pod_evict"),
    "recovery too long": (
        ("within: 30s", "within: 90s"),
        30,
        "recovery within 90 s exceeds the recovery phase of 60 s",
    ),
}


def test_a_fault_of_several_namespaces_is_of_no_other_one(refused, loaded):
    several = (TARGET, TARGET.replace("namespace: shop", "namespaces: [shop, mail]"))
    caps = ("namespaces: [shop]", "namespaces: [shop, mail, front]")
    assert loaded(several, caps, ("{name: cart}", "{name: cart, namespace: mail}"))
    told = refused(several, caps, ("{name: cart}", "{name: cart, namespace: front}"))
    assert "no fault evicts pods of this namespace" in told[0]


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_experiment_is_refused_by_line_and_word(refused, case):
    change, line, words = CASES[case]
    told = "\n".join(refused(change))
    assert f"evict.yaml:{line}: " in told
    assert words in told


def test_promises_about_operations_need_load(refused):
    told = "\n".join(refused((LOAD, ""), (RECOVERY, "availability: {ratio: 99%}")))
    assert "evict.yaml:29: 'availability' needs 'load'" in told
    assert "evict.yaml:30: 'abort-when' needs 'load'" in told


def test_a_breaker_needs_a_fault_that_touches_its_dependency(refused, loaded):
    kill = ((FUNC, "func: pod_kill\n"), (DEADLINE, ""), (BUDGET, "      breaker: {dependency: registry}\n"))
    assert "no fault touches the dependency 'registry'" in refused(*kill)[0]
    assert loaded(*kill, ("dependency: registry", "dependency: cart"))
    # What is routed by the name of a dependency is about it.
    abort = ((FUNC, "func: http_abort\n"), (TARGET, ROUTED), *kill[1:])
    assert "no fault touches the dependency 'registry'" in refused(*abort)[0]
    assert loaded(*abort, ("dependency: registry", "dependency: cart"))


def test_an_eviction_beside_a_kill_does_not_touch_the_dependency(refused):
    both = (
        "        target: " + TARGET,
        "        target: "
        + TARGET
        + "\n  - {type: action, name: kill, provider: {type: python, module: harness.chaostoolkit.actions,"
        "\n     func: pod_kill, arguments: {target: {namespace: shop, selector: app=mail, pods: 1}}}}",
    )
    cap = ("[shop], pods: 3", "[shop], pods: 4")
    assert "no fault touches" in refused(both, cap, (BUDGET, "      breaker: {dependency: cart}\n"))[0]


def packets(kind, arguments):
    return (FUNC, f"func: {kind}\n"), (DEADLINE, f"        {arguments}\n"), (BUDGET, "")


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("pod_latency", "delay: -100ms", "'-100ms' is not a duration"),
        ("pod_latency", "delay: 0s", "'0s' is below 0.001"),
        ("pod_latency", "direction: egress", "the arguments of pod_latency needs 'delay'"),
        ("pod_latency", "{delay: 100ms, jitter: 200ms}", "'jitter' is above the delay"),
        ("pod_latency", "{delay: 100ms, direction: out}", "'out' is none of egress, ingress, both"),
        ("pod_latency", "{delay: 100ms, peers: [10.0.0]}", "'10.0.0' is not a network"),
        ("pod_latency", "{delay: 100ms, peers: [10.0.0.1/8]}", "'10.0.0.1/8' is not a network"),
        ("pod_latency", "{delay: 100ms, peers: []}", "is not a list of peers"),
        ("pod_partition", "peers: [{namespace: shop}]", "is no peer; write {namespace: shop, selector: app=cart}"),
        ("pod_partition", "peers: [{namespace: shop, service: ''}]", "'' is not a text"),
        ("pod_latency", "{delay: 100ms, ports: [80]}", "'ports' needs a protocol that has ports"),
        ("pod_latency", "{delay: 100ms, own_ports: [80], protocol: icmp}", "'own_ports' needs a protocol"),
        ("pod_latency", "{delay: 100ms, ports: [80000], protocol: tcp}", "80000 is not a port"),
        ("pod_latency", "{delay: 100ms, protocol: sctp}", "'sctp' is none of tcp, udp, icmp"),
        ("pod_loss", "share: 120%", "'120%' is outside 0 to 1"),
        ("pod_loss", "share: 0%", "'0%' is below"),
        ("pod_partition", "direction: both", "the arguments of pod_partition needs 'peers'"),
        ("pod_bandwidth", "rate: 10Mb", "'10Mb' is not a bandwidth"),
        ("pod_dns_error", "code: FORMERR", "'FORMERR' is none of"),
        ("pod_dns_wrong", "addresses: [10.0.0.0/8]", "'10.0.0.0/8' is not an address"),
    ],
)
def test_packet_faults_that_cannot_be_meant_are_refused(refused, kind, arguments, words):
    written = arguments.strip("{}").replace(", ", "\n        ") if arguments.startswith("{") else arguments
    told = refused(*packets(kind, written))
    assert words in "\n".join(told)


def test_a_packet_fault_is_read_with_its_units(loaded):
    (fault,) = loaded(
        *packets("pod_latency", "delay: 100ms\n        correlation: 25%\n        peers: [10.1.2.3]")
    ).faults
    assert fault.parameters["delay"] == 0.1
    assert fault.parameters["correlation"] == 0.25
    assert fault.parameters["peers"] == ["10.1.2.3/32"]
    (fault,) = loaded(*packets("pod_bandwidth", "rate: 512kbit/s")).faults
    assert fault.parameters["rate"] == 512e3


def test_a_drain_exercises_the_budget_of_any_namespace(loaded):
    cap = ("[shop], pods: 3", "[shop], nodes: 1")
    named = ("{name: cart}", "{name: cart, namespace: mail}")
    drain = (FUNC, "func: node_drain\n")
    assert loaded((TARGET, "{nodes: 1, selector: zone=a}"), drain, (DEADLINE, ""), cap, named)


def test_a_relaxed_objective_says_why(refused, loaded, slo):
    weaker = (RECOVERY, "availability: {ratio: 90%}")
    told = refused(weaker, defaults=slo)
    assert told[0] == "evict.yaml:30: 'availability' ratio 90 % is weaker than the stack's 99.50 %"
    assert loaded((RECOVERY, "availability: {ratio: 90%, why: one is gone}"), defaults=slo)
    assert loaded((RECOVERY, "availability: {ratio: 99.9%}"), defaults=slo)
    assert loaded(weaker)


def test_a_quantile_that_is_left_out_is_relaxed_too(refused, loaded, slo):
    told = refused((RECOVERY, "latency: {p99: 3s}"), defaults=slo)
    assert told[0] == "evict.yaml:30: 'latency' leaves out the stack's p95 of 1 s"
    assert "'latency' p99 3 s is weaker than the stack's 2 s" in "\n".join(told)
    assert loaded((RECOVERY, "latency: {p95: 1s, p99: 1s}"), defaults=slo)


def test_an_experiment_without_fault_or_promise_is_refused(refused):
    told = refused(
        ("method:\n", "method: []\nrollbacks:\n"),
        ("rollbacks: []\n", ""),
        ("harness.chaostoolkit.actions", "shop.actions"),
        (BUDGET, ""),
        ("    objectives:\n      recovery: {within: 30s}\n", ""),
        ("  probes:", "  controls:"),
    )
    assert told[0] == "evict.yaml:1: this experiment has neither fault nor promise"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (".nan", "'.nan' is not a finite number"),
        ("-.inf", "'-.inf' is not a finite number"),
        ("9" * 5000, "is a number of 5000 digits"),
        ("0x" + "f" * 5000, "is a number of 5002 digits"),
        ("!!int abc", "'abc' is not of the kind int"),
        ("!!int ''", "'' is not of the kind int"),
        ("!!float abc", "'abc' is not of the kind float"),
        ("!!bool maybe", "'maybe' is not of the kind bool"),
        ("1:1:1" + ":1" * 300 + ".5", "is a number of 607 digits"),
    ],
)
def test_a_value_beyond_what_can_be_kept_is_refused_wherever_it_stands(refused, written, words):
    for place in ("deployment: cart", "range: [3, 20]"):
        change = (place, f"{place.partition(':')[0]}: {written}")
        assert words in "\n".join(refused(change))


@pytest.mark.parametrize("deep", ["[" * 2000 + "]" * 2000, "{a: " * 2000 + "1" + "}" * 2000, "[" * 100_000])
def test_endless_nesting_is_refused_before_it_is_followed(refused, deep):
    assert "nested more than" in refused(("rollbacks: []", f"rollbacks: {deep}"))[0]


def test_nesting_that_people_write_is_read(loaded):
    deep = "[" * 40 + "]" * 40
    assert loaded(("arguments: {deployment: cart}", f"arguments: {{deployment: {deep}}}"))
