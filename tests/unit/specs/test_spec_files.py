"""Spec files, the files they name, their neighbours, and the bundles made of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opscore.domain.bundle import bundle_digest
from opscore.domain.errors import InvalidSpec
from opscore.domain.phase import Phase
from opscore.domain.pipeline import PipelineSpec, phases
from opscore.specs import SpecFault, bundle, parse, validate_files
from opscore.specs.schema import pipeline_schema

REPOSITORY = Path(__file__).parents[3]
SQL = "select 1 as company_id, 2 as order_id\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sound spec `orders`, its query, and the pipeline it comes after."""
    shutil.copy(Path(__file__).with_name("orders.yaml"), tmp_path / "orders.yaml")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "orders.sql").write_text(SQL)
    write(tmp_path, "orders_silver")
    return tmp_path


def write(folder: Path, name: str, *, after: str = "", table: str = "", file: str = "") -> Path:
    """Write a small spec."""
    path = folder / f"{file or name}.yaml"
    path.write_text(
        f"version: 1\nname: {name}\nowner: a\nlayer: gold\nafter: [{after}]\ndestinations: [{{namespace: gold}}]\n"
        f"transforms:\n  - {{kind: sql, table: {table or f'gold.{name}'}, file: sql/orders.sql, key: [order_id]}}\n"
    )
    return path


def said(faults: list[SpecFault]) -> list[tuple[str, int, str]]:
    return [(Path(fault.file).name, fault.line, fault.message) for fault in faults]


def test_a_sound_folder_has_no_fault(folder: Path) -> None:
    assert validate_files([folder]) == []


def test_a_spec_alone_finds_its_predecessor_beside_it(folder: Path) -> None:
    assert validate_files([folder / "orders.yaml"]) == []


def test_a_predecessor_that_is_applied_already_is_known(folder: Path) -> None:
    path = write(folder, "late", after="elsewhere")

    assert validate_files([path], known={"elsewhere"}) == []


def test_an_unknown_predecessor_is_a_fault_at_its_line(folder: Path) -> None:
    path = write(folder, "late", after="order")

    (fault,) = validate_files([path])

    assert said([fault]) == [("late.yaml", 5, "after[0]: there is no pipeline `order`")]
    assert fault.hint == "Did you mean `orders`?"


def test_two_pipelines_of_one_name_are_a_fault_that_names_the_other_file(folder: Path) -> None:
    path = write(folder, "orders", file="second", table="gold.second")

    (fault,) = validate_files([path])

    assert (fault.line, "name: `orders` is already the name of the pipeline in" in fault.message) == (2, True)
    assert "orders.yaml" in fault.message


def test_a_ring_of_pipelines_is_a_fault_in_each_of_them(folder: Path) -> None:
    for name, after in (("a", "b"), ("b", "c"), ("c", "orders_silver, a")):
        write(folder, name, after=after)

    faults = validate_files([folder])

    assert [(name, line) for name, line, _ in said(faults)] == [("a.yaml", 5), ("b.yaml", 5), ("c.yaml", 5)]
    assert "a after b after c after a" in faults[0].message
    assert "after[1]" in faults[2].message


def test_a_ring_is_found_in_files_with_other_faults(folder: Path) -> None:
    write(folder, "a", after="b")
    path = write(folder, "b", after="a")
    path.write_text(path.read_text().replace("layer: gold", "layer: gould"))

    assert [line for _, line, _ in said(validate_files([path]))] == [4, 5]


def test_two_pipelines_into_one_table_are_a_fault(folder: Path) -> None:
    path = write(folder, "late", table="gold.orders")

    (fault,) = validate_files([path])

    assert (fault.line, "`gold.orders` is already written by the pipeline in" in fault.message) == (8, True)


def test_a_missing_query_is_a_fault_at_the_line_that_names_it(folder: Path) -> None:
    (folder / "sql" / "orders.sql").unlink()

    (fault,) = validate_files([folder / "orders.yaml"])

    assert said([fault]) == [("orders.yaml", 22, "`sql/orders.sql`: there is no such file")]


def test_a_faulty_query_is_a_fault_at_its_own_line(folder: Path) -> None:
    (folder / "sql" / "orders.sql").write_text("select $as_of, $as_of\n  from a\n where (b = 1\n")

    (fault,) = validate_files([folder / "orders.yaml"])

    assert (Path(fault.file).name, fault.line) == ("orders.sql", 3)
    assert "the SQL is faulty" in fault.message
    assert "orders.yaml names it in line 22" in fault.hint


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "0 statements"),
        ("-- nothing", "0 statements"),
        ("select 1; select 2", "2 statements"),
        ("delete from a", "only a query"),
        ("select '", "the SQL is faulty"),
        ("select " + "(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
    ],
)
def test_a_query_file_must_hold_one_query(folder: Path, sql: str, says: str) -> None:
    (folder / "sql" / "orders.sql").write_text(sql)

    (fault,) = validate_files([folder / "orders.yaml"])

    assert says in fault.message


def test_a_query_must_name_namespaces_and_declared_parameters(folder: Path) -> None:
    (folder / "sql" / "orders.sql").write_text(
        "with mine as (select 1 as a)\nselect $as_of, $day, ?\n  from mine\n  join sale_order on true\n  join silver.x on true\n"
    )

    faults = validate_files([folder / "orders.yaml"])

    assert said(faults) == [
        ("orders.sql", 2, "`$day` is no parameter of the pipeline; declared are: as_of, days, dry, mode"),
        ("orders.sql", 2, "a parameter needs a name, for example `$as_of`"),
        ("orders.sql", 4, "the table `sale_order` lacks its namespace; write for example `silver.sale_order`"),
    ]


def test_a_query_outside_the_folder_is_refused_even_through_a_link(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip
    secret = tmp_path_factory.mktemp("outside") / "secret.sql"
    secret.write_text(SQL)
    (folder / "sql" / "orders.sql").unlink()
    (folder / "sql" / "orders.sql").symlink_to(secret)

    (fault,) = validate_files([folder / "orders.yaml"])

    assert "lies outside the spec's folder" in fault.message


def test_files_that_cannot_be_read_are_faults(folder: Path) -> None:
    (folder / "sql" / "orders.sql").unlink()
    (folder / "sql" / "orders.sql").mkdir()

    faults = validate_files([folder / "none.yaml", folder / "orders.yaml"])

    assert said(faults) == [
        ("none.yaml", 1, "there is no such file"),
        ("orders.yaml", 22, "`sql/orders.sql`: this is not a file"),
    ]


def test_no_fault_is_reported_twice_for_a_file_given_twice(folder: Path) -> None:
    (folder / "sql" / "orders.sql").unlink()

    faults = validate_files([folder / "orders.yaml", folder / "sql" / ".." / "orders.yaml"])

    assert len(faults) == 1


def test_a_ring_through_a_fan_in_is_a_fault_of_each_file_in_it(folder: Path) -> None:
    write(folder, "a", after="b")
    path = write(folder, "b")
    path.write_text(path.read_text() + "triggers: [{kind: fan_in, name: both, pipelines: [a, orders_silver]}]\n")

    faults = validate_files([path])

    assert said(faults) == [
        ("b.yaml", 9, "triggers[0].pipelines[0]: the pipelines wait for each other in a ring: a after b after a")
    ]


def test_a_spec_that_uses_nothing_new_is_written_as_the_first_release_wrote_it(folder: Path) -> None:
    spec = bundle(folder / "orders.yaml").spec

    assert {"schedules", "expected_by", "triggers", "backfill"} & set(spec) == set()


def test_a_bundle_holds_the_canonical_spec_and_every_file(folder: Path) -> None:
    made = bundle(folder / "orders.yaml")

    assert made.files == {"sql/orders.sql": SQL}
    assert made.spec["schedule"] == {"cron": "*/15 * * * *", "timezone": "Europe/Brussels"}
    assert made.spec["validations"][1]["max"] == "0.2"
    assert made.spec["validations"][0]["tolerance"] == "0"
    assert made.digest == bundle_digest(made.spec, made.files)


def test_the_same_content_gives_the_same_digest_however_it_is_written(folder: Path) -> None:
    first = bundle(folder / "orders.yaml")
    text = (folder / "orders.yaml").read_text().replace("max: 0.2,", "max: 0.20,")
    header, _, rest = text.partition("params:\n")
    other = folder / "elsewhere"
    (other / "sql").mkdir(parents=True)
    (other / "sql" / "orders.sql").write_bytes(SQL.replace("\n", "\r\n").encode())
    (other / "o.yaml").write_text("# reordered\nparams:\n" + rest + header, newline="\r\n")
    (other / "o.json").write_text(json.dumps(first.spec))

    assert bundle(other / "o.yaml") == first
    assert bundle(other / "o.json") == first


def test_a_bundle_survives_the_way_through_a_jsonb_column(folder: Path) -> None:
    made = bundle(folder / "orders.yaml")

    stored = json.loads(json.dumps(made.spec, sort_keys=True))

    assert bundle_digest(stored, made.files) == made.digest
    assert PipelineSpec.model_validate(stored).as_json() == made.spec


@pytest.mark.parametrize("change", ["description: new\n", ""])
def test_another_content_gives_another_digest(folder: Path, change: str) -> None:
    first = bundle(folder / "orders.yaml")
    with (folder / "orders.yaml").open("a") as spec:
        spec.write(change)
    if not change:
        (folder / "sql" / "orders.sql").write_text(SQL + " ")

    assert bundle(folder / "orders.yaml").digest != first.digest


def test_a_faulty_spec_makes_no_bundle(folder: Path) -> None:
    (folder / "sql" / "orders.sql").unlink()

    with pytest.raises(InvalidSpec, match=r"orders\.yaml:22: `sql/orders\.sql`: there is no such file"):
        bundle(folder / "orders.yaml")


def test_the_reference_pipelines_are_sound() -> None:
    assert validate_files([REPOSITORY / "pipelines"]) == []


def test_the_reference_pipelines_have_their_phases() -> None:
    specs = {
        name: PipelineSpec.model_validate(bundle(REPOSITORY / "pipelines" / f"{name}.yaml").spec)
        for name in ("odoo_ingest_bronze", "bronze_to_silver", "silver_to_gold")
    }

    found = {name: phases(spec) for name, spec in specs.items()}

    assert found == {
        "odoo_ingest_bronze": (Phase.INGEST, Phase.VALIDATE, Phase.PUBLISH),
        "bronze_to_silver": (Phase.TRANSFORM, Phase.VALIDATE, Phase.PUBLISH),
        "silver_to_gold": (Phase.TRANSFORM, Phase.VALIDATE, Phase.PUBLISH),
    }
    assert [spec.after for spec in specs.values()] == [(), ("odoo_ingest_bronze",), ("bronze_to_silver",)]


def test_the_documented_spec_is_sound() -> None:
    page = (REPOSITORY / "docs" / "reference" / "pipeline_spec.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]

    assert parse(example, "sales_gold.yaml").name == "sales_gold"


def generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "tools" / "generate.py"), "--root", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_stale_generated_files_are_named_and_then_written(tmp_path: Path) -> None:
    stale = generate(tmp_path, "--check")
    written = generate(tmp_path)
    fresh = generate(tmp_path, "--check")

    assert (stale.returncode, written.returncode, fresh.returncode) == (1, 0, 0)
    assert "contracts/pipeline.schema.json is stale" in stale.stderr
    assert json.loads((tmp_path / "contracts" / "pipeline.schema.json").read_text()) == pipeline_schema()
