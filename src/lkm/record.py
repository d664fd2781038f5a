"""Small immutable values with named fields, for what the shortest commands import.

``typing.NamedTuple`` costs 8 ms to import and ``dataclasses`` 15, which is as much as such a
command takes for all the rest: with both, depmod takes 1.4 times as long to see that nothing has
changed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """Leave the class as it is: only type checkers need more."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Record:
    """A base class: what a subclass annotates are its fields, values of class its defaults."""

    def __init__(self, *values: Any, **named: Any) -> None:
        cls = type(self)
        own = self.__dict__
        own.update(zip(cls.__annotations__, values, strict=False))
        own.update(named)
        for field in cls.__annotations__:
            if field not in own:
                own[field] = getattr(cls, field)
        if len(own) > len(cls.__annotations__) or len(values) > len(own):
            raise TypeError(f"{cls.__name__} has the fields {', '.join(cls.__annotations__)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __iter__(self) -> Iterator[Any]:
        return iter([self.__dict__[field] for field in type(self).__annotations__])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={self.__dict__[name]!r}" for name in type(self).__annotations__)
        return f"{type(self).__name__}({values})"

    def replaced(self, **named: Any) -> Self:
        """Return a copy with other values of the fields named."""
        return type(self)(**{**self.__dict__, **named})
