"""What a local Replicate offers: models, trainings and collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from ..state import Collection
from .model import Definition, parts
from .signature import Signature

F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """Functions that are models, and what belongs to them."""

    def __init__(self) -> None:
        self._definitions: list[Definition] = []
        self._trainers: dict[str, Definition] = {}
        self._collections: dict[str, Collection] = {}

    def model(
        self,
        name: str,
        *,
        stream: bool = False,
        visibility: Literal["public", "private"] = "public",
        hardware: str = "cpu",
        readme: str | None = None,
        examples: Iterable[Mapping[str, Any]] = (),
        cold_start: float = 0.0,
    ) -> Callable[[F], F]:
        """Register a function as a model. Its annotations are what the API says of it, its
        docstring's first line too.

        Args:
            name: `owner/name`.
            stream: The function is a generator of text that is to be joined.
            visibility: Only private models can be deleted through the API.
            hardware: The SKU it says it runs on.
            readme: Markdown.
            examples: Example predictions, each with `input` and `output`; the first is the default
                one.
            cold_start: Seconds that predictions stay `starting`, on the server's clock.

        Raises:
            TypeError: The function is not annotated, or with something that JSON cannot carry.
            ValueError: The name is not `owner/name`.

        """
        parts(name)

        def register(function: F) -> F:
            definition = Definition(
                name=name,
                function=function,
                signature=Signature(name, function, stream=stream),
                visibility=visibility,
                hardware=hardware,
                readme=readme,
                examples=tuple(dict(each) for each in examples),
                cold_start=cold_start,
            )
            self._definitions = [each for each in self._definitions if each.id != definition.id] + [
                definition
            ]
            self._registered(definition)
            return function

        return register

    def training(self, name: str) -> Callable[[F], F]:
        """Register a function that trains the model `name`: it takes the training's input, and
        gives the weights as a file.

        The destination's new version is the model's function. If that has an input
        `replicate_weights`, it is set to the weights.
        """
        parts(name)

        def register(function: F) -> F:
            signature = Signature(name, function)
            if not signature.gives_files or signature.iterates:
                raise TypeError(
                    f"the training of {name} gives its weights: write `-> Path` or `-> bytes`"
                )
            self._trainers[name] = Definition(name=name, function=function, signature=signature)
            return function

        return register

    def collection(
        self, slug: str, models: Iterable[str], *, name: str | None = None, description: str = ""
    ) -> None:
        """Put models into a collection."""
        title = name or slug.replace("-", " ").capitalize()
        self._collections[slug] = Collection(
            slug=slug, name=title, description=description, models=list(models)
        )

    def version(self, name: str) -> str:
        """Return the id of a model's newest version."""
        return self._definition(name).id

    def openapi_schema(self, name: str) -> dict[str, Any]:
        """Return the OpenAPI document of a model's newest version."""
        return self._definition(name).signature.openapi

    def _definition(self, name: str) -> Definition:
        try:
            return next(each for each in reversed(self._definitions) if each.name == name)
        except StopIteration:
            raise KeyError(f"there is no model {name!r}") from None

    @property
    def models(self) -> list[str]:
        """The names of the registered models."""
        return list(dict.fromkeys(each.name for each in self._definitions))

    def _registered(self, definition: Definition) -> None:
        """Take note of a model."""
