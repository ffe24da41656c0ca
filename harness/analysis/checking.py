"""Say what type a condition has before it is evaluated: expr-lang refuses a wrong one even where it would not matter.

Types have Go's names; `unknown` is what `default` returns. The messages are expr-lang's, since a measurement's message
shows them.
"""

from __future__ import annotations

from harness.analysis.syntax import ORDER, PREDICATES, Binary, Call, Element, Index, Literal, Members, Name, Node, Unary

UNKNOWN = "interface {}"
NUMBERS = frozenset({"int", "int64", "float64"})
INTEGERS = frozenset({"int", "int64"})
LISTS = "[]"
# A list that a condition makes has no Go type of its own; what is in it is known all the same.
MADE = "[]interface {} of "
# What a function takes and what it returns; `len` is one of the language itself and checks for itself.
SIGNATURES = {
    "asInt": ((UNKNOWN,), "int64"),
    "asFloat": ((UNKNOWN,), "float64"),
    "isNaN": (("float64",), "bool"),
    "isInf": (("float64",), "bool"),
    "isNil": ((UNKNOWN,), "bool"),
    "default": ((UNKNOWN, UNKNOWN), UNKNOWN),
}


class Mistake(Exception):
    """A condition that the controller cannot evaluate: its measurement is an Error with this message."""


def check(node: Node, result: str, element: str = UNKNOWN) -> str:
    """Return the type of a condition where `result` has that type; raises Mistake.

    `element` is the type of `#`.
    """
    match node:
        case Literal(value):
            return go_type(value) if value is not None else "nil"
        case Name("result"):
            return result
        case Name(name):
            raise Mistake(f"unknown name {name}")
        case Element():
            return element
        case Members(items):
            types = {check(item, result, element) for item in items}
            return MADE + (types.pop() if len(types) == 1 else UNKNOWN)
        case Unary(sign, operand):
            return _unary(sign, check(operand, result, element))
        case Binary(sign, left, right):
            return _binary(sign, check(left, result, element), check(right, result, element))
        case Index(of, at):
            return _member(check(of, result, element), check(at, result, element))
        case Call(name, arguments):
            if name in PREDICATES:
                return _predicate(name, arguments, result, element)
            return _call(name, arguments, result, element)


def go_type(value: object) -> str:
    """Return the name that Go has for a value's type."""
    names: dict[type, str] = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]float64"}
    return names.get(type(value), "<nil>")


def _shown(of: str) -> str:
    return "unknown" if of == "nil" else of.partition(" of ")[0]


def _of(listed: str) -> str:
    return listed.removeprefix(MADE).removeprefix(LISTS)


def _unary(sign: str, of: str) -> str:
    if sign in ("!", "not") and of in ("bool", UNKNOWN):
        return "bool"
    if sign in ("+", "-") and (of in NUMBERS or of == UNKNOWN):
        return of
    raise Mistake(f"invalid operation: {sign} (mismatched type {_shown(of)})")


def _binary(sign: str, left: str, right: str) -> str:
    numbers = left in NUMBERS and right in NUMBERS
    strings = left == right == "string"
    if sign == "in":
        return _in(left, right)
    if sign in ("==", "!="):
        if _comparable(left, right):
            return "bool"
    elif sign in ("or", "||", "and", "&&"):
        if {left, right} <= {"bool", UNKNOWN}:
            return "bool"
    elif sign in ORDER:
        if numbers or strings or _maybe(left, right, NUMBERS | {"string"}):
            return "bool"
    elif sign in ("/", "**", "^"):
        if numbers or _maybe(left, right, NUMBERS):
            return "float64"
    elif sign == "%":
        if {left, right} <= INTEGERS or _maybe(left, right, INTEGERS):
            return "int"
    else:
        if numbers:
            return "float64" if "float64" in (left, right) else "int"
        if sign == "+" and strings:
            return "string"
        if _maybe(left, right, NUMBERS | ({"string"} if sign == "+" else set())):
            return UNKNOWN
    raise Mistake(f"invalid operation: {sign} (mismatched types {_shown(left)} and {_shown(right)})")


def _in(left: str, right: str) -> str:
    if right.startswith(LISTS):
        if not _comparable(left, _of(right)):
            raise Mistake(f"cannot use {_shown(left)} as type {_shown(_of(right))} in array")
        return "bool"
    if right == UNKNOWN or (left == UNKNOWN and right == "string"):
        return "bool"
    raise Mistake(f"invalid operation: in (mismatched types {_shown(left)} and {_shown(right)})")


def _comparable(left: str, right: str) -> bool:
    lists = left.startswith(LISTS) and right.startswith(LISTS)
    return {left, right} <= NUMBERS or lists or left == right or bool({left, right} & {UNKNOWN, "nil"})


def _maybe(left: str, right: str, of: frozenset[str] | set[str]) -> bool:
    return UNKNOWN in (left, right) and {left, right} - {UNKNOWN} <= of


def _member(of: str, at: str) -> str:
    if of == UNKNOWN:
        return UNKNOWN
    if not of.startswith(LISTS):
        raise Mistake(f"type {_shown(of)}[{_shown(at)}] is undefined")
    if at not in INTEGERS and at != UNKNOWN:
        raise Mistake(f"array elements can only be selected using an integer (got {_shown(at)})")
    return _of(of)


def _predicate(name: str, arguments: tuple[Node, ...], result: str, element: str) -> str:
    over = check(arguments[0], result, element)
    if not over.startswith(LISTS) and over != UNKNOWN:
        raise Mistake(f"builtin {name} takes only array (got {_shown(over)})")
    if len(arguments) > 1:
        asked = check(arguments[1], result, _of(over))
        if asked == "nil":
            raise Mistake("predicate should has one input and one output param")
        if asked not in ("bool", UNKNOWN):
            raise Mistake(f"predicate should return boolean (got {_shown(asked)})")
    if name == "filter":
        return MADE + _of(over)
    return "int" if name == "count" else "bool"


def _call(name: str, arguments: tuple[Node, ...], result: str, element: str) -> str:
    if name == "len":
        return _len([check(argument, result, element) for argument in arguments])
    if name not in SIGNATURES:
        raise Mistake(f"{result} is not callable" if name == "result" else f"unknown name {name}")
    takes, returns = SIGNATURES[name]
    if len(arguments) != len(takes):
        raise Mistake(f"{'not enough' if len(arguments) < len(takes) else 'too many'} arguments to call {name}")
    for argument, wanted in zip(arguments, takes, strict=True):
        given = check(argument, result, element)
        if given != wanted and UNKNOWN not in (given, wanted) and not (wanted == "float64" and given in INTEGERS):
            raise Mistake(f"cannot use {_shown(given)} as argument (type {wanted}) to call {name} ")
    return returns


def _len(types: list[str]) -> str:
    if len(types) != 1:
        raise Mistake(f"invalid number of arguments (expected 1, got {len(types)})")
    if not types[0].startswith(LISTS) and types[0] not in ("string", UNKNOWN):
        raise Mistake(f"invalid argument for len (type {_shown(types[0])})")
    return "int"
