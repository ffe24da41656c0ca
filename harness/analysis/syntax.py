"""Read a condition of an AnalysisTemplate: the part of expr-lang that Argo Rollouts documents, and nothing by guess.

Numbers, texts, true, false, nil, lists, `result`, arithmetic, comparison, `in`, and, or, not, an index, calls, and
predicates over a list with `#`. Precedence and association are those of expr-lang 1.17. Whatever else the language has
is refused by name, since an expression that is read wrongly judges wrongly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from harness.model.units import shown

# By what it is applied to: a list with a predicate, or arguments.
PREDICATES = frozenset({"all", "any", "none", "one", "filter", "count"})
FUNCTIONS = frozenset({"asInt", "asFloat", "isNaN", "isInf", "isNil", "default", "len"})
# What the language knows besides, so that it is no unknown name: that would be an error of the measurement.
NOT_READ = frozenset((
    "abs", "bitand", "bitnand", "bitnot", "bitor", "bitshl", "bitshr", "bitushr", "bitxor", "ceil", "concat", "date",
    "duration", "find", "findIndex", "findLast", "findLastIndex", "first", "flatten", "float", "floor", "fromBase64",
    "fromJSON", "fromPairs", "get", "groupBy", "hasPrefix", "hasSuffix", "indexOf", "int", "join", "keys", "last",
    "lastIndexOf", "lower", "map", "max", "mean", "median", "min", "now", "reduce", "repeat", "replace", "reverse",
    "round", "sort", "sortBy", "split", "splitAfter", "string", "sum", "take", "timezone", "toBase64", "toJSON",
    "toPairs", "trim", "trimPrefix", "trimSuffix", "type", "uniq", "upper", "values", "matches", "contains",
    "startsWith", "endsWith", "let", "if", "else", "$env"
))  # fmt: skip
BINARY = {
    "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20, "in": 20,
    "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100,
}  # fmt: skip
UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
ORDER = ("<", ">", ">=", "<=")
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|(?P<text>'[^'\\\n]*'|\"[^\"\\\n]*\")"
    r"|(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|\*\*|//|/\*|\?\?|\?\.|\.\.|[-<>!=+*/%^()\[\]{},#?:.;|]))"
)
DEEPEST = 100


class Dialect(StrEnum):
    """A version of the controller, and with it of the language: expr 1.15 in 1.9, 1.17 in 1.10.

    In 1.9 no comparison is chained, and an error does not say which condition it is of.
    """

    V1_9 = "1.9"
    V1_10 = "1.10"


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true, false or nil."""

    value: float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A name that stands for a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Element:
    """`#`: the member that a predicate is asked about."""


@dataclass(frozen=True, slots=True)
class Members:
    """A list that is written out."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """One sign before an operand, as it is written."""

    sign: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """One sign between two operands, as it is written."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Index:
    """A member of a list, from its end where negative."""

    of: Node
    at: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; of one with a predicate that is the second."""

    name: str
    arguments: tuple[Node, ...]


Node: TypeAlias = Literal | Name | Element | Members | Unary | Binary | Index | Call


def parse(text: str, dialect: Dialect = Dialect.V1_10) -> Node:
    """Read a condition; raises ValueError, which names what is not read."""
    reading = _Reading(_tokens(text), chained=dialect is not Dialect.V1_9)
    found = reading.expression(0)
    reading.refuse_rest()
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if not match:
            rest = text[at:].strip()
            raise ValueError(f"{shown(rest)} is not read in a condition")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    return found


class _Reading:
    def __init__(self, tokens: list[tuple[str, str]], *, chained: bool) -> None:
        self.tokens, self.chained = tokens, chained
        self.at = self.depth = self.predicates = 0

    @property
    def current(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def accept(self, *signs: str) -> bool:
        """Take one of these signs if it is the next."""
        kind, value = self.current
        found = kind in ("sign", "name") and value in signs
        self.at += found
        return found

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise self.unexpected(f"'{sign}' is expected")

    def unexpected(self, wanted: str = "a value is expected") -> ValueError:
        kind, value = self.current
        if kind == "end":
            return ValueError(f"the condition ends where {wanted}")
        if value in NOT_READ or value in ("?", ":", "??", "?.", "..", "|", "//", "/*", ";", "."):
            return ValueError(f"'{value}' of the expression language is not read in a condition")
        return ValueError(f"'{value}' stands in the condition where {wanted}")

    def refuse_rest(self) -> None:
        if self.current[0] != "end":
            raise self.unexpected("its end is expected")

    def expression(self, precedence: int) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"the condition is nested more than {DEEPEST} levels deep")
        left = self.primary()
        while (sign := self.operator(precedence)) is not None:
            negated, name = sign
            if name in ORDER and self.chained:
                left = self.comparison(left, name)
                continue
            if negated and not self.chained and isinstance(left, Unary):
                # Its parser forgets the `not`; nobody can have meant that.
                raise ValueError("after a sign, 'not in' means 'in' in the language of Argo Rollouts 1.9")
            # Powers are of the right, everything else of the left.
            right = self.expression(BINARY[name] + (name not in ("**", "^")))
            left = Binary(name, left, right)
            left = Unary("not", left) if negated else left
        self.depth -= 1
        return left

    def operator(self, precedence: int) -> tuple[bool, str] | None:
        """Take the next operator that binds as strongly, with whether a `not` stands before it."""
        start = self.at
        negated = self.accept("not")
        kind, value = self.current
        if negated and value != "in":
            raise self.unexpected("'in' is expected")
        if kind in ("sign", "name") and BINARY.get(value, -1) >= precedence:
            self.at += 1
            return negated, value
        self.at = start
        return None

    def comparison(self, left: Node, sign: str) -> Node:
        """Read `a < b < c` as what it means: both."""
        found: Node | None = None
        while True:
            right = self.expression(BINARY[sign] + 1)
            one = Binary(sign, left, right)
            found = one if found is None else Binary("&&", found, one)
            left, sign = right, self.current[1]
            if not self.accept(*ORDER):
                return found

    def primary(self) -> Node:
        kind, value = self.current
        if kind in ("sign", "name") and value in UNARY:
            self.at += 1
            return self.indexed(Unary(value, self.expression(UNARY[value])))
        if self.accept("("):
            found = self.expression(0)
            self.expect(")")
            return self.indexed(found)
        if self.accept("["):
            return self.indexed(Members(self.listed("]")))
        if self.predicates and self.accept("#"):
            return self.indexed(Element())
        self.at += 1
        if kind == "number":
            return Literal(_number(value))
        if kind == "text":
            return self.indexed(Literal(value[1:-1]))
        if kind == "name" and value in ("true", "false", "nil"):
            return Literal({"true": True, "false": False, "nil": None}[value])
        self.at -= 1
        if kind != "name" or value in NOT_READ or value in BINARY:
            raise self.unexpected()
        self.at += 1
        return self.indexed(self.call(value) if self.current[1] == "(" else Name(value))

    def call(self, name: str) -> Node:
        self.expect("(")
        if name not in PREDICATES:
            return Call(name, self.listed(")"))
        over = self.expression(0)
        if name == "count" and self.accept(")"):
            return Call(name, (over,))
        self.expect(",")
        self.predicates += 1
        braced = self.accept("{")
        asked = self.expression(0)
        if braced:
            self.expect("}")
        self.predicates -= 1
        self.accept(",")
        self.expect(")")
        return Call(name, (over, asked))

    def listed(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.accept(end):
            if found:
                self.expect(",")
                if self.accept(end):
                    break
            found.append(self.expression(0))
        return tuple(found)

    def indexed(self, found: Node) -> Node:
        while self.accept("["):
            at = self.expression(0)
            self.expect("]")
            found = Index(found, at)
        if self.current[1] in (".", "?."):
            raise self.unexpected()
        return found


def _number(text: str) -> float | int:
    plain = text.replace("_", "")
    if set(plain) & set(".eE"):
        return float(plain)
    if int(plain) >= 1 << 63:
        raise ValueError(f"{shown(text)} is no number of 64 bits")
    return int(plain)
