"""What reading notices on its way, and the two kinds of file that it may leave out."""

from dataclasses import dataclass, field

from rhapsode.errors import DataError


class NotText(DataError):  # noqa: N818
    """A file that holds no text: an error when named, passed over within a folder."""


class Unreadable(DataError):  # noqa: N818
    """Bytes that are not what they ought to be: an error, unless such files are to be skipped."""


@dataclass
class Found:
    """What reading has noticed, filled while iterating.

    Arguments:
        encodings: from file to the name of its encoding, where that is not UTF-8.
        skipped: files of folders and archives that were left out, each with the reason.
        incomplete: records left out because they lack a field.
        undecodable: bytes that were replaced.
        notes: remarks for the user, one line each.
    """

    encodings: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    incomplete: int = 0
    undecodable: int = 0
    notes: list[str] = field(default_factory=list)
