"""A task's arguments between Python and JSON, checked against its function's signature."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NotRequired, cast

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, PydanticSerializationError, to_json
from typing_extensions import TypedDict

from pgq.context import Context
from pgq.errors import TaskError

Bound = tuple[tuple[Any, ...], dict[str, Any]]

_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_EMPTY = ("{}", b"{}")


class Arguments:
    """The arguments of one function.

    The signature is read when it is first needed, so that annotations may name what is defined
    later.
    """

    def __init__(
        self, task: str, function: Callable[..., Any], namespace: Mapping[str, Any]
    ) -> None:
        self.task = task
        self.whole = task == "*"
        """A catch-all takes any payload, as its one argument."""
        parameters = list(inspect.signature(function).parameters.values())
        self._resolve = _Resolver(task, function, namespace)
        self.takes_context = bool(parameters) and self._is_context(parameters[0])
        self._parameters = parameters[1:] if self.takes_context else parameters
        if self.whole and (
            len(self._parameters) > 1 or any(p.kind not in _POSITIONAL for p in self._parameters)
        ):
            raise TaskError(
                "the task '*' takes any payload: give its function a context, one argument, or both"
            )
        self._names = [
            p.name for p in self._parameters if p.kind in (*_POSITIONAL, p.VAR_POSITIONAL)
        ]
        self._named = all(p.kind in (*_PLAIN, p.VAR_KEYWORD) for p in self._parameters)
        self._closed = all(p.kind in _PLAIN for p in self._parameters)
        """Whether all that a call may name is known."""
        self._adapter: TypeAdapter[Bound] | None = None
        self._writer: TypeAdapter[Any]
        self._serializers: dict[str, TypeAdapter[Any]] = {}

    def load(self, payload: str | bytes | None, *, quotes: bool = True) -> Bound:
        """The arguments that a payload, as JSON text, stands for.

        An object holds keyword arguments, an array positional ones, anything else is one argument.
        Raises `TaskError` that names the argument, and quotes its value unless told not to.
        """
        if not self._parameters and (self.whole or payload is None or payload in _EMPTY):
            return (), {}
        text = payload.encode() if isinstance(payload, str) else payload or b"{}"
        if self.whole or text.lstrip()[:1] not in (b"{", b"["):
            text = b"[%b]" % text
        try:
            return (self._adapter or self._prepare()).validate_json(text)
        except ValidationError as error:
            raise self._explained(error, quotes=quotes) from None

    def dump(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The payload, as JSON text, for a call with these arguments.

        An object, unless the function has parameters without a name. Defaults are left to the
        function. Raises `TaskError` that names the argument.
        """
        return self.dump_many([(args, kwargs)])[1:-1]

    def dump_many(self, calls: Sequence[Bound]) -> str:
        """`dump` of many calls, as a JSON array."""
        if not self._named:
            return f"[{','.join(self._array(args, kwargs) for args, kwargs in calls)}]"
        given = self._objects(calls)
        try:
            return self._writer.dump_json(given).decode()
        except (PydanticSerializationError, ValueError):
            for name, value in (pair for values in given for pair in values.items()):
                with self._naming(name):
                    self._writer.dump_json([{name: value}])
            raise

    def schema(self) -> dict[str, Any] | None:
        """JSON Schema of the payloads: an object, or an array where parameters have no name.

        None when a type has none.
        """
        if self.whole:
            return {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return (self._adapter or self._prepare()).json_schema()
        except Exception:
            return None

    def call(self, item: Any) -> Bound:
        """One element of `enqueue_many` as arguments, by the rule of payloads."""
        if isinstance(item, dict):
            return (), item
        if isinstance(item, Mapping):
            return (), dict(item)
        return (tuple(item), {}) if isinstance(item, list | tuple) else ((item,), {})

    def _is_context(self, parameter: inspect.Parameter) -> bool:
        if parameter.kind not in _POSITIONAL:
            return False
        hint = parameter.annotation
        if hint is inspect.Parameter.empty:
            return parameter.name == "ctx"
        if isinstance(hint, str):
            return hint.strip("'\"").rpartition(".")[2] == "Context" or parameter.name == "ctx"
        return parameter.name == "ctx" or (isinstance(hint, type) and Context in hint.__mro__)

    def _prepare(self) -> TypeAdapter[Bound]:
        hints = {p.name: self._resolve(p) for p in self._parameters}

        def capture(*args: Any, **kwargs: Any) -> Bound:
            return args, kwargs

        capture.__annotations__ = {
            n: h for n, h in hints.items() if h is not inspect.Parameter.empty
        }
        capture.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(annotation=hints[p.name]) for p in self._parameters]
        )
        try:
            self._adapter = TypeAdapter(cast(Any, capture))
            if self._named:
                self._writer = _writer(self._parameters, capture.__annotations__)
            else:
                self._serializers = {n: _serializer(h) for n, h in capture.__annotations__.items()}
        except Exception as error:
            raise TaskError(
                f"task {self.task!r}: its annotations cannot be checked: {error}"
            ) from error
        return self._adapter

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        try:
            return (self._adapter or self._prepare()).validate_python(ArgsKwargs(args, kwargs))
        except ValidationError as error:
            raise self._explained(error) from None

    def _objects(self, calls: Sequence[Bound]) -> list[dict[str, Any]]:
        """What was given in each call, by name.

        All are checked at once, which takes a fraction of the time; the signature is asked why one
        does not fit, and about functions that take further keywords.
        """
        if self._adapter is None:
            self._prepare()
        if self._closed:
            try:
                return cast(
                    list[dict[str, Any]], self._writer.validate_python(self._by_name(calls))
                )
            except ValidationError:
                pass
        return [self._object(args, kwargs) for args, kwargs in calls]

    def _by_name(self, calls: Sequence[Bound]) -> list[dict[str, Any]]:
        given = []
        for args, kwargs in calls:
            values = {**dict(zip(self._names, args, strict=False)), **kwargs} if args else kwargs
            if len(values) != len(args) + len(kwargs):
                values = self._object(args, kwargs)
            given.append(values)
        return given

    def _object(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What was given, by name, without the defaults of what was not."""
        first, named = self._bound(args, kwargs)
        values = {**dict(zip(self._names, first, strict=False)), **named}
        return {name: values[name] for name in (*self._names[: len(args)], *kwargs)}

    def _array(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        values = self._bound(args, kwargs)[0]
        if kwargs:
            raise TaskError(
                f"task {self.task!r}: its function has parameters without a name, so all its "
                f"arguments must be positional; {', '.join(kwargs)} came by name"
            )
        last = len(self._names) - 1
        items = [self._json(self._names[min(n, last)], values[n]) for n in range(len(args))]
        return f"[{','.join(items)}]"

    def _json(self, name: str, value: Any) -> str:
        with self._naming(name):
            if serializer := self._serializers.get(name):
                return serializer.dump_json(value).decode()
            return to_json(value, inf_nan_mode="strings").decode()

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        try:
            yield
        except (PydanticSerializationError, ValueError) as error:
            raise TaskError(
                f"task {self.task!r}: argument {name!r} cannot be written as JSON: {error}"
            ) from None

    def _explained(self, error: ValidationError, *, quotes: bool = True) -> TaskError:
        first, *others = error.errors(include_url=False, include_context=False)
        more = f" (and {len(others)} more)" if others else ""
        if first["type"] == "json_invalid" or not first["loc"]:
            return TaskError(f"task {self.task!r}: payload: {first['msg']}{more}")
        if first["type"] == "unexpected_positional_argument":
            count = sum(p.kind in _POSITIONAL for p in self._parameters)
            got = f", {_short(first['input'])}" if quotes else ""
            return TaskError(
                f"task {self.task!r} takes {count} positional argument{'s' * (count != 1)}; "
                f"got another one{got}{more}"
            )
        head, *rest = first["loc"]
        if isinstance(head, int) and head < len(self._parameters):
            head = self._parameters[head].name
        where = "".join(f"[{part!r}]" for part in rest)
        is_quoted = quotes and not first["type"].startswith("missing")
        got = f"; got {_short(first['input'])}" if is_quoted else ""
        return TaskError(
            f"task {self.task!r}: argument {str(head)!r}{where}: {first['msg']}{got}{more}"
        )


class _Resolver:
    """Annotations that are strings, one by one, so that one which fails can be named."""

    def __init__(
        self, task: str, function: Callable[..., Any], namespace: Mapping[str, Any]
    ) -> None:
        self._task = task
        self._globals = getattr(inspect.unwrap(function), "__globals__", {})
        self._namespace = namespace

    def __call__(self, parameter: inspect.Parameter) -> Any:
        hint = parameter.annotation
        if not isinstance(hint, str):
            return hint
        try:
            return eval(hint, self._globals, dict(self._namespace))  # noqa: S307 - as typing does
        except Exception as error:
            raise TaskError(
                f"task {self._task!r}: the annotation {hint!r} of {parameter.name!r} cannot be "
                f"resolved ({error}); import it where it can be seen at run time"
            ) from None


def _writer(parameters: Iterable[inspect.Parameter], hints: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Checks and writes objects that have these; NaN as `_serializer` does.

    Of a function that takes further keywords these are written as they are, and not checked.
    """
    extra: Literal["forbid", "allow"] = "forbid"
    fields: dict[str, Any] = {}
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            extra = "allow"
        else:
            hint = hints.get(p.name, Any)
            fields[p.name] = hint if p.default is p.empty else NotRequired[hint]
    one: Any = cast(Any, TypedDict)("Payload", fields)
    one.__pydantic_config__ = ConfigDict(ser_json_inf_nan="strings", extra=extra)
    return TypeAdapter(list[one], config=ConfigDict(ser_json_inf_nan="strings"))


def _serializer(hint: Any) -> TypeAdapter[Any]:
    """Writes NaN and infinities as strings, which read back as such; JSON has no other way."""
    try:
        return TypeAdapter(hint, config=ConfigDict(ser_json_inf_nan="strings"))
    except PydanticUserError:
        return TypeAdapter(hint)  # a model, whose own configuration says


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
