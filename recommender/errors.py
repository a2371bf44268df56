"""Every error that the product raises on purpose.

::

    DesirepathError
    ├── InvalidInputError          a value from outside is not acceptable
    │   ├── InvalidEventError      one event is refused; its batch goes on
    │   └── ConfigError            a settings, placement or training file is not acceptable
    ├── ConflictError              a change that what is there does not allow
    ├── BundleError                a model folder is not what it claims to be; nothing was loaded
    ├── StorageError               the disk or the store did not do what was asked
    │   ├── StorageBusyError       too much waits to be written; retry later
    │   └── StorageFullError       no space left; retry later
    ├── DataError                  tables or logs cannot be used as they are
    └── RefusedError               a gate or check said no; the command ran as intended

Domain errors never know HTTP codes: `serving` translates them once, at its edge.
"""

from __future__ import annotations


class DesirepathError(Exception):
    """Base of all errors raised on purpose."""


class InvalidInputError(DesirepathError, ValueError):
    """A value from outside is refused. Says what, which value, what would be accepted."""


class InvalidEventError(InvalidInputError):
    """One event is refused.

    Parameters
    ----------
    code
        Machine-readable reason, snake_case; the key under which rejects are counted.
    detail
        What was wrong, which value, what would be accepted.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class ConfigError(InvalidInputError):
    """A settings, placement or training file has an unknown key or an unacceptable value."""


class ConflictError(DesirepathError):
    """A change contradicts what is there. Says what is frozen or missing, and what would do."""


class BundleError(DesirepathError):
    """A bundle failed verification. Nothing of it is in use."""


class StorageError(DesirepathError):
    """A durable write did not happen."""


class StorageBusyError(StorageError):
    """More is waiting to be written than may wait. Retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StorageFullError(StorageError):
    """No space or no inode left. The caller may retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 5) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DataError(DesirepathError):
    """Tables, logs or data sets are missing, empty or not of the expected schema."""


class RefusedError(DesirepathError):
    """A gate or a check refused the result. Exit code 1."""
