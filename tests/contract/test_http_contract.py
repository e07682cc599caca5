"""The written HTTP contract and the application say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from ruamel.yaml import YAML

from lakehouse_controlroom.web import routed
from opscore.db.people_rpc import RUN_FIELDS
from opscore.domain.run import RunState

CONTRACT = Path(__file__).parents[2] / "contracts" / "lakehouse-executor.openapi.yaml"
METHODS = {"get", "post", "put", "patch", "delete"}
NEGOTIATED = {"accept"}  # HTTP's own, not a parameter of ours


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(CONTRACT.read_text())


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    return routed().openapi()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path, method): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def parameters(document: dict[str, Any], operation: dict[str, Any]) -> set[tuple[str, str]]:
    named = [resolved(document, parameter) for parameter in operation.get("parameters", [])]
    return {(one["in"], one["name"].lower()) for one in named} - {("header", name) for name in NEGOTIATED}


def test_the_contract_is_valid_openapi(contract: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(contract).iter_errors()) == []


def test_the_contract_names_exactly_the_paths_that_are_served(contract: dict[str, Any], served: dict[str, Any]) -> None:
    assert set(operations(contract)) == set(operations(served))


def test_the_contract_names_exactly_the_parameters_that_are_taken(
    contract: dict[str, Any], served: dict[str, Any]
) -> None:
    for key, operation in operations(contract).items():
        assert parameters(contract, operation) == parameters(served, operations(served)[key]), key


def test_operations_have_the_names_of_their_functions(contract: dict[str, Any], served: dict[str, Any]) -> None:
    for key, operation in operations(contract).items():
        assert operations(served)[key]["operationId"].startswith(operation["operationId"]), key


def test_every_write_needs_the_token_and_no_read_does(contract: dict[str, Any]) -> None:
    for (path, method), operation in operations(contract).items():
        assert ("security" in operation) == (method == "post"), path


def test_bodies_have_the_fields_that_are_taken(contract: dict[str, Any], served: dict[str, Any]) -> None:
    wanted = served["components"]["schemas"]["Wanted"]
    written = contract["components"]["schemas"]["WantedRun"]

    assert set(written["properties"]) == set(wanted["properties"])
    assert written["required"] == wanted["required"]


def test_a_run_in_the_contract_has_fields_that_runs_have(contract: dict[str, Any]) -> None:
    run = contract["components"]["schemas"]["Run"]

    assert set(run["required"]) <= set(run["properties"]) <= set(RUN_FIELDS)
    assert contract["components"]["schemas"]["RunState"]["enum"] == [state.value for state in RunState]
