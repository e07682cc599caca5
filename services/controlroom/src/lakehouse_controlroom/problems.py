"""Errors as RFC 9457 problem documents, after contracts/errors.yaml. Installed into the web application by `web.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from ruamel.yaml import YAML
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opscore.domain.errors import InvalidInput, NotAllowed, NotFound, OpsError

MEDIA_TYPE = "application/problem+json"
FILE = "errors.yaml"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list."""

    code: str
    http: int
    hint: str


class Unauthenticated(NotAllowed):
    """The request carries no valid bearer token."""

    default_hint = "Send `Authorization: Bearer TOKEN`; `lakehouse up` keeps the token in secrets.json of its home."


@cache
def listed() -> dict[str, Listed]:
    """Code -> its line."""
    rows = YAML(typ="safe", pure=True).load(_file().read_text(encoding="utf-8"))["errors"]
    return {row["code"]: Listed(row["code"], row["http"], row["hint"]) for row in rows}


def problem(error: OpsError, path: str, status: int | None = None) -> Response:
    """The document for an error. status: another than the list's."""
    code = status or listed()[error.code].http
    document = {
        "type": f"urn:lakehouse:error:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": code,
        "detail": error.message,
        "instance": path,
        "code": error.code,
        "hint": error.hint,
    }
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    return Response(orjson.dumps(document), code, headers, MEDIA_TYPE)


def install(web: FastAPI) -> None:
    """Answer every error with a problem document."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, OpsError)  # noqa: S101 - registered for it
        status = 401 if isinstance(error, Unauthenticated) else None
        return problem(error, request.url.path, status)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
        return problem(_invalid(error.errors()[0]), request.url.path)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
        return problem(_http(error, request), request.url.path, error.status_code)

    web.add_exception_handler(OpsError, ours)
    web.add_exception_handler(RequestValidationError, invalid)
    web.add_exception_handler(HTTPException, http)


def _invalid(first: Any) -> InvalidInput:
    where = ".".join(str(part) for part in first["loc"])
    return InvalidInput(f"{where}: {first['msg']}.", hint="The contract says what is taken.")


def _http(error: HTTPException, request: Request) -> OpsError:
    if error.status_code == 404:
        return NotFound(f"There is nothing at {request.url.path}.", hint="The API's paths begin with /v1/.")
    return InvalidInput(f"{request.method} {request.url.path}: {error.detail}.")


def _file() -> Path:
    """Inside the wheel; beside the checkout otherwise."""
    packaged = Path(__file__).with_name(FILE)
    return packaged if packaged.is_file() else Path(__file__).parents[4] / "contracts" / FILE
