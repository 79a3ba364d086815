"""The errors a user can see.

Everything that the user's input can cause is a subclass of `RhapsodeError`: one line that says what
was wrong, where, and what to do. Any other exception is a bug in rhapsode.
"""

__all__ = [
    "BundleError",
    "DataError",
    "EncodingError",
    "MissingExtraError",
    "RhapsodeError",
    "RunError",
    "SettingsError",
]


class RhapsodeError(Exception):
    """An error that the user can correct.

    Arguments:
        what: what was wrong, without a full stop.
        where: the file, setting or place it was found in; printed first.
        hint: what to do about it; printed last.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        """One line, control characters made visible."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.hint:
            text = f"{text}; {self.hint}"
        return "".join(
            character if character.isprintable() else repr(character)[1:-1] for character in text
        )


class SettingsError(RhapsodeError):
    """An unknown or invalid setting, option or name."""


class DataError(RhapsodeError):
    """A source that is unreadable or too small to train on."""


class EncodingError(RhapsodeError):
    """Text that the encoder of a model cannot encode."""


class BundleError(RhapsodeError):
    """A model file that is damaged, unsafe or of an unsupported version."""


class RunError(RhapsodeError):
    """A run folder that exists already, is incomplete or does not match."""


class MissingExtraError(RhapsodeError):
    """An optional dependency that is needed but not installed.

    Arguments:
        extra: the extra's name, as in `pip install rhapsode[extra]`.
        needed_for: what needs it.
    """

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs an optional package",
            hint=f"install it with: pip install 'rhapsode[{extra}]'",
        )
