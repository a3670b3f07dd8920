"""How other libraries see an output file: as its URL, in text, JSON and pydantic."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

# Characters with a meaning in HTML, percent-encoded.
URL_ESCAPES = str.maketrans({'"': "%22", "'": "%27", "<": "%3C", ">": "%3E"})


class URLText:
    """An object that is written as its `url`."""

    __slots__ = ()

    if TYPE_CHECKING:
        url: str

    @property
    def __url__(self) -> str:
        """The `url`, for `get_path_url` of replicate 2.0."""
        return self.url

    def __str__(self) -> str:
        return self.url

    def __format__(self, form: str) -> str:
        return format(self.url, form)

    def __add__(self, other: str) -> str:
        return self.url + other

    def __radd__(self, other: str) -> str:
        return other + self.url

    def __contains__(self, text: object) -> bool:
        if not isinstance(text, str):
            raise TypeError(
                f"'in' looks for text in the file's URL, not for {type(text).__name__}: read()"
                " gives its content"
            )
        return text in self.url

    def tolist(self) -> str:
        """Return the URL.

        JSON encoders for NumPy values, such as Django REST framework's, call this method.
        """
        return self.url

    def __html__(self) -> str:
        # Flask's JSON encoder writes the result. Templates insert it without escaping, so it must
        # not end an attribute or begin an element.
        return self.url.translate(URL_ESCAPES)

    # The following are called by pydantic, and by FastAPI, only.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=_as_str("json-unless-none")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        return {"type": "string", "format": "uri"}

    if TYPE_CHECKING:

        @classmethod
        def _validate(cls, value: object) -> Any: ...

    @property
    def __pydantic_serializer__(self) -> Any:
        # For a value in a field of another type, such as Any.
        from pydantic_core import SchemaSerializer, core_schema

        return SchemaSerializer(core_schema.any_schema(serialization=_as_str("json")))


def _as_str(when_used: Any) -> Any:
    from pydantic_core import core_schema

    return core_schema.plain_serializer_function_ser_schema(
        str, return_schema=core_schema.str_schema(), when_used=when_used
    )


def register_with_fastapi(modules: dict[str, Any], kind: type) -> None:
    """Let FastAPI, if it is imported, write values of a type as text.

    Without this it would iterate over them, and so read the file.
    """
    encoders = getattr(modules.get("fastapi.encoders"), "ENCODERS_BY_TYPE", None)
    if encoders is not None:
        encoders.setdefault(kind, str)


def get_call_site(frame: FrameType) -> tuple[int, object, int]:
    """Return the instruction at which a running function is.

    Another frame may have the same address later, but not at the same instruction of its function.
    """
    return id(frame), frame.f_code, frame.f_lasti


def refuse_dict() -> NoReturn:
    """Raise the error for ``dict(output)``."""
    raise TypeError(
        "a FileOutput is no mapping: str(output) is its URL, output.read() its content,"
        " output.headers a dict about it"
    )


defer_annotations(globals())
