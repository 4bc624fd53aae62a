"""FHIRPath text -> syntax, strictly: every character counts. Knows what is FHIRPath, not what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from cds_service.fhir.dates import CALENDAR_WORDS, parse_date
from cds_service.fhir.fhirpath.errors import FhirPathError
from cds_service.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Literal,
    Member,
    Node,
    This,
    Total,
    Unary,
    Variable,
)
from cds_service.fhir.quantities import Quantity

# FHIRPath 2.0.0, Operator Precedence: the higher binds tighter; all are left-associative.
_PRECEDENCE = {
    "implies": 1,
    "or": 2,
    "xor": 2,
    "and": 3,
    "in": 4,
    "contains": 4,
    **dict.fromkeys(("=", "!=", "~", "!~"), 5),
    **dict.fromkeys(("<", "<=", ">", ">="), 6),
    "|": 7,
    "is": 8,
    "as": 8,
    **dict.fromkeys(("+", "-", "&"), 9),
    **dict.fromkeys(("*", "/", "div", "mod"), 10),
}
_UNARY = 11
_REFUSED_OPERATORS = {
    "xor": "write (a and b.not()) or (a.not() and b)",
    "~": "write =",
    "!~": "write !=",
    "is": "write ofType(...).exists()",
    "as": "write ofType(...)",
    "*": "state the number that is wanted",
    "/": "state the number that is wanted",
    "div": "state the number that is wanted",
    "mod": "state the number that is wanted",
}
# grammar, rule `identifier`: these keywords may also name an element
_NAMING_KEYWORDS = {"as", "contains", "in", "is"}
_KEYWORDS = _NAMING_KEYWORDS | {"and", "or", "xor", "implies", "div", "mod", "true", "false"}
_DEEPEST = 60

_TOKEN = re.compile(
    r"""
      (?P<blank>\s+|//[^\n\r]*|/\*.*?\*/)
    | (?P<date>@(?:T[0-9:.]*(?:Z|[+-]\d\d:\d\d)?|\d{4}[0-9-]*(?:T[0-9:.]*(?:Z|[+-]\d\d:\d\d)?)?))
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<quoted>`(?:[^`\\]|\\.)*`)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<special>\$[a-z]+)
    | (?P<symbol><=|>=|!=|!~|[-+*/&|=~<>().,%{}\[\]])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", **{one: one for one in "\\/'\"`"}}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    column: int


def _error(message: str, column: int) -> NoReturn:
    raise FhirPathError(message, column, "syntax")


def _refuse(message: str, column: int) -> NoReturn:
    raise FhirPathError(message, column, "not-admitted")


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, blanks and comments left out, with an `end` token last."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _error(_unreadable(text[position]), position + 1)
        kind = str(match.lastgroup)
        if kind != "blank":
            found.append(Token(kind, match[0], position + 1))
        position = match.end()
    found.append(Token("end", "", len(text) + 1))
    return found


def _unreadable(character: str) -> str:
    if character in "'`":
        return f"the {character} that opens here is never closed"
    if character == '"':
        return "a string stands in single quotes: 'text'"
    return f"'{character}' has no meaning here"


def _unescaped(token: Token) -> str:
    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            _error(
                f"unknown escape '\\{escape}'; a backslash itself is written '\\\\'",
                token.column + 1 + match.start(),
            )
        return _ESCAPES[escape]

    return _ESCAPE.sub(replace, token.text[1:-1])


def parse(text: str) -> Node:
    """FHIRPath -> its syntax. FhirPathError for what is not FHIRPath, and for operators not admitted."""
    parser = _Parser(tokens(text))
    node = parser.expression(0)
    parser.finish()
    return node


class _Parser:
    """One pass over the tokens of one expression, by precedence climbing."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, symbol: str) -> bool:
        return self._token.kind == "symbol" and self._token.text == symbol

    def _expect(self, symbol: str, why: str) -> None:
        if not self._is(symbol):
            token = self._token
            _error(f"expected '{symbol}' {why}, found {_shown(token)}", token.column)
        self._take()

    def finish(self) -> None:
        token = self._token
        if token.kind != "end":
            _error(f"the expression is complete before {_shown(token)}; an operator is missing", token.column)

    def _deeper(self, column: int, parse_inner: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            _error(f"nested more than {_DEEPEST} deep; name a part as a fact", column)
        node = parse_inner()
        self._depth -= 1
        return node

    def expression(self, lowest: int) -> Node:
        """Everything that binds at least as tightly as `lowest`."""
        return self._deeper(self._token.column, lambda: self._binary(lowest))

    def _binary(self, lowest: int) -> Node:
        left = self._unary()
        while True:
            token = self._token
            operator = token.text if token.kind in ("symbol", "name") else ""
            precedence = _PRECEDENCE.get(operator)
            if precedence is None or precedence < lowest:
                return left
            self._take()
            if operator in _REFUSED_OPERATORS:
                _refuse(f"operator '{operator}' is not admitted; {_REFUSED_OPERATORS[operator]}", token.column)
            left = Binary(operator, left, self.expression(precedence + 1), token.column)

    def _unary(self) -> Node:
        token = self._token
        if self._is("-") or self._is("+"):
            self._take()
            return Unary(token.text, self.expression(_UNARY), token.column)
        node = self._term()
        while True:
            token = self._token
            if self._is("["):
                _refuse("the indexer [n] is not admitted; use first(), or narrow with where(...)", token.column)
            if not self._is("."):
                return node
            self._take()
            node = self._invocation(node)

    def _invocation(self, base: Node | None) -> Node:
        token = self._take()
        if token.kind == "special":
            _error(f"{token.text} cannot stand behind a dot", token.column)
        if token.kind not in ("name", "quoted"):
            _error(f"expected a name, found {_shown(token)}", token.column)
        if token.kind == "name" and token.text in _KEYWORDS - _NAMING_KEYWORDS and base is not None:
            _error(
                f"'{token.text}' is a keyword; an element of that name is written `{token.text}`",
                token.column,
            )
        name = _unescaped(token) if token.kind == "quoted" else token.text
        if not self._is("("):
            return Member(base, name, token.column)
        self._take()
        return Call(base, name, self._arguments(name), token.column)

    def _arguments(self, name: str) -> tuple[Node, ...]:
        if self._is(")"):
            self._take()
            return ()
        arguments = [self.expression(0)]
        while self._is(","):
            self._take()
            arguments.append(self.expression(0))
        self._expect(")", f"to close {name}(")
        return tuple(arguments)

    def _term(self) -> Node:
        token = self._token
        match token.kind:
            case "string":
                self._take()
                return Literal(_unescaped(token), "string", token.column)
            case "number":
                return self._number()
            case "date":
                self._take()
                return _date_literal(token)
            case "special":
                self._take()
                return _special(token)
            case "name" if token.text in ("true", "false"):
                self._take()
                return Literal(token.text == "true", "boolean", token.column)
            case "name" if token.text in _KEYWORDS - _NAMING_KEYWORDS:
                _error(f"expected a value before '{token.text}'", token.column)
            case "name" | "quoted":
                return self._invocation(None)
            case "symbol":
                return self._symbol()
        _error(f"expected a value, found {_shown(token)}", token.column)

    def _symbol(self) -> Node:
        token = self._take()
        if token.text == "(":
            node = self.expression(0)
            self._expect(")", "to close the bracket")
            return node
        if token.text == "{":
            self._expect("}", "for the empty collection {}")
            return Empty(token.column)
        if token.text == "%":
            return self._variable(token.column)
        _error(f"expected a value, found {_shown(token)}", token.column)

    def _variable(self, column: int) -> Node:
        token = self._take()
        if token.kind == "string":
            _error("write a variable's name in backticks: %`name`", token.column)
        if token.kind not in ("name", "quoted"):
            _error(f"expected the name of a variable behind %, found {_shown(token)}", token.column)
        return Variable(_unescaped(token) if token.kind == "quoted" else token.text, column)

    def _number(self) -> Node:
        token = self._take()
        unit = self._token
        if unit.kind == "string":
            self._take()
            return Literal(Quantity(Decimal(token.text), _unescaped(unit)), "Quantity", token.column)
        if unit.kind == "name" and unit.text in CALENDAR_WORDS:
            self._take()
            return Literal(Quantity(Decimal(token.text), CALENDAR_WORDS[unit.text]), "Quantity", token.column)
        if "." in token.text:
            return Literal(Decimal(token.text), "decimal", token.column)
        return Literal(int(token.text), "integer", token.column)


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else f"'{token.text}'"


def _date_literal(token: Token) -> Node:
    text = token.text[1:]
    if text.startswith("T"):
        _refuse("a time literal is not admitted; compare dates", token.column)
    if "T" in text:
        _refuse("a literal with a time of day is not admitted; write a date, or use a variable", token.column)
    value = parse_date(text)
    if value is None:
        _error(f"'{token.text}' is no date of the calendar; write @YYYY-MM-DD", token.column)
    return Literal(value, "date", token.column)


def _special(token: Token) -> Node:
    if token.text == "$this":
        return This(token.column)
    if token.text == "$total":
        return Total(token.column)
    _refuse(f"'{token.text}' is not admitted; use $this", token.column)
