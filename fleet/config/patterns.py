"""Regular expressions of textual settings, each with what it asks for in words."""

from __future__ import annotations

from typing import Final

COOKIE_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
"""A token of RFC 9110, section 5.6.2, of bounded length; so are header names."""
HEADER_NAME: Final = COOKIE_NAME
HOST: Final = r"^(\*\.)?[a-z0-9.\[\]:_-]+$"
METHOD: Final = r"^[A-Z]{1,20}$"
MODE: Final = r"^0?[0-7]{3}$"
NAME: Final = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
OBJECTIVE: Final = r"^p[0-9]{1,2}(\.[0-9]{1,3})? wait ([0-9.]+(d|h|m|s|ms))+$"
PATH: Final = r"^/[!-~]*$"
SIGNAL: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"

IN_WORDS: Final = {
    COOKIE_NAME: "a name of letters, digits and any of !#$%&'*+.^_`|~- (at most 64)",
    HOST: "a lower-case host without port, such as api.example.com or *.example.com",
    METHOD: "a method in capitals, such as GET",
    MODE: "permissions in octal, such as '0660'",
    NAME: "a name of lower-case letters, digits, `-` and `_` (at most 63, "
    "the first and last a letter or digit)",
    OBJECTIVE: "an objective such as p95 wait 500ms",
    PATH: "a path that starts with `/`, without blanks",
    SIGNAL: "a name of letters, digits and `_` (at most 63, the first no digit)",
}
