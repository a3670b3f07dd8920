"""The models, trainings and collections that a local Replicate serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from .collection import Collection
from .model import Definition, split_name
from .signature import Signature

F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """Registers functions as models and trainings, and models in collections."""

    def __init__(self) -> None:
        self._definitions: list[Definition] = []
        self._trainings: dict[str, Definition] = {}
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
        """Return a decorator that registers a function as a model.

        The annotations become the model's schema, and the docstring's first line its description.

        Args:
            name: `owner/name`.
            stream: Whether the function yields text in pieces, which clients join.
            visibility: Only private models can be deleted through the API.
            hardware: The SKU of the hardware that the API reports.
            readme: The model's readme, in Markdown.
            examples: Example predictions, each with `input` and `output`. The first is the default
                example.
            cold_start: Seconds, on the server's clock, that predictions stay `starting`.

        Raises:
            TypeError: An annotation is missing, or is of a type that the API cannot carry.
            ValueError: The name is not `owner/name`.

        """
        split_name(name)

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
            self._definitions = [
                each for each in self._definitions if each.version_id != definition.version_id
            ] + [definition]
            self._on_register(definition)
            return function

        return register

    def training(self, name: str) -> Callable[[F], F]:
        """Return a decorator that registers a function as the training of the model `name`.

        The function takes the training's input and returns the weights as a file. The training
        creates a version of its destination that calls the function of the model `name`. If that
        function has an input `replicate_weights`, it is set to the weights.

        Args:
            name: ``owner/name``.

        """
        split_name(name)

        def register(function: F) -> F:
            signature = Signature(name, function)
            if not signature.returns_files or signature.is_iterator:
                raise TypeError(
                    f"the training of {name} must return its weights: write `-> Path` or `-> bytes`"
                )
            self._trainings[name] = Definition(name=name, function=function, signature=signature)
            return function

        return register

    def collection(
        self, slug: str, models: Iterable[str], *, name: str | None = None, description: str = ""
    ) -> None:
        """Create or replace a collection of models, which are given by their names.

        Args:
            slug: The collection's name in addresses.
            models: The names of the models, ``owner/name``.
            name: The name for readers. Default: the slug, capitalized.
            description: One sentence about the models.

        """
        self._collections[slug] = Collection(
            slug=slug,
            name=name or slug.replace("-", " ").capitalize(),
            description=description,
            model_names=list(models),
        )

    def version(self, name: str) -> str:
        """Return the id of a model's latest version.

        Args:
            name: ``owner/name``.

        """
        return self._latest(name).version_id

    def openapi_schema(self, name: str) -> dict[str, Any]:
        """Return the OpenAPI schema of a model's latest version.

        Args:
            name: ``owner/name``.

        """
        return self._latest(name).signature.openapi

    def _latest(self, name: str) -> Definition:
        try:
            return next(each for each in reversed(self._definitions) if each.name == name)
        except StopIteration:
            raise KeyError(f"there is no model {name!r}") from None

    @property
    def models(self) -> list[str]:
        """The names of the registered models."""
        return list(dict.fromkeys(each.name for each in self._definitions))

    def _on_register(self, definition: Definition) -> None:
        """Do nothing; a running server adds the model."""
