"""Errors of the admin API: one JSON form for all, `{"error": {"code", "message"}}`."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct
from msgspec.json import encode

from fleet.errors import (
    HeadraceError,
    InvalidRequestError,
    StoreUnavailableError,
    UnknownNameError,
)

_log = structlog.get_logger("admin")


class ErrorDetail(Struct, frozen=True, omit_defaults=True):
    """What went wrong, for programs and for people."""

    code: str
    message: str
    details: tuple[str, ...] = ()
    """One a problem, when there are several."""


class ErrorBody(Struct, frozen=True):
    """The whole body of a reply of 400 and above."""

    error: ErrorDetail


class ApiError(Exception):
    """A request is refused: `status` is 400 or above, `code` a stable lower-case word."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(code, message, details)
        self.headers = headers or {}


_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
"""Codes of the errors that aiohttp itself raises."""


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into the JSON form."""
    try:
        return await handler(request)
    except ApiError as error:
        return _response(error)
    except web.HTTPException as error:
        return _response(_from_http(request, error))
    except InvalidRequestError as error:
        return _response(ApiError(400, "invalid_request", str(error)))
    except UnknownNameError as error:
        return _response(ApiError(404, "unknown_name", str(error)))
    except StoreUnavailableError as error:
        return _response(ApiError(503, "store_unavailable", str(error)))
    except HeadraceError as error:
        return _response(ApiError(500, "failed", str(error)))
    except Exception:
        _log.exception("admin request failed", method=request.method, path=request.path)
        return _response(ApiError(500, "internal", "an error in the daemon; see its log"))


def _from_http(request: web.Request, error: web.HTTPException) -> ApiError:
    code = _HTTP_CODES.get(error.status, "http_error")
    match error:
        case web.HTTPNotFound():
            message = f"there is no {request.path}"
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            headers = {"Allow": allowed}
            message = f"{request.path} takes {allowed}, not {request.method}"
            return ApiError(error.status, code, message, headers=headers)
        case web.HTTPRequestEntityTooLarge():
            message = f"the body is above {request.client_max_size} bytes"
        case _:
            message = error.reason
    return ApiError(error.status, code, message)


def _response(error: ApiError) -> web.Response:
    return web.Response(
        status=error.status,
        body=encode(ErrorBody(error.detail)) + b"\n",
        content_type="application/json",
        headers={"Cache-Control": "no-store", **error.headers},
    )
