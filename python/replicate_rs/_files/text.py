"""Which text is a file's address; and what makes a file that a model made its address wherever text
is wanted.
"""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

# What must not stand in HTML as it is, and may as well be written so in a URL.
ESCAPES = str.maketrans({'"': "%22", "'": "%27", "<": "%3C", ">": "%3E"})


class URLText:
    """Something with a `url`, as which it is written."""

    __slots__ = ()

    if TYPE_CHECKING:
        url: str

        @property
        def content_type(self) -> str | None:
            """What it is."""
            ...

    @property
    def __url__(self) -> str:
        """The same as `url`; 2.0's `get_path_url` asks for it."""
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

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        """Show pictures, audio and video in notebooks, by their URL."""
        from .names import html_of

        shown = {"text/plain": repr(self)}
        html = html_of(self.url, self.content_type)
        return shown if html is None else {**shown, "text/html": html}

    def tolist(self) -> str:
        """Return the URL.

        JSON encoders that know NumPy's values (Django REST framework's) ask for a plain form by
        this name.
        """
        return self.url

    def __html__(self) -> str:
        # Flask's JSON asks for it, and wants the URL as it is. So do templates, where it must not
        # end an attribute or begin an element.
        return self.url.translate(ESCAPES)

    # pydantic, and FastAPI with it, ask a class what to do with it; they alone call these.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        written = core_schema.plain_serializer_function_ser_schema(
            str, return_schema=core_schema.str_schema(), when_used="json-unless-none"
        )
        return core_schema.no_info_plain_validator_function(cls._validated, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        return {"type": "string", "format": "uri"}

    @classmethod
    def _validated(cls, value: object) -> Any:
        raise NotImplementedError

    @property
    def __pydantic_serializer__(self) -> Any:
        # Of a value whose field says nothing of its type.
        from pydantic_core import SchemaSerializer, core_schema

        written = core_schema.plain_serializer_function_ser_schema(
            str, return_schema=core_schema.str_schema(), when_used="json"
        )
        return SchemaSerializer(core_schema.any_schema(serialization=written))


def tell_fastapi(modules: dict[str, Any], kind: type) -> None:
    """Have FastAPI, where it is loaded, write values of a type as text: without that it reads all
    that can be iterated over.
    """
    encoders = getattr(modules.get("fastapi.encoders"), "ENCODERS_BY_TYPE", None)
    if encoders is not None:
        encoders.setdefault(kind, str)


class Caller:
    """A place in a program: a function's instruction."""

    __slots__ = ("_code", "_frame", "_instruction")

    def __init__(self, frame: FrameType) -> None:
        # A frame that is over may be followed by another at its address, but not in the same
        # instruction of the same function.
        self._frame, self._code, self._instruction = id(frame), frame.f_code, frame.f_lasti

    def is_at(self, frame: FrameType) -> bool:
        """Whether a frame is at this place."""
        return (self._frame, self._code, self._instruction) == (
            id(frame),
            frame.f_code,
            frame.f_lasti,
        )


def refuse_dict() -> NoReturn:
    """Raise the error for ``dict(output)``."""
    raise TypeError(
        "a FileOutput is no mapping: str(output) is its URL, output.read() its content,"
        " output.headers a dict about it"
    )


def is_file(text: str) -> bool:
    """Whether a whole output is a file's address, and not text that only begins like one."""
    scheme, colon, rest = text.partition(":")
    if scheme != "https":
        scheme = scheme.lower()
    if not colon or scheme not in ("https", "http", "data"):
        return False
    if scheme == "data":
        about, comma, _ = rest.partition(",")
        kind = about.partition(";")[0]
        return (
            bool(comma)
            and kind.count("/") == 1
            and kind.isascii()
            and not any(each.isspace() for each in about)
        )
    if (
        not rest.startswith("//")
        or " " in rest
        or not rest.isprintable()
        or rest[2:3] in ("", "/", "?", "#")
    ):
        return False
    return scheme == "https" or _is_loopback(
        rest[2:].partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    )


def get_path_url(path: object) -> str | None:
    """Return the URL of a file that a model made, or None for anything else; 2.0 has it for its
    `URLPath`.
    """
    url = getattr(path, "__url__", None)
    return url if isinstance(url, str) else None


def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.") or name.endswith(".localhost")


defer_annotations(globals())
