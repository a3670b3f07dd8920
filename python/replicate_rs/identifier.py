"""References to models: ``owner/name`` and ``owner/name:version``."""

from __future__ import annotations

from ._base.checks import identity, text
from ._base.operation import drop_none
from ._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, ClassVar, Self

    from ._base.types import DeploymentOptions as DeploymentOptions
    from ._base.types import HasId as HasId
    from ._base.types import HasOwnerAndName as HasOwnerAndName
    from ._base.types import ModelOptions as ModelOptions
    from ._base.types import Ref as Ref


HEXADECIMAL = frozenset("0123456789abcdef")
# What a URL's path would take for another place.
DOTS = frozenset((".", ".."))


class ModelVersionIdentifier(tuple["str | None", ...]):
    """A model, and perhaps one version of it: ``(owner, name, version)``."""

    __slots__ = ()

    # As a named tuple, which 1.0.7's is.
    _fields = ("owner", "name", "version")
    _field_defaults: ClassVar[dict[str, None]] = {"version": None}
    __match_args__ = ("owner", "name", "version")

    def __new__(cls, owner: str, name: str, version: str | None = None) -> Self:
        """Put the three together; `parse` reads them."""
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
        """The version's id, if one is named."""
        return self[2]

    @classmethod
    def _make(cls, iterable: Iterable[str | None]) -> Self:
        """Return one with the parts that an iterable has."""
        parts: Any = (*iterable,)
        return cls(*parts)

    def _asdict(self) -> dict[str, str | None]:
        """Return the parts by name."""
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: str | None) -> Self:
        """Return one with other parts.

        Raises:
            ValueError: It has no such part.

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
        """Read a reference.

        Raises:
            ValueError: It is not ``owner/name`` or ``owner/name:version``.

        """
        owner, _, rest = text("ref", ref).partition("/")
        name, colon, version = rest.partition(":")
        is_whole = owner and name and (version or not colon)
        if (
            not is_whole
            or "/" in rest
            or " " in ref
            or not ref.isprintable()
            or not DOTS.isdisjoint((owner, name, version))
        ):
            raise ValueError(
                f"Invalid reference to model version: {ref!r}. Expected format: owner/name or"
                " owner/name:version"
            )
        return cls(owner, name, version or None)


def resolve(ref: Ref, argument: str = "ref") -> ModelVersionIdentifier:
    """Read a reference in any of its forms.

    Args:
        ref: The reference.
        argument: What its argument is called, for errors.

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
    """Give the id of a version, which may be it already."""
    return version if version is None or isinstance(version, str) else version.id


def target_of(ref: Ref) -> tuple[str | None, ModelVersionIdentifier | None]:
    """Give the version to run, or the model: one of the two.

    Raises:
        TypeError: `ref` is neither text nor a model.
        ValueError: The text is not a reference.

    """
    if isinstance(ref, str):
        if len(ref) == 64 and set(ref) <= HEXADECIMAL:
            return ref, None
        model = ModelVersionIdentifier.parse(ref)
    else:
        id = None if isinstance(ref, tuple) or hasattr(ref, "owner") else getattr(ref, "id", None)
        if isinstance(id, str):
            # A version: its id is all there is.
            return id, None
        model = resolve(ref)
    version = model[2]
    return (version, None) if version else (None, model)


def pair(
    kind: str,
    owner: Ref | tuple[str, str] | None,
    name: str | None,
    *,
    spelled: tuple[str | None, str | None],
) -> tuple[str, str]:
    """Read a model's or a deployment's name in any of its spellings.

    Args:
        kind: ``model`` or ``deployment``, for errors.
        owner: The owner if `name` is given too; else ``owner/name``, a pair, or an object that has
            both.
        name: The name.
        spelled: The two under the 2.0 client's names, ``model_owner`` and ``model_name``.

    Raises:
        TypeError: Nothing, or twice the same, was given.
        ValueError: It is not ``owner/name``.

    """
    if any(spelled):
        if owner is not None or name is not None:
            raise TypeError(
                f"give the {kind} once: as 'owner/name', as owner and name, or as {kind}_owner= and"
                f" {kind}_name="
            )
        owner, name = spelled
    if owner is None and name is not None:
        # 1.0.7's `deployments.get(name="owner/name")`.
        owner, name = name, None
    if isinstance(owner, str) and name is not None:
        return owner, name
    if owner is None or name is not None:
        raise TypeError(f"which {kind}? Give 'owner/name', or owner and name")
    return owner_and_name(kind, owner)


def owner_and_name(kind: str, whole: Ref | tuple[str, str]) -> tuple[str, str]:
    """Read a model's or a deployment's name that was given as one.

    Raises:
        TypeError: It is neither text nor a model nor a pair.
        ValueError: It is not ``owner/name``.

    """
    if isinstance(whole, tuple) and len(whole) == 2:
        return text(kind, whole[0]), text(kind, whole[1])
    ref = whole if isinstance(whole, ModelVersionIdentifier) else resolve(whole, kind)
    owner, name, version = ref
    if version is not None:
        raise ValueError(f"the {kind} is 'owner/name', without a version: {str(ref)!r}")
    return owner or "", name or ""


def named(
    kind: str, owner: Ref | tuple[str, str] | None, name: str | None, options: Any
) -> tuple[str, str]:
    """Read a name as `pair` does; 2.0's spelling of it is taken out of the options."""
    return pair(
        kind,
        owner,
        name,
        spelled=(options.pop(f"{kind}_owner", None), options.pop(f"{kind}_name", None)),
    )


def one_of(**spellings: str | HasId | None) -> str:
    """Return the one of several spellings of an argument that was given; of an object, its id.

    Raises:
        TypeError: None was, or more than one.

    """
    found = drop_none(**spellings)
    if len(found) != 1:
        raise TypeError(f"give {' or '.join(f'{name}=' for name in spellings)}, once")
    return identity(*found.popitem())


defer_annotations(globals())
