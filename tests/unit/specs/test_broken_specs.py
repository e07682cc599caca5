"""Every broken spec is refused with the line, what is wrong and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from jsonschema import Draft202012Validator

from opscore.domain.errors import InvalidSpec
from opscore.specs import parse
from opscore.specs.parsing import examine
from opscore.specs.reading import read
from opscore.specs.schema import pipeline_schema

SOUND = Path(__file__).with_name("orders.yaml").read_text(encoding="utf-8")


class Broken(NamedTuple):
    """A sound line, what stands there instead, and a part of the complaint."""

    line: str
    instead: str
    says: str

    @property
    def text(self) -> str:
        assert SOUND.count(self.line) == 1, self.line
        return SOUND.replace(self.line, self.instead)

    @property
    def expected_line(self) -> int:
        before, here, _ = self.text.partition("# HERE")
        assert here
        return before.count("\n") + 1


NAME, OWNER, LAYER = "name: orders\n", "owner: sales-data@example.com\n", "layer: gold\n"
CRON = 'schedule: {cron: "*/15 * * * *", timezone: Europe/Brussels}\n'
AFTER = "after: [orders_silver]\n"
MODE = "  mode: {type: string, enum: [full, fast], default: full}\n"
DAYS = "  days: {type: integer, minimum: 1, maximum: 90, default: 7}\n"
AS_OF = "  as_of: {type: date, default: today}\n"
DRY = "  dry: {type: boolean, default: false}\n"
CONNECTION = "    connection: env:SHOP_DATABASE_URL\n"
EXCLUDE = '    exclude: [ir_logging, "bus_*"]\n'
COLUMNS = '    exclude_columns: ["res_users.password"]\n'
GROUPS = '    groups: {finance: ["account.*"], ops: ["sale.*"], masterdata: ["*"]}\n'
LAKE = "  - {name: silver, kind: lake, namespace: silver}\n"
DESTINATIONS = "destinations: [{namespace: gold}, {namespace: bronze}]\n"
SQL = "  - {kind: sql, table: gold.orders, file: sql/orders.sql, key: [company_id, order_id]}\n"
CURRENT = "  - {kind: current_state, from: silver, into: bronze}\n"
ROWS = '  - {check: row_count, dataset: "bronze.*", action: fail}\n'
NULLS = "  - {check: null_share, dataset: gold.orders, column: partner, max: 0.2, action: warn}\n"
REFERS = "  - {check: referential, dataset: gold.orders, column: company_id, references: silver.res_company.id}\n"
VALUES = "  - {check: accepted_values, dataset: gold.orders, column: state, values: [sale, done]}\n"
BALANCED = "  - {check: balanced_entries, dataset: gold.orders, group_by: order_id, where: \"state = 'done'\"}\n"
CUSTOM = '  - {check: custom_sql, name: no_negative, dataset: gold.orders, sql: "select 1 from gold.orders where total < 0"}\n'
PUBLISH = "publish: {mode: together}\n"
CAPS = "caps: [{kind: concurrency, limit: 1}, {kind: runs, limit: 10, window_seconds: 60}]\n"
RETRIES = "retries: {max_attempts: 3, first_seconds: 2, factor: 1.5, longest_seconds: 300, max_losses: 10}\n"
REQUIRES = "requires: [engine:duckdb]\n"

# What the JSON schema refuses too.
WRONG_SHAPE = {
    "version from the future": Broken("version: 1\n", "version: 2 # HERE\n", "`version` must be 1"),
    "version as text": Broken("version: 1\n", "version: '1' # HERE\n", "not `1`"),
    "no name": Broken("version: 1\nname: orders\n", "version: 1 # HERE\n", "the key `name` is missing"),
    "name with a dash": Broken(NAME, "name: my-orders # HERE\n", "`name` must be a name of a-z, 0-9 and _"),
    "name is a number": Broken(NAME, "name: 12 # HERE\n", "not the number 12"),
    "name too long": Broken(NAME, f"name: {'a' * 64} # HERE\n", "at most 63 characters"),
    "owner empty": Broken(OWNER, "owner: '' # HERE\n", "`owner` must be text of 1 to 200 characters, not empty"),
    "owner null": Broken(OWNER, "owner: # HERE\n", "not nothing"),
    "owner too long": Broken(OWNER, f"owner: {'o' * 201} # HERE\n", "not 201 characters"),
    "layer misspelt": Broken(
        LAYER, "layer: gould # HERE\n", "`layer` must be one of bronze, silver, gold, not `gould`"
    ),
    "unknown key": Broken(LAYER, LAYER + "descripton: x # HERE\n", "`descripton` is not a key of a spec; allowed are"),
    "schedule is text": Broken(CRON, "schedule: hourly # HERE\n", "`schedule` must be a mapping, not `hourly`"),
    "schedule with a typo": Broken(
        CRON, 'schedule:\n  cron: "* * * * *"\n  timezon: UTC # HERE\n', "`timezon` is not a key of `schedule`"
    ),
    "after is text": Broken(AFTER, "after: orders_silver # HERE\n", "`after` must be a list"),
    "after holds a mapping": Broken(AFTER, "after:\n  - {a: b} # HERE\n", "`after[0]` must be a name"),
    "params is a list": Broken(
        "params:\n" + MODE + DAYS + AS_OF + DRY, "params: [a] # HERE\n", "must be a mapping, not"
    ),
    "param name": Broken(MODE, "  Mode: {type: string} # HERE\n", "`Mode` must be a name of a-z"),
    "param type": Broken(MODE, "  mode: {type: text} # HERE\n", "must be one of string, integer, boolean, date"),
    "param without type": Broken(MODE, "  mode: {default: full} # HERE\n", "params.mode: the key `type` is missing"),
    "param default type": Broken(DAYS, "  days: {type: integer, default: seven} # HERE\n", "must be an integer"),
    "param default boolean": Broken(
        DRY, "  dry: {type: boolean, default: yes} # HERE\n", "must be true or false, not `yes`"
    ),
    "param date": Broken(AS_OF, "  as_of: {type: date, default: yesterday} # HERE\n", "a date as YYYY-MM-DD, or today"),
    "param enum empty": Broken(MODE, "  mode: {type: string, enum: []} # HERE\n", "with at least one item"),
    "param key of another type": Broken(MODE, "  mode: {type: string, minimum: 1} # HERE\n", "`minimum` is not a key"),
    "source kind": Broken("    kind: odoo\n", "    kind: oddo # HERE\n", "must be one of odoo, lake, not `oddo`"),
    "source without kind": Broken(LAKE, "  - {name: silver, namespace: silver} # HERE\n", "the key `kind` is missing"),
    "source is text": Broken(LAKE, "  - silver # HERE\n", "`sources[1]` must be a mapping, not `silver`"),
    "connection is a URL": Broken(
        CONNECTION, "    connection: postgresql://u:hunter2@db/odoo # HERE\n", "never the secret itself"
    ),
    "connection missing": Broken(
        "  - name: shop\n    kind: odoo\n" + CONNECTION,
        "  - name: shop # HERE\n    kind: odoo\n",
        "the key `connection` is missing",
    ),
    "exclude pattern": Broken(EXCLUDE, "    exclude:\n      - a b # HERE\n", "a source table or model, or a pattern"),
    "exclude column without table": Broken(
        COLUMNS,
        "    exclude_columns:\n      - password # HERE\n",
        "`sources[0].exclude_columns[0]` must be table.column",
    ),
    "group unknown": Broken(
        GROUPS, '    groups:\n      hr: ["hr.*"] # HERE\n', "`hr` is not a key of `sources[0].groups`"
    ),
    "lake namespace": Broken(
        LAKE, "  - {name: s, kind: lake, namespace: lead} # HERE\n", "one of bronze, silver, gold"
    ),
    "no destination": Broken(DESTINATIONS, "destinations: [] # HERE\n", "a list with at least one item"),
    "destination is text": Broken(DESTINATIONS, "destinations: [gold] # HERE\n", "`destinations[0]` must be a mapping"),
    "transform kind": Broken(CURRENT, "  - {kind: python, table: gold.x} # HERE\n", "one of current_state, sql"),
    "sql outside the folder": Broken(
        SQL, "  - {kind: sql, table: gold.orders, file: ../x.sql, key: [id]} # HERE\n", "below"
    ),
    "sql absolute": Broken(
        SQL, "  - {kind: sql, table: gold.orders, file: /etc/x.sql, key: [id]} # HERE\n", "below the"
    ),
    "sql without key": Broken(
        SQL, "  - {kind: sql, table: gold.orders, file: x.sql} # HERE\n", "the key `key` is missing"
    ),
    "sql key empty": Broken(
        SQL, "  - {kind: sql, table: gold.orders, file: x.sql, key: []} # HERE\n", "at least one item"
    ),
    "sql table without namespace": Broken(
        SQL, "  - {kind: sql, table: orders, file: x.sql, key: [id]} # HERE\n", "with its"
    ),
    "language": Broken(
        CURRENT, "  - {kind: current_state, from: silver, into: bronze, language: English} # HERE\n", "language code"
    ),
    "check misspelt": Broken(
        ROWS, "  - {check: row_cuont, dataset: bronze.x} # HERE\n", "`validations[0].check` must be one"
    ),
    "check without dataset": Broken(ROWS, "  - {check: row_count} # HERE\n", "the key `dataset` is missing"),
    "action": Broken(
        ROWS, '  - {check: drift, dataset: "bronze.*", action: block} # HERE\n', "must be one of warn, fail"
    ),
    "share above one": Broken(
        NULLS, "  - {check: null_share, dataset: gold.x, column: a, max: 20} # HERE\n", "a share from 0 to 1"
    ),
    "share is a word": Broken(
        NULLS, "  - {check: null_share, dataset: gold.x, column: a, max: few} # HERE\n", "not `few`"
    ),
    "share is not a number": Broken(
        NULLS, "  - {check: null_share, dataset: gold.x, column: a, max: .nan} # HERE\n", "share"
    ),
    "tolerance negative": Broken(
        ROWS, '  - {check: row_count, dataset: "bronze.*", tolerance: -1} # HERE\n', "at least 0"
    ),
    "reference without column": Broken(
        REFERS,
        "  - {check: referential, dataset: gold.x, column: a, references: silver.a} # HERE\n",
        "namespace, table and column",
    ),
    "values of numbers": Broken(
        VALUES,
        "  - {check: accepted_values, dataset: gold.x, column: a, values: [1]} # HERE\n",
        "must be text, not the number 1",
    ),
    "custom check without name": Broken(
        CUSTOM, "  - {check: custom_sql, dataset: gold.x, sql: select 1} # HERE\n", "`name`"
    ),
    "publish mode": Broken(
        PUBLISH, "publish: {mode: apart} # HERE\n", "`publish.mode` must be `together`, not `apart`"
    ),
    "cap kind": Broken(
        CAPS,
        "caps:\n  - {kind: rowz, limit: 1} # HERE\n",
        "one of concurrency, runs, rows, bytes, queries, compute_seconds, cost, not `rowz`",
    ),
    "metered cap without window": Broken(
        CAPS, "caps:\n  - {kind: rows, limit: 1} # HERE\n", "the key `window_seconds` is missing"
    ),
    "cap of less than nothing": Broken(
        CAPS, "caps:\n  - {kind: cost, limit: -1, window_seconds: 60} # HERE\n", "a number from 0 to below 10^18"
    ),
    "cap behaviour": Broken(
        CAPS,
        "caps:\n  - {kind: concurrency, limit: 1, behaviour: explode} # HERE\n",
        "one of hold, reject, cancel_oldest, cancel_newest",
    ),
    "estimate of an unknown kind": Broken(REQUIRES, REQUIRES + "estimate: {cpu: 1} # HERE\n", "`cpu` is not a key of"),
    "estimate below zero": Broken(
        REQUIRES, REQUIRES + "estimate: {rows: -1} # HERE\n", "an integer from 0 to below 10^18"
    ),
    "label": Broken(REQUIRES, REQUIRES + "labels: [Team Sales] # HERE\n", "a label of at most 63 of"),
    "preference": Broken(REQUIRES, REQUIRES + "prefers: cloud # HERE\n", "one of edge, container, not `cloud`"),
    "cap without window": Broken(
        CAPS, "caps:\n  - {kind: runs, limit: 1} # HERE\n", "the key `window_seconds` is missing"
    ),
    "cap of none": Broken(
        CAPS, "caps:\n  - {kind: concurrency, limit: 0} # HERE\n", "an integer from 1 to 10000, not the"
    ),
    "attempts": Broken(
        RETRIES, "retries: {max_attempts: 1.5} # HERE\n", "an integer from 1 to 100, not the number 1.5"
    ),
    "factor": Broken(RETRIES, "retries: {factor: 0.5} # HERE\n", "a number from 1 to 100"),
    "capability": Broken(REQUIRES, "requires: [Engine DuckDB] # HERE\n", "a capability of executors"),
}

# What only the rules between the parts refuse.
BROKEN_RULES = {
    "nothing to do": Broken(SOUND, "version: 1 # HERE\nname: a\nowner: b\nlayer: gold\ndestinations: [{namespace: gold}]\n", "does nothing"),
    "schedule without moments": Broken(CRON, "schedule: {timezone: UTC} # HERE\n", "needs either `cron` or `every_seconds`"),
    "schedule with both": Broken(
        CRON, 'schedule: {cron: "0 0 * * *", every_seconds: 60} # HERE\n', "needs either `cron` or `every_seconds`"
    ),
    "named schedule": Broken(CRON, 'schedules: {nightly: {cron: "0 25 * * *"}} # HERE\n', "schedules.nightly.cron: the schedule has `25`"),
    "named like the main one": Broken(
        CRON, 'schedules: {main: {cron: "0 5 * * *"}} # HERE\n', "`main` is the name of another schedule"
    ),
    "deadline in no zone": Broken(
        CRON, 'expected_by: {cron: "0 5 * * *", timezone: Mars/Base, within_seconds: 60} # HERE\n', "`Mars/Base` is not a time zone"
    ),
    "schedule with a stranger": Broken(
        CRON, 'schedule: {cron: "0 5 * * *", params: {speed: full}} # HERE\n', "the pipeline has no parameter `speed`"
    ),
    "schedule with a wrong value": Broken(
        CRON, 'schedule: {cron: "0 5 * * *", params: {mode: slow}} # HERE\n', "`slow` is not one of full, fast"
    ),
    "trigger twice": Broken(
        CRON, "triggers:\n  - {kind: webhook, name: a}\n  - {kind: webhook, name: a} # HERE\n", "already the name of triggers[0]"
    ),
    "trigger on itself": Broken(
        CRON, "triggers: [{kind: event, name: a, event: RUN_FAILED, pipeline: orders}] # HERE\n", "a pipeline cannot start itself"
    ),
    "backfill of nothing": Broken(CRON, "backfill: {from: since} # HERE\n", "`since` is no parameter of type date or string"),
    "backfill into a number": Broken(CRON, "backfill: {from: days} # HERE\n", "`days` is no parameter of type date or string"),
    "backfill with one for both": Broken(CRON, "backfill: {from: as_of, to: as_of} # HERE\n", "start and end need parameters"),
    "cron fields": Broken(CRON, 'schedule: {cron: "*/15 * * * * *"} # HERE\n', "has 6 fields instead of 5"),
    "cron range": Broken(CRON, 'schedule: {cron: "61 * * * *"} # HERE\n', "has `61` as minute; allowed are 0 to 59"),
    "cron word": Broken(CRON, 'schedule: {cron: "0 0 * * someday"} # HERE\n', "has `someday` as day of week"),
    "cron never": Broken(CRON, 'schedule: {cron: "0 0 30 feb *"} # HERE\n', "a day that never comes"),
    "cron step": Broken(CRON, 'schedule: {cron: "*/0 * * * *"} # HERE\n', "has `*/0` as minute"),
    "cron backwards": Broken(CRON, 'schedule: {cron: "0 9-5 * * *"} # HERE\n', "has `9-5` as hour"),
    "time zone": Broken(CRON, 'schedule: {cron: "0 0 * * *", timezone: Mars/Base} # HERE\n', "`Mars/Base` is not a time zone"),
    "time zone path": Broken(CRON, 'schedule: {cron: "0 0 * * *", timezone: ../UTC} # HERE\n', "is not a time zone"),
    "after itself": Broken(AFTER, "after: [orders] # HERE\n", "a pipeline cannot come after itself"),
    "after twice": Broken(AFTER, "after:\n  - a\n  - a # HERE\n", "`a` is named twice"),
    "default outside enum": Broken(MODE, "  mode: {type: string, enum: [full], default: fast} # HERE\n", "one of full"),
    "default outside range": Broken(DAYS, "  days: {type: integer, maximum: 5, default: 7} # HERE\n", "to 5"),
    "range backwards": Broken(DAYS, "  days: {type: integer, minimum: 9, maximum: 5} # HERE\n", "less than the minimum 9"),
    "date that is none": Broken(AS_OF, "  as_of: {type: date, default: 2026-02-30} # HERE\n", "`2026-02-30` is not a date"),
    "chain declared": Broken(DRY, "  chain: {type: boolean} # HERE\n", "a parameter of every pipeline"),
    "required with default": Broken(DRY, "  dry: {type: boolean, required: false, default: true}\n  x: {type: date, required: true} # HERE\n", "also starts by itself"),
    "source named twice": Broken(LAKE, "  - {name: shop, kind: lake, namespace: silver} # HERE\n", "the name of sources[0]"),
    "two odoo sources": Broken(LAKE, LAKE + "  - {name: b, kind: odoo, connection: env:B} # HERE\n", "at most one"),
    "odoo without bronze": Broken(DESTINATIONS + "transforms:\n" + SQL + CURRENT + "validations:\n" + ROWS, "destinations: [{namespace: gold}] # HERE\ntransforms:\n" + SQL + "validations:\n", "ingested into bronze"),
    "destination twice": Broken(DESTINATIONS, "destinations:\n  - {namespace: gold}\n  - {namespace: bronze}\n  - {namespace: gold} # HERE\n", "a destination already"),
    "layer without destination": Broken(LAYER, "layer: silver # HERE\n", "`silver` is none of the destinations"),
    "from without source": Broken(CURRENT, "  - {kind: current_state, from: gold, into: bronze} # HERE\n", "not the namespace of a lake source"),
    "table outside destinations": Broken(SQL, "  - {kind: sql, table: silver.x, file: x.sql, key: [id]} # HERE\n", "none of the destinations"),
    "one table twice": Broken(SQL, SQL + "  - {kind: sql, table: gold.orders, file: y.sql, key: [id]} # HERE\n", "already written by transforms[0]"),
    "one namespace twice": Broken(CURRENT, CURRENT + "  - {kind: current_state, from: silver, into: bronze} # HERE\n", "already written by transforms[1]"),
    "key column twice": Broken(SQL, "  - {kind: sql, table: gold.orders, file: x.sql, key: [id, id]} # HERE\n", "in the key twice"),
    "check elsewhere": Broken(ROWS, '  - {check: row_count, dataset: "silver.*"} # HERE\n', "none of the destinations"),
    "check named twice": Broken(CUSTOM, CUSTOM + "  - {check: drift, name: no_negative, dataset: gold.x} # HERE\n", "validations[5]"),
    "custom check is no query": Broken(CUSTOM, "  - {check: custom_sql, name: x, dataset: gold.x, sql: drop table a} # HERE\n", "only a query"),
    "custom check is faulty": Broken(CUSTOM, "  - {check: custom_sql, name: x, dataset: gold.x, sql: select from where} # HERE\n", "the SQL is faulty"),
    "two statements": Broken(CUSTOM, "  - {check: custom_sql, name: x, dataset: gold.x, sql: select 1; select 2} # HERE\n", "2 statements"),
    "condition is faulty": Broken(BALANCED, "  - {check: balanced_entries, dataset: gold.x, group_by: a, where: a = = 1} # HERE\n", "the SQL is faulty"),
    "label twice": Broken(REQUIRES, REQUIRES + "labels: [a, a] # HERE\n", "`a` is a label already"),
    "cap kind twice": Broken(CAPS, "caps:\n  - {kind: concurrency, limit: 1}\n  - {kind: concurrency, limit: 2} # HERE\n", "capped by caps[0]"),
    "waits shrink": Broken(RETRIES, "retries: {first_seconds: 60, longest_seconds: 5} # HERE\n", "less than first_seconds 60"),
}  # fmt: skip

# What cannot be read as YAML values.
UNREADABLE = {
    "key twice": Broken(LAYER, LAYER + "owner: b # HERE\n", "the key `owner` stands twice, first in line 3"),
    "nested key twice": Broken(PUBLISH, "publish:\n  mode: together\n  mode: together # HERE\n", "stands twice"),
    "tag": Broken(OWNER, "owner: !!python/object:os.system x # HERE\n", "tags such as"),
    "local tag": Broken(OWNER, "owner: !secret x # HERE\n", "tags such as `!secret` are not allowed"),
    "unknown alias": Broken(OWNER, "owner: *nobody # HERE\n", "the alias `*nobody` has no anchor before it"),
    "alias of itself": Broken(AFTER, "after: &a [*a] # HERE\n", "the alias `*a` has no anchor before it"),
    "merge key": Broken(PUBLISH, "publish:\n  <<: {mode: together} # HERE\n", "merge keys"),
    "key is a list": Broken(PUBLISH, "? [a, b] # HERE\n: c\n", "a key must be plain text"),
    "tab": Broken(PUBLISH, "publish:\n\tmode: together # HERE\n", "the file is not YAML"),
    "second document": Broken(REQUIRES, "--- # HERE\na: b\n", "a second document"),
    "bracket left open": Broken(REQUIRES, "requires: [a\n# HERE", "the file is not YAML"),
    "colon in a value": Broken(OWNER, "owner: a: b # HERE\n", "the file is not YAML"),
    "long number": Broken(OWNER, f"owner: {'9' * 41} # HERE\n", "more than 40 digits"),
    "null character": Broken(OWNER, 'owner: "a\\0b" # HERE\n', "U+0000"),
    "half a surrogate pair": Broken(OWNER, 'owner: "a\\ud800b" # HERE\n', "U+D800"),
    "control character": Broken(OWNER, "owner: a\x01b # HERE\n", "a character that YAML does not allow"),
    "deep lists": Broken(OWNER, "owner: " + "[" * 30 + "]" * 30 + " # HERE\n", "nested deeper than 20 levels"),
    "deep lists with words": Broken(OWNER, "owner: " + "[a, " * 30 + "]" * 30 + " # HERE\n", "nested deeper than 20 levels"),
}  # fmt: skip

BROKEN = {**WRONG_SHAPE, **BROKEN_RULES, **UNREADABLE}


def test_the_sound_spec_has_no_fault() -> None:
    assert examine(SOUND, "orders.yaml").faults == ()


@pytest.mark.parametrize("broken", [pytest.param(broken, id=name) for name, broken in BROKEN.items()])
def test_a_fault_names_its_line_and_what_is_allowed(broken: Broken) -> None:
    faults = examine(broken.text, "orders.yaml").faults

    here = [fault for fault in faults if fault.line == broken.expected_line]
    assert any(broken.says in fault.message for fault in here), faults
    assert all(fault.file == "orders.yaml" and fault.hint for fault in faults)


@pytest.mark.parametrize("broken", [pytest.param(broken, id=name) for name, broken in WRONG_SHAPE.items()])
def test_the_schema_refuses_what_the_models_refuse(broken: Broken) -> None:
    document, _ = read(broken.text, "orders.yaml")
    assert document is not None

    assert not Draft202012Validator(pipeline_schema()).is_valid(document.value)


def test_the_schema_accepts_the_sound_spec_and_its_canonical_form() -> None:
    document, _ = read(SOUND, "orders.yaml")
    assert document is not None

    schema = Draft202012Validator(pipeline_schema())

    schema.validate(document.value)
    schema.validate(json.loads(json.dumps(parse(SOUND, "orders.yaml").as_json())))


def test_parse_raises_the_first_fault_with_its_place() -> None:
    text = SOUND.replace("layer: gold", "layer: gould").replace("version: 1", "version: 3")

    with pytest.raises(InvalidSpec) as refused:
        parse(text, "orders.yaml")

    assert refused.value.message == "orders.yaml:1: `version` must be 1, the only version there is, not the number 3."
    assert refused.value.hint


def test_all_faults_are_found_at_once() -> None:
    text = SOUND.replace("layer: gold", "layer: gould").replace("owner:", "ownr:").replace("limit: 1}", "limit: x}")

    lines = [fault.line for fault in examine(text, "orders.yaml").faults]

    assert lines == [1, 3, 4, 32]


def test_rules_are_checked_beside_unknown_keys() -> None:
    text = SOUND.replace("after: [orders_silver]", "after: [orders]\nafterwards: []")

    faults = examine(text, "orders.yaml").faults

    assert [(fault.line, fault.hint) for fault in faults] == [(6, "Remove the name."), (7, "Did you mean `after`?")]


@pytest.mark.parametrize("connection", ["postgresql://odoo:hunter2@db/odoo", "hunter2", "env:hunter2 "])
def test_a_literal_connection_is_never_repeated(connection: str) -> None:
    text = SOUND.replace(CONNECTION, f'    connection: "{connection}"\n')

    said = str(examine(text, "orders.yaml").faults)

    assert "never the secret itself" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "value", ["postgresql://odoo:hunter2@db/x", "postgresql://odoo:a@hunter2@db", "host=db password=hunter2"]
)
def test_a_password_in_a_wrong_value_is_masked(value: str) -> None:
    said = str(examine(SOUND.replace("layer: gold", f"layer: {value}"), "a.yaml").faults)

    assert "***" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("broken", [pytest.param(broken, id=name) for name, broken in BROKEN_RULES.items()])
def test_rules_hold_in_json_with_the_same_lines(broken: Broken) -> None:
    document, _ = read(broken.text, "orders.yaml")
    assert document is not None
    text = json.dumps(document.value, indent=1, default=float)

    faults = examine(text, "orders.json").faults

    assert any(broken.says in fault.message for fault in faults), faults
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in faults)
