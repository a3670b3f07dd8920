"""Which text is the address of a file."""

from __future__ import annotations


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
        return bool(comma) and kind.count("/") == 1 and kind.isascii() and not any(each.isspace() for each in about)
    if not rest.startswith("//") or " " in rest or not rest.isprintable() or rest[2:3] in ("", "/", "?", "#"):
        return False
    return scheme == "https" or _is_loopback(rest[2:].partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2])


def get_path_url(path: object) -> str | None:
    """Give the URL of a file that a model made, or None for anything else; 2.0 has it for its `URLPath`."""
    url = getattr(path, "__url__", None)
    return url if isinstance(url, str) else None


def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.") or name.endswith(".localhost")
