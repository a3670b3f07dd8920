"""Explain characters that no token has, and where they come from."""

from __future__ import annotations

# Characters that get into a token when it is copied, and how.
CAUSES = {
    "\u2026": "an ellipsis (…): it was copied from a page that shows only part of it",
    **dict.fromkeys(
        "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a",
        "a typographic quote: a word processor or a chat has put it in",
    ),
    **dict.fromkeys(
        "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
        "a typographic dash: a word processor or a chat has put it in",
    ),
    **dict.fromkeys(
        "\u2022\u2023\u25cf\u25e6\u2219\u22c5\u00b7\u2217",
        "a bullet: it was copied from a page that masks it",
    ),
    **dict.fromkeys(
        "\u200b\u200c\u200d\u2060\u00ad\u200e\u200f",
        "an invisible character: it was copied from a web page or a document",
    ),
    **dict.fromkeys(
        "\u00a0\u202f\u2007\u2009",
        "a non-ASCII space: it was copied from a web page or a document",
    ),
    "\ufeff": "a byte order mark: it was read from a file that begins with one",
    "\ufffd": "a replacement character: it was decoded with the wrong encoding",
}


def describe_problem(token: str) -> str:
    """Describe what is wrong with a token's characters, and how they got there."""
    if any(character < " " or character == "\x7f" for character in token):
        return "a line break or another control character; remove it"
    cause = next(
        (CAUSES[character] for character in token if character in CAUSES),
        "a character that is not printable ASCII",
    )
    return f"{cause}. Copy the token once more"
