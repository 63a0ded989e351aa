"""What the server says when it refuses: the codes of a BOSS and the statuses that go with them (boss-api 3)."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Error codes of a BOSS that this server uses (boss-api 3.2)."""

    INVALID_TIME = 1000
    INVALID_CUTOUT = 1001
    TYPE_ERROR = 1002
    INVALID_ARGUMENT = 1003
    INVALID_OPTION = 1005
    TOO_LARGE = 2000
    DATATYPE_MISMATCH = 2001
    DIMENSION_MISMATCH = 2002
    DATATYPE_UNSUPPORTED = 2003
    INVALID_REQUEST = 2004
    NO_TIME_IN_JPEG = 2005
    INVALID_STATE = 2006
    MISSING_ROLE = 3000
    MISSING_PERMISSION = 3001
    NOT_FOUND = 4000
    INTEGRITY = 4003
    ID_NOT_FOUND = 4004
    UNREADABLE = 5000
    NOT_IMPLEMENTED = 9000
    SYSTEM = 9001
    UNSUPPORTED_VERSION = 9003


STATUS = {
    Code.TOO_LARGE: 413,
    Code.INVALID_REQUEST: 404,
    Code.INVALID_STATE: 409,
    Code.MISSING_ROLE: 403,
    Code.MISSING_PERMISSION: 403,
    Code.NOT_FOUND: 404,
    Code.ID_NOT_FOUND: 404,
    Code.UNREADABLE: 404,
    Code.NOT_IMPLEMENTED: 404,
}
"""HTTP status of each code that is not a plain 400."""


class BossFault(Exception):
    """A refusal in the BOSS's own form: a status, a code and a text."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        return STATUS.get(self.code, 400)

    def as_json(self) -> dict[str, object]:
        return {"status": self.status, "code": int(self.code), "message": str(self)}


class HttpFault(Exception):
    """A refusal in the form of the framework below a BOSS: a status and a text, no code (boss-api 3.1)."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def as_json(self) -> dict[str, object]:
        return {"detail": str(self)}


def not_found(what: str, name: str) -> BossFault:
    return BossFault(Code.NOT_FOUND, f"There is no {what} called {name}.")


def no_permission(permission: str, name: str) -> BossFault:
    return BossFault(Code.MISSING_PERMISSION, f"The permission to {permission} {name} is missing.")
