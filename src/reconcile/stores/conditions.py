"""Whether a condition is true for every row, whatever its guise: it is tried on rows made of its own constants.

`x IS NULL OR x IS NOT NULL`, `length(x) >= 0`, `NOT false` and `id > -1 OR true` cannot be told by a list of forms. A
condition that some row does not fulfil narrows; what is not understood counts as something that may have any value, so
that a doubt is never a refusal. NULL is no answer: `x = x` keeps rows without x, and is meant to catch all.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

from sqlglot import exp

from reconcile.stores.condition_parts import (
    LISTED,
    UnlikeError,
    alike,
    called,
    cast_kind,
    is_foreign,
    listed_in,
    number,
)

TRIALS = 400
_LARGEST = 5000
"""Parts of a condition beyond which nobody writes one that is always true."""
FOREIGN = "foreign value"
"""The name of a placeholder that stands for what is not of the row: its value is the same for all rows."""
_LONGEST = 5000
"""Characters of the longest text that is tried; longer ones have a length and nothing else."""
_LIMITS = (32767, 32768, 2147483647, 2147483648, 9223372036854775807, 9223372036854775808)
"""What no number of a column is beyond."""
_DATE = re.compile(r"(\d{4})-\d\d(?:-\d\d)?(?:[ T].*)?\Z|-?infinity\Z", re.IGNORECASE)
_UNIVERSAL = re.compile(r"\^?(?:\(\?:?)?(?:\.\*)?\??\)?\$?\Z|\^|\[\\s\\S\]\*")
_COMPARED: Mapping[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
}
_COMPUTED: Mapping[type[exp.Expr], Callable[[Any, Any], Any]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
    exp.Div: operator.truediv,
    exp.Mod: operator.mod,
}
_COUNTS = """
LENGTH CHAR_LENGTH CHARACTER_LENGTH OCTET_LENGTH BIT_LENGTH ARRAY_LENGTH ARRAY_SIZE ABS CARDINALITY NUM_NULLS
NUM_NONNULLS STR_POSITION STRPOS PG_COLUMN_SIZE JSONB_ARRAY_LENGTH COUNT SIZE ID SQRT EXP ARRAY_NDIMS
"""
_NOT_NEGATIVE = frozenset(_COUNTS.split())
"""Functions whose result is 0 or more."""
_SURE = """
NUM_NULLS NUM_NONNULLS ID ELEMENTID LABELS ELEMENT_KEYS ELEMENT_PROPERTIES REL_TYPE PG_TYPEOF
"""
_NEVER_NULL = frozenset(_SURE.split())
_TEXTS = (exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.StartsWith, exp.SimilarTo)
_BOOLEAN: tuple[type, ...] = (
    exp.And,
    exp.Or,
    exp.Xor,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Exists,
    *_TEXTS,
    *_COMPARED,
)


_FUNCTIONS: Mapping[type[exp.Expr], Callable[[Any], Any]] = {
    exp.Lower: lambda v: str(v).lower(),
    exp.Upper: lambda v: str(v).upper(),
    exp.Trim: lambda v: str(v).strip(),
    exp.Length: lambda v: len(str(v)),
    exp.Abs: abs,
}


@dataclass
class Rows:
    """Rows for a condition.

    Attributes:
        condition: its columns are those of the row; what is not of the row is a placeholder `FOREIGN`.
        never_null: names of columns that have a value in every row, numbers of which are above 0.
    """

    condition: exp.Expr
    never_null: frozenset[str] = frozenset({"id", "ctid", "oid", "tableoid", "xmin"})
    kinds: dict[str, str] = field(default_factory=dict)
    hints: dict[str, list[Any]] = field(default_factory=dict)
    """Constants that a column is compared to."""
    trial: int = 0

    def all(self) -> bool:
        """Whether the condition is true for every one, and for some for sure."""
        seen = False
        self.condition = self.condition.copy()  # it is the caller's, who may need the whole of its lists
        for listed in self.condition.find_all(exp.In, exp.Array):
            listed.set("expressions", listed.expressions[:LISTED])
        if sum(1 for _ in self.condition.walk()) > _LARGEST:
            return False
        for self.trial in range(-1, TRIALS):  # -1: to learn which columns are numbers, and which texts
            try:
                found = self._truth(self.condition)
            except (UnlikeError, TypeError, ArithmeticError, ValueError, RecursionError):
                continue
            if self.trial >= 0 and found is False:
                return False
            seen = seen or found is True
        return seen

    @cached_property
    def _literals(self) -> list[tuple[str | int | float, bool]]:
        """Constants, and whether they are compared for their order."""
        found: list[tuple[str | int | float, bool]] = []
        for node in self.condition.find_all(exp.Literal):
            parent = node.parent
            while isinstance(parent, exp.Neg | exp.Paren | exp.Cast):
                parent = parent.parent
            ordered = isinstance(parent, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between)
            value = node.this if node.is_string else number(node.this)
            found.append((value, ordered))
            if isinstance(node.parent, exp.Neg) and not isinstance(value, str):
                found.append((-value, ordered))
        return found

    @cached_property
    def _pools(self) -> Mapping[str, list[Any]]:
        numbers: list[Any] = [0, 1, -1, 2, 0.5, 1000000, -1000000]
        texts: list[Any] = ["", "a", "zzzz", "Ab 1"]
        dates: list[Any] = ["2001-01-01", "2035-06-15 12:00:00"]
        for value, ordered in self._literals:
            if isinstance(value, str):
                plain = re.sub(r"[%^$]|\\", "", value)
                texts += [value, value + "x", plain, plain.lower(), plain.upper(), plain.replace("_", "q")]
                year = int(value[:4]) if value[:4].isdigit() else 0
                if _DATE.match(value) and (not ordered or 1971 < year < 2200):
                    dates += [value, value + "z", value[:4] + "-00"]
            elif not (ordered and round(abs(value)) in _LIMITS):
                numbers += [value, value + 1, value - 1]
                if 0 <= value <= _LONGEST:
                    texts += ["x" * int(value), "x" * (int(value) + 1)]
        some = Random(7)
        given = [v for v, _ in self._literals if not isinstance(v, str)][:8]
        numbers += [a / b for a in given for b in given if b] + [a - b for a in given for b in given]
        numbers += [some.randint(-300, 300) for _ in range(40)]
        return {"number": numbers, "text": texts, "date": dates, "truth": [True, False]}

    def _value(self, name: str, want: str | None, sure: bool = False) -> Any:
        """What a column, or something not understood, is in this row."""
        if want is not None and self.trial < 0:
            self.kinds.setdefault(name, want)
        sure = sure or name.lower() in self.never_null
        if self.trial == 0 and not sure:
            return None
        alike = 0 < self.trial < 100  # for what is compared with each other
        hinted = not alike and self.trial < 160 and name in self.hints
        pool = self.hints[name] if hinted else self._pools[self.kinds.get(name, "number")]
        if sure:
            pool = [v for v in pool if isinstance(v, bool) or (v >= 1 if not isinstance(v, str) else v)] or [1]
        if alike:
            return pool[self.trial % len(pool)]
        return Random(f"{self.trial} {name}").choice([*pool, *([] if sure else [None])])

    @cached_property
    def _long(self) -> bool:
        """Whether lengths may be asked for that no text of a row here has."""
        return any(not isinstance(value, str) and value >= _LONGEST for value, _ in self._literals)

    @cached_property
    def _about(self) -> Mapping[int, tuple[bool, bool]]:
        """By the identity of a part of the condition: whether it names something of the row, and something else."""
        found: dict[int, tuple[bool, bool]] = {}
        for node in reversed(list(self.condition.walk())):  # what is inside comes first
            inner = [found[id(child)] for child in node.iter_expressions()]
            own, foreign = isinstance(node, exp.Column), is_foreign(node)
            found[id(node)] = own or any(o for o, _ in inner), foreign or any(f for _, f in inner)
        return found

    def _truth(self, node: exp.Expr) -> bool | None:
        node = node.unnest()
        own, foreign = self._about[id(node)]
        if not own:  # the same for all rows: true, unless it is known to be false
            if foreign:
                return True
            if not isinstance(node, (*_BOOLEAN, exp.Boolean, exp.Null, exp.Cast)):
                return True
        if isinstance(node, exp.And | exp.Or):
            left, right = self._truth(node.left), self._truth(node.right)
            if isinstance(node, exp.And):
                return False if False in (left, right) else None if None in (left, right) else True
            return True if True in (left, right) else None if None in (left, right) else False
        if isinstance(node, exp.Not):
            found = self._truth(node.this)
            return None if found is None else not found
        found = self._of(node, "truth")
        if found is not None and not isinstance(found, bool):
            raise UnlikeError
        return found

    def _of(self, node: exp.Expr, want: str | None) -> Any:
        """The value of an expression."""
        node = node.unnest()
        if isinstance(node, exp.And | exp.Or | exp.Not):
            return self._truth(node)
        if isinstance(node, exp.Literal):
            return node.this if node.is_string else number(node.this)
        if isinstance(node, exp.Boolean):
            return bool(node.this)
        if isinstance(node, exp.Null):
            return None
        if isinstance(node, exp.Neg):
            value = self._of(node.this, "number")
            return None if value is None else -value
        if isinstance(node, exp.Cast):
            return self._cast(node, want)
        if isinstance(node, exp.Coalesce):
            return next((v for e in (node.this, *node.expressions) if (v := self._of(e, want)) is not None), None)
        if isinstance(node, exp.Column):
            return self._value(node.name, want)
        if isinstance(node, exp.Case):
            return self._case(node, want)
        compared = self._comparison(node)
        return compared if compared is not NotImplemented else self._call(node, want)

    def _case(self, node: exp.Case, want: str | None) -> Any:
        for one in node.args["ifs"]:
            if node.this is None:
                chosen = self._truth(one.this)
            else:
                left, right = self._pair(node.this, one.this)
                chosen = left is not None and left == right
            if chosen:
                return self._of(one.args["true"], want)
        default = node.args.get("default")
        return None if default is None else self._of(default, want)

    def _comparison(self, node: exp.Expr) -> Any:
        found = self._compared(node)
        if found is None or found is NotImplemented or isinstance(node, exp.Is) or not node.args.get("negate"):
            return found
        return not found  # NOT LIKE and its like

    def _compared(self, node: exp.Expr) -> Any:
        if (listed := listed_in(node)) is not None:
            if not listed:
                return isinstance(node, exp.NEQ)
            among = self._comparison(exp.In(this=node.this, expressions=listed))
            return among if among is None or isinstance(node, exp.EQ) else not among
        if type(node) in _COMPARED:
            left, right = self._pair(node.this, node.expression)
            if left is None or right is None:
                return None
            return _COMPARED[type(node)](*alike(left, right))
        if isinstance(node, exp.Is):
            left = self._of(node.this, None if isinstance(node.expression, exp.Null) else "truth")
            is_it = left is None if isinstance(node.expression, exp.Null) else left is self._of(node.expression, None)
            return is_it is not bool(node.args.get("negate"))
        if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
            left, right = self._pair(node.this, node.expression)
            return (left == right) is isinstance(node, exp.NullSafeEQ)
        if isinstance(node, exp.Between):
            value, low = self._pair(node.this, node.args["low"])
            _, high = self._pair(node.this, node.args["high"])
            if None in (value, low, high):
                return None
            a, b = alike(value, low)
            c, d = alike(value, high)
            return bool(b <= a and c <= d)
        if isinstance(node, exp.In) and node.expressions:
            found = [self._pair(node.this, e) for e in node.expressions]
            if any(a is not None and a == b for a, b in found):
                return True
            return None if any(None in pair for pair in found) else False
        return self._text(node) if isinstance(node, _TEXTS) else NotImplemented

    def _pair(self, left: exp.Expr, right: exp.Expr) -> tuple[Any, Any]:
        if isinstance(left.unnest(), exp.Tuple) and isinstance(right.unnest(), exp.Tuple):
            pairs = list(zip(left.unnest().expressions, right.unnest().expressions, strict=False))
            values = [self._pair(a, b) for a, b in pairs]
            if any(None in pair for pair in values):
                return None, None
            return tuple(a for a, _ in values), tuple(b for _, b in values)
        a, b = self._of(left, self._kind(right)), self._of(right, self._kind(left))
        name, kind = left.unnest().name, self._kind(right)
        if self.trial < 0 and kind is not None and isinstance(left.unnest(), exp.Column) and b in self._pools[kind]:
            self.hints.setdefault(name, []).append(b)
        return a, b

    def _kind(self, node: exp.Expr) -> str | None:
        """Of what kind something is, by what it looks like."""
        node = node.unnest()
        if isinstance(node, exp.Literal) and node.is_string:
            return "date" if _DATE.match(node.this) else "text"
        if isinstance(node, exp.Literal | exp.Neg | exp.Add | exp.Sub | exp.Mul | exp.Mod) or called(node) in (
            _NOT_NEGATIVE
        ):
            return "number"
        if isinstance(node, exp.Cast):
            return cast_kind(node)
        if isinstance(node, exp.Column):
            return self.kinds.get(node.name)
        if isinstance(node, exp.Lower | exp.Upper | exp.Trim | exp.Concat | exp.DPipe):
            return "text"
        return "truth" if isinstance(node, (exp.Boolean, *_BOOLEAN)) else None

    def _cast(self, node: exp.Cast, want: str | None) -> Any:
        kind = cast_kind(node)
        value = self._of(node.this, kind or want)
        if value is None or kind is None or kind == "date":
            return value
        if kind == "truth":
            if isinstance(value, str):
                return {"t": True, "true": True, "yes": True, "on": True, "1": True}.get(value.lower(), False)
            return bool(value)
        if kind == "number":
            return number(value) if isinstance(value, str) else value * 1
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _text(self, node: exp.Expr) -> Any:
        value, pattern = self._of(node.this, "text"), self._of(node.expression, "text")
        if value is None or pattern is None:
            return None
        if isinstance(node, exp.StartsWith):
            return str(value).startswith(str(pattern))
        if isinstance(node, exp.RegexpLike | exp.RegexpILike | exp.SimilarTo):
            shape = pattern.replace("%", ".*") if isinstance(node, exp.SimilarTo) else pattern
            if node.expression.unnest().is_string and _UNIVERSAL.fullmatch(shape):
                return True
            return self._value(node.sql(), "truth")
        shape = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in str(pattern))
        flags = re.DOTALL | (re.IGNORECASE if isinstance(node, exp.ILike) else 0)
        return re.fullmatch(shape, str(value), flags) is not None

    def _call(self, node: exp.Expr, want: str | None) -> Any:
        """Operators and functions; of one that is not known: any value, the same for the same arguments."""
        if (compute := _COMPUTED.get(type(node))) is not None:
            left, right = self._of(node.this, "number"), self._of(node.expression, "number")
            if left is None or right is None:
                return None
            return compute(left, right)
        if isinstance(node, exp.DPipe | exp.Concat):
            parts = [self._of(e, "text") for e in (node.expressions or (node.this, node.expression))]
            if None in parts and isinstance(node, exp.DPipe):
                return None
            return "".join(str(p) for p in parts if p is not None)
        computed = not (isinstance(node, exp.Length) and self._long and self.trial % 2)
        known = isinstance(node, exp.Lower | exp.Upper | exp.Trim | exp.Length | exp.Abs)
        if known and computed and not node.args.get("trim_type"):
            value = self._of(node.this, "number" if isinstance(node, exp.Abs) else "text")
            if value is None:
                return None
            return _FUNCTIONS[type(node)](value)
        name = called(node)
        value = self._value(node.sql(), "number" if name in _NOT_NEGATIVE else want, name in _NEVER_NULL)
        if name in _NOT_NEGATIVE and isinstance(value, int | float):
            return abs(value)
        return value
