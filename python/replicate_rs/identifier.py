"""References to models: ``owner/name`` and ``owner/name:version``."""

from __future__ import annotations

from ._base.checks import text
from ._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, ClassVar, Self

    from ._base.types import HasId as HasId
    from ._base.types import HasOwnerAndName as HasOwnerAndName
    from ._base.types import Ref as Ref


HEXADECIMAL = frozenset("0123456789abcdef")
# Path segments that a URL would resolve to another path.
DOTS = frozenset((".", ".."))


class ModelVersionIdentifier(tuple["str | None", ...]):
    """A reference to a model or to one of its versions: ``(owner, name, version)``."""

    __slots__ = ()

    # The attributes of a named tuple, which it is in 1.0.7.
    _fields = ("owner", "name", "version")
    _field_defaults: ClassVar[dict[str, None]] = {"version": None}
    __match_args__ = ("owner", "name", "version")

    def __new__(cls, owner: str, name: str, version: str | None = None) -> Self:
        """Create a reference.

        Args:
            owner: The user or organization.
            name: The model's name.
            version: The version's id.

        Raises:
            TypeError: A part is not text.

        """
        text("owner", owner)
        text("name", name)
        if version is not None:
            text("version", version)
        return super().__new__(cls, (owner, name, version))

    @property
    def owner(self) -> str:
        """The user or organization."""
        return self[0] or ""

    @property
    def name(self) -> str:
        """The model's name."""
        return self[1] or ""

    @property
    def version(self) -> str | None:
        """The version's id; None for the model itself."""
        return self[2]

    @classmethod
    def _make(cls, iterable: Iterable[str | None]) -> Self:
        """Return a reference of the parts in an iterable."""
        parts: Any = (*iterable,)
        return cls(*parts)

    def _asdict(self) -> dict[str, str | None]:
        """Return the parts by name."""
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: str | None) -> Self:
        """Return a reference with some parts replaced.

        Raises:
            ValueError: A reference has no such part.

        """
        if unknown := changes.keys() - self._fields:
            raise ValueError(
                f"a ModelVersionIdentifier has no part {unknown.pop()!r}: owner, name or version"
            )
        parts: Any = {**self._asdict(), **changes}
        return type(self)(**parts)

    def __getnewargs__(self) -> tuple[str, str, str | None]:
        return self.owner, self.name, self.version

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}" + (f":{self.version}" if self.version else "")

    def __repr__(self) -> str:
        return (
            f"ModelVersionIdentifier(owner={self.owner!r}, name={self.name!r},"
            f" version={self.version!r})"
        )

    @classmethod
    def parse(cls, ref: str) -> ModelVersionIdentifier:
        """Parse a reference.

        Args:
            ref: ``owner/name`` or ``owner/name:version``.

        Raises:
            TypeError: `ref` is not text.
            ValueError: `ref` has another form.

        """
        owner, _, rest = text("ref", ref).partition("/")
        name, colon, version = rest.partition(":")
        is_complete = owner and name and (version or not colon)
        if (
            not is_complete
            or "/" in rest
            or " " in ref
            or not ref.isprintable()
            or not DOTS.isdisjoint((owner, name, version))
        ):
            raise ValueError(
                f"Invalid reference to model version: {ref!r}. Expected format: owner/name or"
                " owner/name:version"
            )
        # Not through `__new__`, which would check the parts of a text that was checked above.
        return super().__new__(cls, (owner, name, version or None))


def resolve(ref: Ref, argument: str = "ref") -> ModelVersionIdentifier:
    """Return a reference in any of its forms as a `ModelVersionIdentifier`.

    Args:
        ref: The reference.
        argument: The name of the argument in error messages.

    Raises:
        TypeError: `ref` is neither text nor a model.
        ValueError: The text is not a reference.

    """
    if isinstance(ref, ModelVersionIdentifier):
        return ref
    if isinstance(ref, str):
        return ModelVersionIdentifier.parse(ref)
    owner, name = getattr(ref, "owner", None), getattr(ref, "name", None)
    if isinstance(owner, str) and isinstance(name, str):
        version = getattr(ref, "version", None)
        return ModelVersionIdentifier(owner, name, version if isinstance(version, str) else None)
    raise TypeError(
        f"{argument} must be 'owner/name', 'owner/name:version' or a model, not"
        f" {type(ref).__name__}"
    )


def id_of(version: str | HasId | None) -> str | None:
    """Return the id of a version that is given as its id or as an object."""
    return version if version is None or isinstance(version, str) else version.id


def target_of(ref: Ref) -> tuple[str | None, ModelVersionIdentifier | None]:
    """Return the id of the version to run, or the model to run; the other one is None.

    Raises:
        TypeError: `ref` is neither text nor a model.
        ValueError: The text is not a reference.

    """
    if isinstance(ref, str):
        if len(ref) == 64 and set(ref) <= HEXADECIMAL:
            return ref, None
        model = ModelVersionIdentifier.parse(ref)
    else:
        is_model = isinstance(ref, tuple) or hasattr(ref, "owner")
        id = None if is_model else getattr(ref, "id", None)
        if isinstance(id, str):
            return id, None
        model = resolve(ref)
    version = model[2]
    return (version, None) if version else (None, model)


def owner_and_name(
    kind: str, owner: Ref | tuple[str, str] | None, name: str | None = None
) -> tuple[str, str]:
    """Return the owner and the name of a model or a deployment.

    Args:
        kind: ``model`` or ``deployment``, for error messages.
        owner: The owner, if `name` is given; else ``owner/name``, a pair, or an object with both.
        name: The name. As in 1.0.7, it may be ``owner/name`` without `owner`.

    Raises:
        TypeError: Neither is given, or `owner` is of a wrong type.
        ValueError: The text is not ``owner/name``.

    """
    if isinstance(owner, str) and name is not None:
        return owner, name
    if (owner is None) == (name is None):
        raise TypeError(f"which {kind}? Give 'owner/name', or owner and name")
    ref = owner or name or ""
    if isinstance(ref, tuple) and len(ref) == 2:
        return text(kind, ref[0]), text(kind, ref[1])
    found = ref if isinstance(ref, ModelVersionIdentifier) else resolve(ref, kind)
    owner, name, version = found
    if version is not None:
        raise ValueError(f"the {kind} is 'owner/name', without a version: {str(found)!r}")
    return owner or "", name or ""


defer_annotations(globals())
