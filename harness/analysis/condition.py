"""Evaluate a condition on a result, as expr-lang does: types first, then values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeAlias

from harness.analysis.checking import Mistake, check, go_type
from harness.analysis.syntax import (
    ORDER,
    PREDICATES,
    Binary,
    Call,
    Dialect,
    Element,
    Index,
    Literal,
    Members,
    Name,
    Node,
    Unary,
)  # fmt: skip

Result: TypeAlias = float | Sequence[float]
Value: TypeAlias = float | int | str | bool | list["Value"] | None
# What Go makes of a float that no integer of 64 bits can hold, on amd64.
LEAST = -(1 << 63)
OR = ("or", "||")


def holds(condition: Node, result: Result, dialect: Dialect = Dialect.V1_10) -> bool:
    """Say whether a condition holds of a scalar or of a vector's values; raises Mistake where it has no answer."""
    scalar = isinstance(result, int | float)
    check(condition, "float64" if scalar else "[]float64")
    given: Value = float(result) if isinstance(result, int | float) else list(result)
    value = _Run(given, dialect).value(condition, None)
    if not isinstance(value, bool):
        raise Mistake(f"expected bool, but got {_named(condition, value)}")
    return value


def _named(condition: Node, value: Value) -> str:
    if isinstance(condition, Members) or (isinstance(condition, Call) and condition.name == "filter"):
        return "[]interface {}"
    return "int64" if isinstance(condition, Call) and condition.name == "asInt" else go_type(value)


class _Run:
    def __init__(self, result: Value, dialect: Dialect) -> None:
        self.result, self.dialect = result, dialect

    def value(self, node: Node, element: Value) -> Value:
        match node:
            case Literal(value):
                return value
            case Name():
                return self.result
            case Element():
                return element
            case Members(items):
                return [self.value(item, element) for item in items]
            case Unary(sign, operand):
                return _unary(sign, self.value(operand, element))
            case Binary("or" | "||" | "and" | "&&" as sign, left, right):
                if (settled := _settled(node)) is not None:
                    return settled
                first = _truth(self.value(left, element))
                return first if first == (sign in OR) else _truth(self.value(right, element))
            case Binary(sign, left, right):
                return _binary(sign, self.value(left, element), self.value(right, element))
            case Index(of, at):
                return self.member(self.value(of, element), self.value(at, element))
            case Call(name, arguments) if name in PREDICATES:
                return self.predicate(name, arguments, element)
            case Call(name, arguments):
                return self.call(name, [self.value(argument, element) for argument in arguments], arguments)

    def predicate(self, name: str, arguments: tuple[Node, ...], element: Value) -> Value:
        members = self.value(arguments[0], element)
        if not isinstance(members, list):
            raise Mistake(f"invalid argument for {name} (type {go_type(members)})")
        asked = arguments[1] if len(arguments) > 1 else Element()
        # One after the other: what is decided is not asked further, as a later member may have no answer.
        answers = (_truth(self.value(asked, member)) for member in members)
        match name:
            case "all":
                return all(answers)
            case "any":
                return any(answers)
            case "none":
                return not any(answers)
            case "one":
                return sum(answers) == 1
            case "count":
                return sum(answers)
        return [member for member, kept in zip(members, answers, strict=True) if kept]

    def member(self, of: Value, at: Value) -> Value:
        if not isinstance(of, str | list):
            raise Mistake(f"cannot fetch {at} from {go_type(of)}")
        index = int(at) if isinstance(at, int | float) else 0
        index += len(of) if index < 0 else 0
        if 0 <= index < len(of):
            return of[index]
        if self.dialect is Dialect.V1_9:
            raise Mistake(f"reflect: {'string' if isinstance(of, str) else 'slice'} index out of range")
        raise Mistake(f"index out of range: {index} (array length is {len(of)})")

    def call(self, name: str, values: list[Value], arguments: tuple[Node, ...]) -> Value:
        match name:
            # Neither looks at its first argument: a result of Prometheus is never nil, however empty.
            case "isNil":
                return False
            case "default":
                return self.result
            case "isNaN":
                return math.isnan(_float(values[0], arguments[0]))
            case "isInf":
                return math.isinf(_float(values[0], arguments[0]))
            case "asInt":
                return _as_int(values[0])
            case "asFloat":
                return _as_float(values[0])
        if not isinstance(values[0], str | list):
            raise Mistake(f"invalid argument for len (type {go_type(values[0])})")
        return len(values[0])


def _settled(node: Node) -> bool | None:
    """Return what the compiler makes of a condition before it runs: `x || true` never asks for x."""
    match node:
        case Literal(bool() as value):
            return value
        case Unary("not" | "!", operand):
            inner = _settled(operand)
            return None if inner is None else not inner
        case Binary("or" | "||" | "and" | "&&" as sign, left, right):
            sides = (_settled(left), _settled(right))
            deciding = sign in OR
            return deciding if deciding in sides else None if None in sides else not deciding
    return None


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise Mistake(f"interface conversion: interface {{}} is {go_type(value)}, not bool")
    return value


def _unary(sign: str, value: Value) -> Value:
    if sign in ("not", "!"):
        return not _truth(value)
    if sign == "+":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mistake(f"invalid operation: {sign} {go_type(value)}")
    return _whole(-value)


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: float | int) -> float | int:
    return value if isinstance(value, float) else (value - LEAST) % (1 << 64) + LEAST


def _binary(sign: str, left: Value, right: Value) -> Value:
    if sign == "in":
        if not isinstance(right, list):
            raise Mistake(f'operator "in" not defined on {go_type(right)}')
        return any(_equal(member, left) for member in right)
    if sign in ("==", "!="):
        return _equal(left, right) == (sign == "==")
    if isinstance(left, str) and isinstance(right, str) and sign in ("+", *ORDER):
        return left + right if sign == "+" else _ordered(sign, (left > right) - (left < right))
    if not (isinstance(left, int | float) and isinstance(right, int | float)) or bool in (type(left), type(right)):
        raise Mistake(f"invalid operation: {go_type(left)} {sign} {go_type(right)}")
    if sign in ORDER:
        return not (math.isnan(left) or math.isnan(right)) and _ordered(sign, (left > right) - (left < right))
    return _arithmetic(sign, left, right)


def _ordered(sign: str, order: int) -> bool:
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sign]


def _arithmetic(sign: str, left: float | int, right: float | int) -> float | int:
    match sign:
        case "+":
            return _whole(left + right)
        case "-":
            return _whole(left - right)
        case "*":
            return _whole(left * right)
        case "/":
            return _quotient(float(left), float(right))
        case "%":
            if isinstance(left, float) or isinstance(right, float):
                raise Mistake(f"invalid operation: int({go_type(left if isinstance(left, float) else right)})")
            if right == 0:
                raise Mistake("runtime error: integer divide by zero")
            return left - right * (abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1))
    return _power(float(left), float(right))


def _quotient(left: float, right: float) -> float:
    if right:
        return left / right
    if math.isnan(left) or not left:
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf
    except ValueError:
        # Zero to a negative power, or a root of a negative number.
        if base:
            return math.nan
        return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return ((_number(left) and _number(right)) or type(left) is type(right)) and left == right


def _float(value: Value, argument: Node) -> float:
    """Read the argument of a function that takes a float: only a whole number that is written out is made one."""
    if isinstance(value, float) or (isinstance(value, int) and _written_out(argument)):
        return float(value)
    raise Mistake(f"interface conversion: interface {{}} is {go_type(value)}, not float64")


def _written_out(node: Node) -> bool:
    match node:
        case Literal(value):
            return _number(value)
        case Unary(_, operand):
            return _written_out(operand)
        case Binary("+" | "-" | "*", left, right):
            return _written_out(left) or _written_out(right)
    return False


def _as_int(value: Value) -> int:
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and LEAST <= value < -LEAST else LEAST
    if isinstance(value, str):
        return int(_parsed(value, r"[+-]?[0-9]+", "ParseInt"))
    return int(_numeric(value, "asInt"))


def _as_float(value: Value) -> float:
    if isinstance(value, str):
        pattern = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf(?:inity)?|[nN]a[nN])"
        return float(_parsed(value, pattern, "ParseFloat"))
    return float(_numeric(value, "asFloat"))


def _shown(value: Value) -> str:
    """Write a value as Go's %v does."""
    if not isinstance(value, float):
        return "<nil>" if value is None else str(value).lower()
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")
    text = repr(value).removesuffix(".0")
    return text if "e" in text or abs(value) < 1e16 else f"{value:.0f}" if abs(value) < 1e21 else text


def _numeric(value: Value, function: str) -> float | int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    shown = f"[{' '.join(map(_shown, value))}]" if isinstance(value, list) else _shown(value)
    raise Mistake(f"{function}() not supported on {go_type(value)} {shown}")


def _parsed(text: str, pattern: str, function: str) -> str:
    if not re.fullmatch(pattern, text):
        raise Mistake(f'strconv.{function}: parsing "{text}": invalid syntax')
    return text
