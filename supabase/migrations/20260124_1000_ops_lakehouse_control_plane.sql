-- The control plane: runs, leases, events, caps, publishing, scores, alerts.
-- Applies to an empty Postgres 15, 16 or 18 without contrib, and to Supabase.
-- Order: roles, schemas, types, tables (with indexes, constraints, comments), helpers, functions by caller, views, RLS, grants.

-- ---------------------------------------------------------------------------------------------------------------
-- Roles. Supabase has the first three; the services' login roles get their passwords from whoever deploys them.
-- ---------------------------------------------------------------------------------------------------------------
do $$
declare
  v_role text;
begin
  foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select 1 from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin noinherit', v_role);
    end if;
  end loop;
  foreach v_role in array array[
    'lakehouse_dispatcher', 'lakehouse_executor', 'lakehouse_scorer', 'lakehouse_notifier', 'lakehouse_controlroom'
  ] loop
    if not exists (select 1 from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I login', v_role);
    end if;
  end loop;
end
$$;

create schema ops;
comment on schema ops is 'Private state of the control plane. Every state change is a function here; people see schema api.';
create schema api;
comment on schema api is 'What people, BI and the HTTP API may read: views that check the caller.';
create schema iceberg;
comment on schema iceberg is 'The Iceberg catalog, in the layout of the JDBC catalog V1 that PyIceberg, Trino and Spark share.';

revoke all on schema ops, api, iceberg from public;

-- Every function pins its search path to pg_catalog, pg_temp: an empty one would still look for types in the caller's own
-- pg_temp first, and a domain planted there would run the caller's code with the owner's rights.

-- ---------------------------------------------------------------------------------------------------------------
-- Types
-- ---------------------------------------------------------------------------------------------------------------
create type ops.run_state as enum ('queued', 'held', 'claimed', 'running', 'succeeded', 'failed', 'canceled');
comment on type ops.run_state is 'Where a run stands. queued, held, claimed and running are open; the others are ends.';
create type ops.phase as enum ('ingest', 'validate', 'transform', 'publish', 'query');
comment on type ops.phase is 'A named, ordered part of a run.';
create type ops.cancel_end as enum ('confirmed', 'presumed');
comment on type ops.cancel_end is 'Whether the executor said that the work stopped (confirmed) or its lease just ran out (presumed).';

-- ---------------------------------------------------------------------------------------------------------------
-- Settings and the one clock
-- ---------------------------------------------------------------------------------------------------------------
create table ops.settings (
  only_row boolean primary key default true check (only_row),
  lease_ms integer not null default 30000 check (lease_ms between 100 and 3600000),
  start_timeout_ms integer not null default 15000 check (start_timeout_ms between 100 and 3600000),
  executor_ttl_ms integer not null default 30000 check (executor_ttl_ms between 100 and 3600000),
  event_partition_rows bigint not null default 5000000 check (event_partition_rows >= 1000),
  paused_at timestamptz,
  paused_by text,
  paused_reason text,
  constraint a_pause_has_a_reason check ((paused_at is null) = (paused_reason is null))
);
insert into ops.settings default values;
comment on table ops.settings is 'The control plane''s own settings, one row. Paused: nothing new is leased.';

create table ops.clock (
  only_row boolean primary key default true check (only_row),
  shift interval not null default interval '0'
);
insert into ops.clock default values;
comment on table ops.clock is 'How far ops.now() is from the server''s clock. Only tests and the demo''s history move it; no service may.';

create function ops.now() returns timestamptz
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pg_catalog.clock_timestamp() + c.shift from ops.clock as c $$;
comment on function ops.now is 'The one clock of the control plane. Callers: every function here.';

create function ops.refuse(p_code text, p_http integer, p_message text, p_hint text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'PT' || p_http::text, message = p_message, detail = p_code, hint = p_hint;
end
$$;
comment on function ops.refuse is 'Raises a refusal: detail is the code of contracts/errors.yaml, SQLSTATE PTnnn its HTTP status.';

-- ---------------------------------------------------------------------------------------------------------------
-- Scopes: organisation, project, environment, membership
-- ---------------------------------------------------------------------------------------------------------------
create table ops.organizations (
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default ops.now()
);
comment on table ops.organizations is 'Who owns a lakehouse.';

create table ops.projects (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references ops.organizations (id),
  slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default ops.now(),
  unique (organization_id, slug)
);
comment on table ops.projects is 'A team''s share of an organisation.';

create table ops.environments (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references ops.projects (id),
  slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default ops.now(),
  unique (project_id, slug)
);
comment on table ops.environments is 'Production, staging and so on: the scope that every run, pipeline and route belongs to.';

create table ops.members (
  project_id uuid not null references ops.projects (id),
  user_id uuid not null,
  role text not null default 'viewer' check (role in ('viewer', 'operator', 'engineer', 'admin')),
  created_at timestamptz not null default ops.now(),
  primary key (user_id, project_id)
);
create index members_of_a_project on ops.members (project_id);
comment on table ops.members is 'Who sees which project. user_id is the `sub` claim of the caller''s token.';

insert into ops.organizations (id, slug) values ('00000000-0000-4000-8000-000000000001', 'default');
insert into ops.projects (id, organization_id, slug)
values ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'default');
insert into ops.environments (id, project_id, slug)
values ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002', 'default');

create function ops.my_environments() returns setof uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select e.id
    from ops.environments as e
    join ops.members as m on m.project_id = e.project_id
   where m.user_id = nullif(nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;
comment on function ops.my_environments is 'Environments of the projects the caller belongs to. Callers: RLS policies, once per statement.';

-- ---------------------------------------------------------------------------------------------------------------
-- Pipelines and their bundles
-- ---------------------------------------------------------------------------------------------------------------
create table ops.bundles (
  digest text primary key check (digest ~ '^[0-9a-f]{64}$'),
  spec jsonb not null,
  files jsonb not null default '{}' check (jsonb_typeof(files) = 'object'),
  created_at timestamptz not null default ops.now()
);
comment on table ops.bundles is 'Pipeline specs with their SQL and Python, addressed by content. A run pins one; executors fetch exactly that.';

create table ops.pipelines (
  environment_id uuid not null references ops.environments (id),
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  bundle text not null references ops.bundles (digest),
  layer text,
  owner text,
  description text,
  schedule jsonb,
  phases ops.phase[] not null check (cardinality(phases) > 0),
  requires text[] not null default '{}',
  after text[] not null default '{}',
  max_attempts smallint not null default 3 check (max_attempts between 1 and 100),
  max_losses smallint not null default 10 check (max_losses between 1 and 1000),
  paused boolean not null default false,
  built_in boolean not null default false,
  updated_at timestamptz not null default ops.now(),
  primary key (environment_id, name)
);
create index pipelines_of_a_bundle on ops.pipelines (bundle);
comment on table ops.pipelines is 'The present version of each pipeline. after: pipelines whose publish triggers this one.';

create table ops.pipeline_versions (
  environment_id uuid not null,
  name text not null,
  bundle text not null references ops.bundles (digest),
  applied_at timestamptz not null default ops.now(),
  primary key (environment_id, name, applied_at),
  foreign key (environment_id, name) references ops.pipelines (environment_id, name)
);
create index pipeline_versions_of_a_bundle on ops.pipeline_versions (bundle);
comment on table ops.pipeline_versions is 'Which bundle a pipeline had, since when.';

-- ---------------------------------------------------------------------------------------------------------------
-- Executors
-- ---------------------------------------------------------------------------------------------------------------
create table ops.executors (
  id uuid primary key default gen_random_uuid(),
  name text not null unique check (name <> ''),
  capabilities text[] not null default '{}',
  slots integer not null check (slots between 1 and 10000),
  version text not null default '',
  draining boolean not null default false,
  registered_at timestamptz not null default ops.now(),
  last_seen_at timestamptz not null default ops.now(),
  lost_at timestamptz,
  pulling_until timestamptz
) with (fillfactor = 50);
comment on table ops.executors is 'Processes that lease runs. One that was not seen for executor_ttl_ms, or let a lease run out (lost_at), gets no work until it beats. '
  'One with a backlog pulls for itself (pulling_until) and is left alone by the dispatcher meanwhile.';

-- ---------------------------------------------------------------------------------------------------------------
-- Runs
-- ---------------------------------------------------------------------------------------------------------------
create table ops.runs (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  pipeline text not null,
  bundle text not null references ops.bundles (digest),
  params jsonb not null default '{}',
  phases ops.phase[] not null,
  requires text[] not null default '{}',
  state ops.run_state not null default 'queued',
  phase ops.phase,
  priority smallint not null default 0,
  attempt integer not null default 0,
  failures smallint not null default 0,
  losses smallint not null default 0,
  interruptions smallint not null default 0,
  max_attempts smallint not null,
  max_losses smallint not null,
  event_seq integer not null default 0,
  due_at timestamptz not null,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  published_at timestamptz,
  rolled_back_at timestamptz,
  executor_id uuid,
  lease_token uuid,
  lease_expires_at timestamptz,
  cancel_requested_at timestamptz,
  cancel ops.cancel_end,
  quarantined boolean not null default false,
  wait_reason jsonb,
  error jsonb,
  checkpoint jsonb not null default '{}',
  progress jsonb,
  manifest_sha256 text,
  idempotency_key text,
  parent_run_id uuid,
  trigger text not null default 'manual',
  constraint runs_have_phases check (cardinality(phases) > 0),
  constraint params_are_an_object check (jsonb_typeof(params) = 'object'),
  constraint leased_runs_have_a_token check ((state in ('claimed', 'running')) = (lease_token is not null)),
  constraint a_token_has_an_expiry_and_a_holder check (
    (lease_token is null) = (lease_expires_at is null) and (lease_token is null or executor_id is not null)
  ),
  constraint ended_runs_have_an_end check ((state in ('succeeded', 'failed', 'canceled')) = (finished_at is not null)),
  constraint failed_runs_have_an_error check (state <> 'failed' or error is not null),
  constraint canceled_runs_say_how check ((state = 'canceled') = (cancel is not null)),
  constraint held_runs_say_why check ((state = 'held') = (wait_reason is not null)),
  constraint only_failed_runs_are_quarantined check (not quarantined or state = 'failed'),
  constraint due_times_are_finite check (isfinite(due_at)),
  constraint counters_do_not_go_below_zero check (attempt >= 0 and failures >= 0 and losses >= 0 and interruptions >= 0)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create unique index runs_by_idempotency_key on ops.runs (environment_id, idempotency_key) where idempotency_key is not null;
create index runs_newest_first on ops.runs (created_at desc, id desc);
create index runs_of_a_pipeline_newest_first on ops.runs (environment_id, pipeline, created_at desc);
create index runs_of_a_parent on ops.runs (parent_run_id) where parent_run_id is not null;
comment on table ops.runs is
  'One row per run. A lease is (id, attempt, lease_token, lease_expires_at); every write of its holder must carry the token.';
create table ops.open_runs (
  run_id uuid primary key,
  requires text[] not null,
  priority smallint not null,
  due_at timestamptz not null,
  held boolean not null default false,
  executor_id uuid,
  constraint held_runs_have_no_holder check (not held or executor_id is null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
create index open_runs_due on ops.open_runs (requires, priority desc, due_at, run_id) where executor_id is null and not held;
create index open_runs_held on ops.open_runs (priority desc, due_at) where held;
create index open_runs_by_holder on ops.open_runs (executor_id) where executor_id is not null;
comment on table ops.open_runs is
  'The hot half of runs: one narrow row per run that has not ended, so that what is searched all day stays small and ops.runs '
  'never touches an index after its insert. Locks are taken here first while a run waits, on ops.runs first while it is leased.';

comment on column ops.runs.checkpoint is 'Results of finished phases, by phase: a later attempt goes on behind them.';
comment on column ops.runs.losses is 'Leases that ran out since the last finished phase; reaching max_losses quarantines the run.';
comment on column ops.runs.event_seq is 'The run_seq of the run''s newest event; assigned under the row lock, so it has no gap.';

-- ---------------------------------------------------------------------------------------------------------------
-- Events: append-only, in partitions of equal size by seq. Followers order by (xid, seq): see ops.read_events.
-- ---------------------------------------------------------------------------------------------------------------
create sequence ops.run_events_seq;
create table ops.run_events (
  seq bigint not null default nextval('ops.run_events_seq'),
  xid xid8 not null default pg_current_xact_id(),
  run_id uuid not null,
  run_seq integer not null,
  attempt integer not null,
  type text not null,
  at timestamptz not null,
  data jsonb not null default '{}',
  primary key (xid, seq)
) partition by range (seq);
create index run_events_of_a_run on ops.run_events (run_id, run_seq);
comment on table ops.run_events is 'Facts about runs, append-only: UPDATE, DELETE and TRUNCATE are refused. run_seq has no gap within a run.';

create function ops.ensure_event_partitions(p_ahead integer default 2) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint := (select s.event_partition_rows from ops.settings as s);
  v_last bigint := (select s.last_value from ops.run_events_seq as s);
  v_from bigint;
  v_upto bigint;
  v_made integer := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.run_events partitions', 0));
  select coalesce(max((regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint), 0)
    into v_upto
    from pg_catalog.pg_inherits as i
    join pg_catalog.pg_class as c on c.oid = i.inhrelid
   where i.inhparent = 'ops.run_events'::regclass;
  while v_upto <= v_last + v_rows * p_ahead loop
    v_from := v_upto;
    v_upto := v_from + v_rows;
    execute format(
      'create table ops.run_events_p%s partition of ops.run_events for values from (%s) to (%s)', lpad(v_from::text, 15, '0'), v_from, v_upto
    );
    execute format('alter table ops.run_events_p%s enable row level security', lpad(v_from::text, 15, '0'));
    v_made := v_made + 1;
  end loop;
  return v_made;
end
$$;
comment on function ops.ensure_event_partitions is 'Makes event partitions ahead of need. Callers: dispatcher (housekeeping), migrations.';
select ops.ensure_event_partitions();

create function ops.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.refuse('NOT_ALLOWED', 403, format('%s of %s.%s is refused: events are never changed', tg_op, tg_table_schema, tg_table_name),
                     'Append a correcting event instead.');
  return null;
end
$$;
comment on function ops.refuse_change is 'Trigger that keeps append-only tables append-only.';
create trigger run_events_are_append_only before update or delete on ops.run_events
  for each row execute function ops.refuse_change();
create trigger run_events_are_not_truncated before truncate on ops.run_events
  for each statement execute function ops.refuse_change();

-- ---------------------------------------------------------------------------------------------------------------
-- What runs leave behind
-- ---------------------------------------------------------------------------------------------------------------
create table ops.artifacts (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references ops.runs (id),
  attempt integer not null,
  name text not null check (name <> ''),
  kind text not null,
  uri text not null,
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  bytes bigint not null check (bytes >= 0),
  media_type text not null,
  created_at timestamptz not null,
  unique (run_id, attempt, name)
);
comment on table ops.artifacts is 'Bytes a run left, by address and digest.';

create table ops.run_checks (
  run_id uuid not null references ops.runs (id),
  attempt integer not null,
  ordinal integer not null,
  name text not null,
  dataset text not null,
  column_name text,
  action text not null check (action in ('warn', 'fail')),
  result text not null check (result in ('pass', 'warn', 'fail', 'error')),
  value text,
  threshold text,
  sample_keys jsonb not null default '[]',
  message text not null default '',
  primary key (run_id, attempt, ordinal)
);
comment on table ops.run_checks is 'What the checks of each attempt found. value and threshold are exact decimal text.';

create table ops.run_tables (
  run_id uuid not null references ops.runs (id),
  name text not null,
  base_location text,
  metadata_location text not null,
  snapshot_id bigint not null,
  rows_added bigint not null,
  rows bigint not null,
  files bigint not null,
  bytes bigint not null,
  schema_hash text not null,
  state_before jsonb,
  primary key (run_id, name)
);
comment on table ops.run_tables is 'Ledger of publishes: which version of which table each run made visible, and which it replaced.';

create table ops.tables (
  name text primary key check (name ~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$'),
  layer text not null,
  pipeline text not null,
  metadata_location text not null,
  snapshot_id bigint not null,
  rows bigint not null,
  files bigint not null,
  bytes bigint not null,
  schema_hash text not null,
  run_id uuid not null references ops.runs (id),
  updated_at timestamptz not null
);
create index tables_of_a_run on ops.tables (run_id);
comment on table ops.tables is 'What readers see now: the published version of every table, and the one pipeline that writes it. Moved by publish and rollback only.';

create table ops.table_states (
  environment_id uuid not null references ops.environments (id),
  pipeline text not null,
  name text not null,
  state jsonb not null,
  run_id uuid not null references ops.runs (id),
  primary key (environment_id, pipeline, name)
);
create index table_states_of_a_run on ops.table_states (run_id);
comment on table ops.table_states is 'What a pipeline remembers per table between runs (watermarks, input snapshots). Moves with publish, never apart from it.';

-- The JDBC catalog V1 layout; names, order and sizes are what PyIceberg, Trino and Spark expect.
create table iceberg.iceberg_tables (
  catalog_name varchar(255) not null,
  table_namespace varchar(255) not null,
  table_name varchar(255) not null,
  metadata_location varchar(1000),
  previous_metadata_location varchar(1000),
  iceberg_type varchar(5),
  primary key (catalog_name, table_namespace, table_name)
);
comment on table iceberg.iceberg_tables is 'Current metadata file of every table. Moved by ops.publish_run and ops.rollback_run only.';
create table iceberg.iceberg_namespace_properties (
  catalog_name varchar(255) not null,
  namespace varchar(255) not null,
  property_key varchar(255) not null,
  property_value varchar(1000),
  primary key (catalog_name, namespace, property_key)
);
comment on table iceberg.iceberg_namespace_properties is 'Namespaces of the catalog and their properties.';
insert into iceberg.iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)
values ('lakehouse', 'bronze', 'exists', 'true'), ('lakehouse', 'silver', 'exists', 'true'), ('lakehouse', 'gold', 'exists', 'true');

-- ---------------------------------------------------------------------------------------------------------------
-- Caps
-- ---------------------------------------------------------------------------------------------------------------
create table ops.caps (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  name text not null check (name <> ''),
  kind text not null check (kind in ('concurrency', 'runs')),
  scope text not null check (scope in ('environment', 'pipeline')),
  pipeline text,
  ceiling integer not null check (ceiling >= 0),
  window_seconds integer check (window_seconds > 0),
  enabled boolean not null default true,
  updated_at timestamptz not null default ops.now(),
  unique (environment_id, name),
  constraint pipeline_caps_name_a_pipeline check ((scope = 'pipeline') = (pipeline is not null)),
  constraint run_caps_have_a_window check ((kind = 'runs') = (window_seconds is not null))
);
comment on table ops.caps is 'Ceilings. concurrency: runs under lease at one moment; runs: leases within the window.';

create table ops.cap_usage (
  cap_id uuid not null references ops.caps (id) on delete cascade,
  run_id uuid not null references ops.runs (id),
  attempt integer not null,
  amount integer not null default 1,
  at timestamptz not null,
  primary key (cap_id, run_id, attempt)
);
create index cap_usage_by_time on ops.cap_usage (cap_id, at);
create index cap_usage_of_a_run on ops.cap_usage (run_id);
comment on table ops.cap_usage is 'Append-only ledger of what counted against windowed caps. Concurrency is derived from leases instead, so it cannot drift.';

-- ---------------------------------------------------------------------------------------------------------------
-- Followers of the event log
-- ---------------------------------------------------------------------------------------------------------------
create table ops.cursors (
  consumer text primary key,
  xid xid8 not null default '0',
  seq bigint not null default 0,
  updated_at timestamptz not null default ops.now()
);
comment on table ops.cursors is 'How far each follower of the event log has come. Advances in the same transaction as the follower''s effects.';

create table ops.leaders (
  role text primary key,
  holder uuid not null,
  term bigint not null default 1,
  expires_at timestamptz not null
);
comment on table ops.leaders is 'Which process acts in a role that wants one at a time; a standby takes over when the lease ends.';

-- ---------------------------------------------------------------------------------------------------------------
-- Scores
-- ---------------------------------------------------------------------------------------------------------------
create table ops.signal_weights (
  environment_id uuid not null references ops.environments (id),
  version integer not null default 1,
  signal text not null check (signal ~ '^[a-z][a-z0-9_]*$'),
  weight numeric not null check (weight >= 0 and weight < 1e6),
  description text not null default '',
  primary key (environment_id, version, signal)
);
comment on table ops.signal_weights is 'How much each signal counts in a run''s score. The highest version is in force.';
insert into ops.signal_weights (environment_id, signal, weight, description)
select '00000000-0000-4000-8000-000000000003', w.signal, w.weight, w.description
  from (values
    ('outcome', 40, 'Whether the run ended well'),
    ('quality', 30, 'Share of checks that passed; warnings count half'),
    ('duration', 10, 'Duration against the median of earlier runs of the pipeline'),
    ('volume', 10, 'Rows written against the median of earlier runs of the pipeline'),
    ('retries', 10, 'Attempts the run needed')
  ) as w (signal, weight, description);

create table ops.signals (
  run_id uuid not null references ops.runs (id),
  name text not null,
  value numeric not null check (value between 0 and 1),
  evidence jsonb not null default '{}',
  created_at timestamptz not null,
  primary key (run_id, name)
);
comment on table ops.signals is 'What the scorer found about a run: 1 is healthy, 0 as bad as it gets, with the numbers behind it.';

create table ops.run_scores (
  run_id uuid primary key references ops.runs (id),
  score numeric(5, 2) not null check (score between 0 and 100),
  weights_version integer not null,
  inputs jsonb not null,
  created_at timestamptz not null
);
comment on table ops.run_scores is 'Weighted score of a run with the inputs it can be recomputed from.';

-- ---------------------------------------------------------------------------------------------------------------
-- Alerts and notifications
-- ---------------------------------------------------------------------------------------------------------------
create table ops.alert_rules (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  event_types text[] not null check (cardinality(event_types) > 0),
  condition jsonb not null default '{}',
  severity text not null default 'error' check (severity in ('info', 'warning', 'error', 'critical')),
  summary text not null,
  enabled boolean not null default true,
  updated_at timestamptz not null default ops.now(),
  unique (environment_id, name)
);
comment on table ops.alert_rules is
  'Which events become alerts. condition: {"pipeline": glob, "except": [globs], "code": [..], "min_score": n}; summary: text with {pipeline}, {code}, {message}, {run_id}.';
insert into ops.alert_rules (environment_id, name, event_types, condition, severity, summary)
values ('00000000-0000-4000-8000-000000000003', 'run_failed', '{RUN_FAILED}', '{"except": "query"}', 'error', '{pipeline} failed: {message}');

create table ops.routing_matrix (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  name text not null check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  position integer not null default 100,
  match jsonb not null default '{}',
  channel text not null check (channel in ('webhook', 'slack', 'email')),
  target jsonb not null check (jsonb_typeof(target) = 'object'),
  continue boolean not null default true,
  enabled boolean not null default true,
  updated_at timestamptz not null default ops.now(),
  unique (environment_id, name)
);
comment on table ops.routing_matrix is
  'Which alerts reach whom. match: {"severity": [..], "rule": glob, "pipeline": glob}; target holds addresses and secret references, never secrets.';

create table ops.alerts (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  rule text not null,
  dedup_key text not null,
  run_id uuid references ops.runs (id),
  pipeline text,
  severity text not null,
  summary text not null,
  details jsonb not null default '{}',
  state text not null default 'open' check (state in ('open', 'acknowledged', 'resolved')),
  occurrences integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  acknowledged_at timestamptz,
  acknowledged_by text,
  resolved_at timestamptz,
  constraint acknowledged_alerts_say_who check ((acknowledged_at is null) = (acknowledged_by is null)),
  constraint resolved_alerts_say_when check ((state = 'resolved') = (resolved_at is not null))
);
create unique index alerts_open_once_per_key on ops.alerts (environment_id, dedup_key) where state <> 'resolved';
create index alerts_newest_first on ops.alerts (created_at desc, id desc);
create index alerts_of_a_run on ops.alerts (run_id);
comment on table ops.alerts is 'Something a person should know. One open alert per key; repeats are counted on it.';

create table ops.silences (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  match jsonb not null,
  reason text not null check (reason <> ''),
  created_by text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  constraint silences_end_after_they_start check (expires_at > created_at)
);
create index silences_by_environment on ops.silences (environment_id, expires_at);
comment on table ops.silences is 'Alerts that match make no notification until the silence ends.';

create table ops.notifications (
  id uuid primary key default gen_random_uuid(),
  alert_id uuid not null references ops.alerts (id),
  route_id uuid not null references ops.routing_matrix (id),
  channel text not null,
  target jsonb not null,
  body jsonb not null,
  state text not null default 'due' check (state in ('due', 'sending', 'delivered', 'failed')),
  attempts integer not null default 0,
  due_at timestamptz not null,
  created_at timestamptz not null,
  delivered_at timestamptz,
  lease_token uuid,
  lease_expires_at timestamptz,
  last_error jsonb,
  constraint one_notification_per_alert_and_route unique (alert_id, route_id),
  constraint sending_notifications_have_a_token check ((state = 'sending') = (lease_token is not null)),
  constraint delivered_notifications_say_when check ((state = 'delivered') = (delivered_at is not null))
);
create index notifications_due on ops.notifications (due_at) where state = 'due';
create index notifications_in_flight on ops.notifications (lease_expires_at) where state = 'sending';
create index notifications_of_a_route on ops.notifications (route_id);
comment on table ops.notifications is 'One message to one recipient on one channel, with its own state. Its id is the webhook-id across retries.';

-- ===============================================================================================================
-- Functions. Batched ones take JSON arrays and answer per item, so that one bad item never strands the rest.
-- ===============================================================================================================

-- ---------------------------------------------------------------------------------------------------------------
-- Pipelines: callers are the CLI and the control room
-- ---------------------------------------------------------------------------------------------------------------
create function ops.apply_pipeline(p_environment uuid, p_bundle jsonb) returns table (name text, bundle text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_spec jsonb := p_bundle -> 'spec';
  v_digest text := p_bundle ->> 'digest';
  v_name text := p_bundle -> 'spec' ->> 'name';
  v_before text;
begin
  insert into ops.bundles (digest, spec, files) values (v_digest, v_spec, p_bundle -> 'files') on conflict (digest) do nothing;
  select p.bundle into v_before from ops.pipelines as p where p.environment_id = p_environment and p.name = v_name for update;
  if exists (select 1 from ops.pipelines as p where p.environment_id = p_environment and p.name = v_name and p.built_in) then
    perform ops.refuse('CONFLICT', 409, format('pipeline name %L is taken by a built-in pipeline', v_name), 'Choose another name.');
  end if;
  insert into ops.pipelines as p (
    environment_id, name, bundle, layer, owner, description, schedule, phases, requires, after, max_attempts, max_losses, updated_at
  )
  select p_environment, v_name, v_digest, v_spec ->> 'layer', v_spec ->> 'owner', v_spec ->> 'description',
         nullif(v_spec -> 'schedule', 'null'::jsonb),
         array(select f.value::ops.phase from jsonb_array_elements_text(p_bundle -> 'phases') with ordinality as f (value, n) order by f.n),
         array(select f.value from jsonb_array_elements_text(coalesce(v_spec -> 'requires', '[]')) as f (value) order by f.value),
         array(select f.value from jsonb_array_elements_text(coalesce(v_spec -> 'after', '[]')) as f (value)),
         coalesce((v_spec -> 'retries' ->> 'max_attempts')::smallint, 3),
         coalesce((v_spec -> 'retries' ->> 'max_losses')::smallint, 10),
         ops.now()
      on conflict on constraint pipelines_pkey do update
     set bundle = excluded.bundle, layer = excluded.layer, owner = excluded.owner, description = excluded.description,
         schedule = excluded.schedule, phases = excluded.phases, requires = excluded.requires, after = excluded.after,
         max_attempts = excluded.max_attempts, max_losses = excluded.max_losses, updated_at = excluded.updated_at;
  if v_before is distinct from v_digest then
    insert into ops.pipeline_versions (environment_id, name, bundle) values (p_environment, v_name, v_digest);
  end if;
  delete from ops.caps as c where c.environment_id = p_environment and c.pipeline = v_name and c.name like 'spec:%'
     and not exists (
       select 1 from jsonb_array_elements(coalesce(v_spec -> 'caps', '[]')) as k where c.name = 'spec:' || v_name || ':' || (k ->> 'kind'));
  insert into ops.caps as c (environment_id, name, kind, scope, pipeline, ceiling, window_seconds)
  select p_environment, 'spec:' || v_name || ':' || (k ->> 'kind'), k ->> 'kind', 'pipeline', v_name,
         (k ->> 'limit')::integer, (k ->> 'window_seconds')::integer
    from jsonb_array_elements(coalesce(v_spec -> 'caps', '[]')) as k
      on conflict on constraint caps_environment_id_name_key do update
     set ceiling = excluded.ceiling, window_seconds = excluded.window_seconds, updated_at = ops.now();
  return query select v_name, v_digest, v_before is distinct from v_digest;
end
$$;
comment on function ops.apply_pipeline is
  'Stores a bundle {digest, spec, files, phases} and makes it the pipeline''s present version, with the caps its spec names. Callers: CLI, control room.';

create function ops.bundle(p_digest text) returns table (digest text, spec jsonb, files jsonb)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select b.digest, b.spec, b.files from ops.bundles as b where b.digest = p_digest $$;
comment on function ops.bundle is 'A bundle by its digest; no row when it is unknown. Callers: executors, CLI, control room.';

-- The one built-in pipeline: an ad-hoc SQL statement as a run.
insert into ops.bundles (digest, spec)
select encode(sha256(convert_to(b.spec::text, 'UTF8')), 'hex'), b.spec
  from (values ('{"version": 1, "name": "query", "phases": ["query"], "description": "One SQL statement; its result is an artifact"}'::jsonb)) as b (spec);
insert into ops.pipelines (environment_id, name, bundle, description, phases, max_attempts, built_in)
select '00000000-0000-4000-8000-000000000003', 'query', b.digest, b.spec ->> 'description', '{query}', 1, true from ops.bundles as b;

-- ---------------------------------------------------------------------------------------------------------------
-- Enqueue: callers are the CLI, the control room, triggers and schedules
-- ---------------------------------------------------------------------------------------------------------------
create function ops.enqueue_runs(p_runs jsonb) returns table (ordinal integer, run_id uuid, state ops.run_state, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_bad record;
  v_ordinals integer[];
  v_ids uuid[];
begin
  for v_bad in
    select o.value ->> 'pipeline' as pipeline
      from jsonb_array_elements(p_runs) as o (value)
     where not exists (
       select 1 from ops.pipelines as p
        where p.environment_id = (o.value ->> 'environment_id')::uuid and p.name = o.value ->> 'pipeline')
     limit 1
  loop
    perform ops.refuse('NOT_FOUND', 404, format('there is no pipeline %L', v_bad.pipeline),
                       '`lakehouse pipeline list` shows what there is; `lakehouse pipeline apply FILE` adds one.');
  end loop;

  if octet_length(p_runs::text) > 1000000 then
    for v_bad in
      select o.value ->> 'pipeline' as pipeline, octet_length((o.value -> 'params')::text) as bytes
        from jsonb_array_elements(p_runs) as o (value) where octet_length((o.value -> 'params')::text) > 1000000 limit 1
    loop
      perform ops.refuse('INVALID_INPUT', 400, format('parameters of pipeline %s have %s bytes; 1000000 are allowed', v_bad.pipeline, v_bad.bytes),
                         'Put large inputs into a table or a file and pass its name.');
    end loop;
  end if;

  with offered as materialized (
    select o.n::integer as n, gen_random_uuid() as id, (o.value ->> 'environment_id')::uuid as environment_id,
           o.value ->> 'pipeline' as pipeline, coalesce(o.value -> 'params', '{}') as params,
           o.value ->> 'idempotency_key' as idempotency_key, coalesce((o.value ->> 'priority')::smallint, 0) as priority,
           coalesce((o.value ->> 'due_at')::timestamptz, v_now) as due_at, (o.value ->> 'parent_run_id')::uuid as parent_run_id,
           coalesce(o.value ->> 'trigger', 'manual') as trigger
      from jsonb_array_elements(p_runs) with ordinality as o (value, n)
  ),
  added as (
    insert into ops.runs as r (
      id, environment_id, pipeline, bundle, params, phases, requires, priority, max_attempts, max_losses,
      due_at, created_at, idempotency_key, parent_run_id, trigger, event_seq
    )
    select o.id, o.environment_id, o.pipeline, p.bundle, o.params, p.phases, p.requires, o.priority, p.max_attempts, p.max_losses,
           o.due_at, v_now, o.idempotency_key, o.parent_run_id, o.trigger, 1
      from offered as o
      join ops.pipelines as p on p.environment_id = o.environment_id and p.name = o.pipeline
     order by o.n
        on conflict (environment_id, idempotency_key) where idempotency_key is not null do nothing
    returning r.id, r.pipeline, r.trigger, r.requires, r.priority, r.due_at
  ),
  opened as (
    insert into ops.open_runs (run_id, requires, priority, due_at) select a.id, a.requires, a.priority, a.due_at from added as a
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select a.id, 1, 0, 'RUN_CREATED', v_now, jsonb_build_object('pipeline', a.pipeline, 'trigger', a.trigger) from added as a
  )
  select coalesce(array_agg(o.n), '{}'), coalesce(array_agg(a.id), '{}') into v_ordinals, v_ids
    from added as a join offered as o on o.id = a.id;

  -- A statement of its own: only a later snapshot sees the run that another caller added under the same key meanwhile.
  return query
  select o.n::integer, coalesce(a.id, r.id), coalesce(case when a.id is not null then 'queued'::ops.run_state end, r.state), a.id is not null
    from jsonb_array_elements(p_runs) with ordinality as o (value, n)
    left join unnest(v_ordinals, v_ids) as a (n, id) on a.n = o.n
    left join ops.runs as r
           on a.id is null and r.environment_id = (o.value ->> 'environment_id')::uuid and r.idempotency_key = o.value ->> 'idempotency_key'
   order by o.n;

  -- A key that was used before must have been used for the same request.
  for v_bad in
    select o.value ->> 'idempotency_key' as idempotency_key,
           concat_ws(' and ',
             case when r.pipeline <> o.value ->> 'pipeline' then format('pipeline was %s, is %s', r.pipeline, o.value ->> 'pipeline') end,
             case when r.params <> coalesce(o.value -> 'params', '{}') then format('params were %s, are %s', left(r.params::text, 200),
               left(coalesce(o.value -> 'params', '{}')::text, 200)) end) as difference
      from jsonb_array_elements(p_runs) as o (value)
      join ops.runs as r
        on r.environment_id = (o.value ->> 'environment_id')::uuid and r.idempotency_key = o.value ->> 'idempotency_key'
     where r.pipeline <> o.value ->> 'pipeline' or r.params <> coalesce(o.value -> 'params', '{}')
     limit 1
  loop
    perform ops.refuse('IDEMPOTENCY_CONFLICT', 409,
                       format('idempotency key %L was used before with other content: %s', v_bad.idempotency_key, v_bad.difference),
                       'Use a new key for a new request.');
  end loop;

  perform pg_catalog.pg_notify('lakehouse_work', '');
end
$$;
comment on function ops.enqueue_runs is
  'Adds runs [{environment_id, pipeline, params, idempotency_key, priority, due_at, parent_run_id, trigger}] with their first event and rings the dispatcher. '
  'A repeated idempotency key answers the first run; other content under it is refused (IDEMPOTENCY_CONFLICT). Callers: CLI, control room, publish.';

create function ops.enqueue_run(
  p_environment uuid, p_pipeline text, p_params jsonb default '{}', p_idempotency_key text default null, p_priority integer default 0,
  p_due_at timestamptz default null, p_parent uuid default null, p_trigger text default 'manual'
) returns table (run_id uuid, state ops.run_state, created boolean)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select e.run_id, e.state, e.created
    from ops.enqueue_runs(jsonb_build_array(jsonb_build_object(
      'environment_id', p_environment, 'pipeline', p_pipeline, 'params', p_params, 'idempotency_key', p_idempotency_key,
      'priority', p_priority, 'due_at', p_due_at, 'parent_run_id', p_parent, 'trigger', p_trigger))) as e
$$;
comment on function ops.enqueue_run is 'Adds one run; see ops.enqueue_runs. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Caps
-- ---------------------------------------------------------------------------------------------------------------
create function ops.cap_block(p_environment uuid, p_pipeline text, p_now timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap ops.caps;
  v_used bigint;
  v_holders uuid[];
begin
  for v_cap in
    select c.* from ops.caps as c
     where c.enabled and c.environment_id = p_environment and (c.scope = 'environment' or c.pipeline = p_pipeline)
     order by c.name
  loop
    if v_cap.kind = 'concurrency' then
      select count(*), (array_agg(r.id order by r.created_at))[1:5] into v_used, v_holders
        from ops.open_runs as q
        join ops.runs as r on r.id = q.run_id
       where q.executor_id is not null and r.environment_id = p_environment
         and (v_cap.scope = 'environment' or r.pipeline = v_cap.pipeline);
    else
      select coalesce(sum(u.amount), 0), (array_agg(u.run_id order by u.at desc))[1:5] into v_used, v_holders
        from ops.cap_usage as u
       where u.cap_id = v_cap.id and u.at > p_now - make_interval(secs => v_cap.window_seconds);
    end if;
    if v_used >= v_cap.ceiling then
      return jsonb_build_object('cap', v_cap.name, 'kind', v_cap.kind, 'limit', v_cap.ceiling, 'used', v_used, 'unit', 'runs',
                                'window_seconds', v_cap.window_seconds, 'holders', to_jsonb(coalesce(v_holders, '{}')));
    end if;
  end loop;
  return null;
end
$$;
comment on function ops.cap_block is 'Why a run of this pipeline may not start now, or null when it may. Callers: ops.lease_due, ops.release_runs, ops.cap_allow.';

create function ops.cap_room(p_environment uuid, p_pipeline text, p_now timestamptz) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select min(c.ceiling - w.waiting - case c.kind
           when 'concurrency' then (
             select count(*) from ops.open_runs as q join ops.runs as r on r.id = q.run_id
              where q.executor_id is not null and r.environment_id = p_environment and (c.scope = 'environment' or r.pipeline = c.pipeline))
           else (
             select coalesce(sum(u.amount), 0) from ops.cap_usage as u
              where u.cap_id = c.id and u.at > p_now - make_interval(secs => c.window_seconds)) end)
    from ops.caps as c
    cross join lateral (
      select count(*) as waiting from ops.open_runs as q join ops.runs as r on r.id = q.run_id
       where q.executor_id is null and not q.held and r.environment_id = p_environment and (c.scope = 'environment' or r.pipeline = c.pipeline)
    ) as w
   where c.enabled and c.environment_id = p_environment and (c.scope = 'environment' or c.pipeline = p_pipeline)
$$;
comment on function ops.cap_room is
  'How many more runs of a pipeline its caps let into the queue now, those that wait there already taken off; null without a cap. Callers: ops.release_runs.';

create function ops.cap_allow(p_environment uuid, p_pipeline text) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object('allowed', b.reason is null, 'reason', b.reason)
    from (select ops.cap_block(p_environment, p_pipeline, pg_catalog.clock_timestamp() + c.shift) as reason from ops.clock as c) as b
$$;
comment on function ops.cap_allow is 'Dry run of the caps for one more run of a pipeline: {"allowed", "reason"}. Callers: CLI, control room.';

create function ops.charge_caps(p_run uuid, p_environment uuid, p_pipeline text, p_attempt integer, p_now timestamptz) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.cap_usage (cap_id, run_id, attempt, at)
  select c.id, p_run, p_attempt, p_now from ops.caps as c
   where c.enabled and c.kind = 'runs' and c.environment_id = p_environment and (c.scope = 'environment' or c.pipeline = p_pipeline)
$$;
comment on function ops.charge_caps is 'Counts one lease against windowed caps. Callers: ops.lease_due.';

create function ops.release_runs(p_limit integer default 100) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_group record;
  v_room bigint;
  v_reason jsonb;
  v_got integer;
  v_released integer := 0;
begin
  if not exists (select 1 from ops.open_runs as q where q.held) then
    return 0;
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.caps', 0));
  -- by pipeline, so that one full cap never hides a run that another has room for
  for v_group in
    select r.environment_id, r.pipeline
      from ops.open_runs as q join ops.runs as r on r.id = q.run_id
     where q.held group by r.environment_id, r.pipeline order by max(q.priority) desc, min(q.due_at)
  loop
    v_room := least(coalesce(ops.cap_room(v_group.environment_id, v_group.pipeline, v_now), p_limit), p_limit - v_released);
    if v_room > 0 then
      with picked as materialized (
        select q.run_id
          from ops.open_runs as q join ops.runs as r on r.id = q.run_id
         where q.held and r.environment_id = v_group.environment_id and r.pipeline = v_group.pipeline
         order by q.priority desc, q.due_at limit v_room for update of q skip locked
      ),
      opened as (
        update ops.open_runs as q set held = false where q.run_id = any (array(select p.run_id from picked as p))
      ),
      released as (
        update ops.runs as r set state = 'queued', wait_reason = null, event_seq = r.event_seq + 1
         where r.id = any (array(select p.run_id from picked as p))
        returning r.id, r.event_seq, r.attempt
      )
      insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
      select r.id, r.event_seq, r.attempt, 'RUN_RELEASED', v_now, '{}' from released as r;
      get diagnostics v_got = row_count;
      v_released := v_released + v_got;
    end if;
    v_reason := ops.cap_block(v_group.environment_id, v_group.pipeline, v_now);
    update ops.runs as r set wait_reason = v_reason
     where v_reason is not null and r.wait_reason <> v_reason
       and r.id = any (array(
         select q.run_id from ops.open_runs as q join ops.runs as h on h.id = q.run_id
          where q.held and h.environment_id = v_group.environment_id and h.pipeline = v_group.pipeline
          order by q.priority desc, q.due_at limit p_limit for update of q skip locked));
  end loop;
  return v_released;
end
$$;
comment on function ops.release_runs is 'Returns held runs to the queue when their caps have room, and keeps the others'' wait reason true. Callers: dispatcher.';

create function ops.next_phase(p_phases ops.phase[], p_checkpoint jsonb) returns ops.phase
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select p.phase from unnest(p_phases) with ordinality as p (phase, n) where not p_checkpoint ? p.phase::text order by p.n limit 1),
    p_phases[cardinality(p_phases)])
$$;
comment on function ops.next_phase is 'The first phase without a checkpoint, the last one when all have one. Callers: whatever starts a run.';

-- ---------------------------------------------------------------------------------------------------------------
-- Leases: callers are the dispatcher (for all executors) and executors (for themselves)
-- ---------------------------------------------------------------------------------------------------------------
create function ops.lease_capped(p_limit integer, p_only uuid, p_now timestamptz) returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_settings ops.settings;
  v_run record;
  v_reason jsonb;
  v_executor uuid;
begin
  select * into v_settings from ops.settings;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.caps', 0));
  for v_run in
    select r.id, r.environment_id, r.pipeline, r.requires, r.attempt
      from ops.open_runs as q
      join ops.runs as r on r.id = q.run_id
     where q.executor_id is null and not q.held and q.due_at <= p_now
       and exists (select 1 from ops.caps as c where c.enabled and c.environment_id = r.environment_id
                      and (c.scope = 'environment' or c.pipeline = r.pipeline))
       and exists (select 1 from ops.executors as e  -- a run that nobody can take must not stand before those that somebody can
                    where (p_only is null or e.id = p_only) and not e.draining and e.lost_at is null and e.capabilities @> q.requires
                      and e.last_seen_at > p_now - make_interval(secs => v_settings.executor_ttl_ms / 1000.0))
     order by q.priority desc, q.due_at, q.run_id limit p_limit for update of q skip locked
  loop
    v_reason := ops.cap_block(v_run.environment_id, v_run.pipeline, p_now);
    if v_reason is not null then
      update ops.open_runs as q set held = true where q.run_id = v_run.id;
      update ops.runs as r set state = 'held', wait_reason = v_reason, event_seq = r.event_seq + 1 where r.id = v_run.id;
      insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
      select r.id, r.event_seq, r.attempt, 'RUN_HELD', p_now, v_reason from ops.runs as r where r.id = v_run.id;
      continue;
    end if;
    select e.id into v_executor
      from ops.executors as e
     where (p_only is null or e.id = p_only) and not e.draining and e.capabilities @> v_run.requires
       and e.lost_at is null and e.last_seen_at > p_now - make_interval(secs => v_settings.executor_ttl_ms / 1000.0)
       and e.slots > (select count(*) from ops.open_runs as h where h.executor_id = e.id)
     order by (select count(*) from ops.open_runs as h where h.executor_id = e.id), e.id
     limit 1;
    continue when v_executor is null;
    update ops.open_runs as q set executor_id = v_executor where q.run_id = v_run.id;
    update ops.runs as r
       set state = 'claimed', executor_id = v_executor, lease_token = gen_random_uuid(), attempt = r.attempt + 1,
           lease_expires_at = p_now + make_interval(secs => v_settings.start_timeout_ms / 1000.0), event_seq = r.event_seq + 1
     where r.id = v_run.id;
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select r.id, r.event_seq, r.attempt, 'PHASE_CLAIMED', p_now, jsonb_build_object('executor', v_executor) from ops.runs as r where r.id = v_run.id;
    perform ops.charge_caps(v_run.id, v_run.environment_id, v_run.pipeline, v_run.attempt + 1, p_now);
    run_id := v_run.id;
    executor_id := v_executor;
    return next;
  end loop;
end
$$;
comment on function ops.lease_capped is 'Leases runs that a cap applies to, one by one under the cap lock, or holds them with the reason. Callers: ops.lease_due.';

create function ops.lease_due(p_limit integer, p_only uuid, p_start boolean default false) returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_settings ops.settings;
  v_capped text[];
  v_left integer := p_limit;
  v_got integer;
  v_needs text[];
  v_by jsonb := jsonb_build_object('executor', p_only);
begin
  select * into v_settings from ops.settings;
  if v_settings.paused_at is not null then
    return;
  end if;

  select coalesce(array_agg(distinct coalesce(c.pipeline, '*')), '{}') into v_capped from ops.caps as c where c.enabled;
  if cardinality(v_capped) > 0 then
    return query select l.run_id, l.executor_id from ops.lease_capped(v_left, p_only, v_now) as l;
    get diagnostics v_got = row_count;
    v_left := v_left - v_got;
  end if;

  for v_needs in
    -- a loose scan of open_runs_due: one step per distinct set of needs, however long the queue is
    with recursive needs as (
      (select q.requires as r from ops.open_runs as q where q.executor_id is null and not q.held order by q.requires limit 1)
      union all
      select (select q.requires from ops.open_runs as q where q.executor_id is null and not q.held and q.requires > n.r order by q.requires limit 1)
        from needs as n where n.r is not null
    )
    select n.r from needs as n where n.r is not null
  loop
    exit when v_left <= 0;
    return query
    with free as materialized (
      select e.id, e.slots - (select count(*) from ops.open_runs as h where h.executor_id = e.id) as slots
        from ops.executors as e
       where (p_only is null or e.id = p_only) and (p_only is not null or e.pulling_until is null or e.pulling_until < v_now)
         and not e.draining and e.capabilities @> v_needs
         and e.lost_at is null and e.last_seen_at > v_now - make_interval(secs => v_settings.executor_ttl_ms / 1000.0)
    ),
    slots as materialized (
      -- ordered by depth, so that work spreads over executors before it piles up on one
      select f.id as executor_id, row_number() over (order by s.depth, f.id) as n
        from free as f cross join lateral generate_series(1, least(f.slots, v_left)) as s (depth)
       limit v_left
    ),
    due as materialized (
      select d.run_id, row_number() over (order by d.priority desc, d.due_at, d.run_id) as n
        from (
          select q.run_id, q.priority, q.due_at from ops.open_runs as q
           where q.executor_id is null and not q.held and q.requires = v_needs and q.due_at <= v_now
             and (cardinality(v_capped) = 0 or not exists (
               select 1 from ops.runs as r where r.id = q.run_id and (r.pipeline = any (v_capped) or '*' = any (v_capped))))
           order by q.priority desc, q.due_at, q.run_id
           limit (select count(*) from slots)
             for update of q skip locked
        ) as d
    ),
    matched as materialized (
      select d.run_id, s.executor_id from due as d join slots as s on s.n = d.n
    ),
    marked as (
      update ops.open_runs as q set executor_id = m.executor_id
        from matched as m
       where q.run_id = m.run_id
         and q.run_id = any (array(select x.run_id from matched as x))  -- keeps the plan on the primary key
    ),
    leased as (
      update ops.runs as r
         set state = case when p_start then 'running' else 'claimed' end::ops.run_state,
             executor_id = m.executor_id, lease_token = gen_random_uuid(), attempt = r.attempt + 1,
             lease_expires_at = v_now + make_interval(secs => case when p_start then v_settings.lease_ms else v_settings.start_timeout_ms end / 1000.0),
             started_at = case when p_start then coalesce(r.started_at, v_now) else r.started_at end,
             phase = case when not p_start then r.phase when r.checkpoint = '{}' then r.phases[1] else ops.next_phase(r.phases, r.checkpoint) end,
             event_seq = r.event_seq + case when p_start then 2 else 1 end
        from matched as m
       where r.id = m.run_id
         and r.id = any (array(select x.run_id from matched as x))
      returning r.id, r.executor_id, r.event_seq, r.attempt, r.phase
    ),
    recorded as (
      insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
      select l.id, l.event_seq - p_start::integer, l.attempt, 'PHASE_CLAIMED', v_now,
             case when p_only is null then jsonb_build_object('executor', l.executor_id) else v_by end
        from leased as l
      union all
      select l.id, l.event_seq, l.attempt, 'PHASE_STARTED', v_now, jsonb_build_object('phase', l.phase) from leased as l where p_start
    )
    select l.id, l.executor_id from leased as l;
    get diagnostics v_got = row_count;
    v_left := v_left - v_got;
  end loop;
end
$$;
comment on function ops.lease_due is
  'Matches due runs to free slots, in order of priority and due time; with p_start they begin at once. Callers: ops.lease_runs, ops.claim_work, ops.claim_run.';

create function ops.lease_runs(p_limit integer default 100) returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select l.run_id, l.executor_id from ops.lease_due(p_limit, null) as l;
  if found then
    perform pg_catalog.pg_notify('lakehouse_executor', '');
  end if;
end
$$;
comment on function ops.lease_runs is
  'Leases due runs to executors that are alive, have free slots and the right capabilities, and rings the executors. Callers: dispatcher.';

create function ops.take_work(p_executor uuid, p_limit integer default 100)
returns table (
  run_id uuid, attempt integer, token uuid, ttl_ms integer, environment_id uuid, pipeline text, bundle text, params jsonb,
  phases text[], checkpoint jsonb, failures integer, max_attempts integer, created_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_lease_ms integer := (select s.lease_ms from ops.settings as s);
begin
  return query
  with mine as materialized (
    select r.id
      from ops.open_runs as q
      join ops.runs as r on r.id = q.run_id
     where q.executor_id = p_executor and r.state = 'claimed'
     limit p_limit for update of r skip locked
  ),
  started as (
    update ops.runs as r
       set state = 'running', started_at = coalesce(r.started_at, v_now), event_seq = r.event_seq + 1,
           lease_expires_at = v_now + make_interval(secs => v_lease_ms / 1000.0),
           phase = case when r.checkpoint = '{}' then r.phases[1] else ops.next_phase(r.phases, r.checkpoint) end
     where r.id = any (array(select m.id from mine as m))
    returning r.*
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select s.id, s.event_seq, s.attempt, 'PHASE_STARTED', v_now, jsonb_build_object('phase', s.phase) from started as s
  )
  select s.id, s.attempt, s.lease_token, v_lease_ms, s.environment_id, s.pipeline, s.bundle, s.params, s.phases::text[], s.checkpoint,
         s.failures::integer, s.max_attempts::integer, s.created_at
    from started as s;
end
$$;
comment on function ops.take_work is
  'Starts the runs that were leased to this executor and hands over their work orders, each exactly once. Callers: executors.';

create function ops.claim_work(p_executor uuid, p_limit integer default 1)
returns table (
  run_id uuid, attempt integer, token uuid, ttl_ms integer, environment_id uuid, pipeline text, bundle text, params jsonb,
  phases text[], checkpoint jsonb, failures integer, max_attempts integer, created_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_lease_ms integer := (select s.lease_ms from ops.settings as s);
  v_now timestamptz := ops.now();
  v_leased uuid[];
  v_started integer;
begin
  select array_agg(l.run_id) into v_leased from ops.lease_due(p_limit, p_executor, true) as l;
  if cardinality(v_leased) = p_limit then
    update ops.executors as e set pulling_until = v_now + interval '1 second'
     where e.id = p_executor and (e.pulling_until is null or e.pulling_until < v_now + interval '500 milliseconds');
  end if;
  return query
  select r.id, r.attempt, r.lease_token, v_lease_ms, r.environment_id, r.pipeline, r.bundle, r.params, r.phases::text[], r.checkpoint,
         r.failures::integer, r.max_attempts::integer, r.created_at
    from ops.runs as r
   where r.id = any (v_leased) and r.state = 'running';
  get diagnostics v_started = row_count;
  -- what the dispatcher had leased to this executor, and runs under a cap, which are leased one by one
  return query select * from ops.take_work(p_executor, p_limit - v_started);
end
$$;
comment on function ops.claim_work is
  'Leases due runs for one executor and starts them in one step: for executors with a backlog before them, or without a dispatcher. Callers: executors.';

create function ops.claim_run(p_executor uuid)
returns table (run_id uuid, attempt integer, token uuid, lease_expires_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select r.id, r.attempt, r.lease_token, r.lease_expires_at
    from ops.lease_due(1, p_executor) as l
    join ops.runs as r on r.id = l.run_id;
end
$$;
comment on function ops.claim_run is
  'Leases one due run for an executor that pulls; no row when nothing is due. It must ops.start_run before the start timeout. Callers: outside executors.';

create function ops.refused_write(p_run uuid, p_write text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.runs as r set event_seq = r.event_seq + 1 where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select r.id, r.event_seq, r.attempt, 'WRITE_REFUSED', ops.now(), jsonb_build_object('write', p_write) from ops.runs as r where r.id = p_run;
end
$$;
comment on function ops.refused_write is 'Records that a stale leaseholder tried to write. Callers: the fenced functions.';

create function ops.start_run(p_run uuid, p_token uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_run ops.runs;
begin
  update ops.runs as r
     set state = 'running', started_at = coalesce(r.started_at, v_now), event_seq = r.event_seq + 1,
         lease_expires_at = v_now + (select make_interval(secs => s.lease_ms / 1000.0) from ops.settings as s),
         phase = ops.next_phase(r.phases, r.checkpoint)
   where r.id = p_run and r.lease_token = p_token and r.state = 'claimed'
  returning * into v_run;
  if not found then
    perform ops.refused_write(p_run, 'start');
    return false;
  end if;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  values (v_run.id, v_run.event_seq, v_run.attempt, 'PHASE_STARTED', v_now, jsonb_build_object('phase', v_run.phase));
  return true;
end
$$;
comment on function ops.start_run is 'A claimed run begins. False: the lease is not current. Callers: outside executors.';

create function ops.register_executor(p_name text, p_capabilities text[], p_slots integer, p_version text) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.executors as e (name, capabilities, slots, version)
  values (p_name, p_capabilities, p_slots, p_version)
      on conflict (name) do update
     set capabilities = excluded.capabilities, slots = excluded.slots, version = excluded.version, draining = false, last_seen_at = ops.now(),
         lost_at = null
  returning e.id
$$;
comment on function ops.register_executor is 'Makes an executor known, or known again under its name. Callers: executors.';

create function ops.beat(p_executor uuid, p_beats jsonb, p_draining boolean default false)
returns table (run_id uuid, verdict text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_settings ops.settings;
begin
  select * into v_settings from ops.settings;
  update ops.executors as e set last_seen_at = v_now, draining = p_draining, lost_at = null
   where e.id = p_executor
     and (e.draining <> p_draining or e.lost_at is not null or e.last_seen_at < v_now - make_interval(secs => v_settings.executor_ttl_ms / 8000.0));
  if jsonb_array_length(p_beats) = 0 then
    return;
  end if;
  return query
  with offered as materialized (
    select (o ->> 'run_id')::uuid as run_id, (o ->> 'token')::uuid as token,
           case when o ->> 'phase' = any (enum_range(null::ops.phase)::text[]) then (o ->> 'phase')::ops.phase end as phase,
           nullif(o -> 'progress', 'null'::jsonb) as progress, nullif(o -> 'checkpoint', 'null'::jsonb) as checkpoint,
           coalesce(nullif(o -> 'events', 'null'::jsonb), '[]') as events
      from jsonb_array_elements(p_beats) as o
  ),
  kept as (
    update ops.runs as r
       set lease_expires_at = v_now + make_interval(secs => v_settings.lease_ms / 1000.0),
           phase = coalesce(o.phase, r.phase), progress = coalesce(o.progress, r.progress),
           checkpoint = case when o.checkpoint is null then r.checkpoint else r.checkpoint || o.checkpoint end,
           losses = case when o.checkpoint is null then r.losses else 0 end,
           event_seq = r.event_seq + jsonb_array_length(o.events)
      from offered as o
     where r.id = o.run_id
       and r.lease_token = o.token  -- the fence: a stale attempt matches nothing
       and r.id = any (array(select x.run_id from offered as x))
    returning r.id, r.lease_token, r.attempt, r.event_seq, r.cancel_requested_at, o.events
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select k.id, (k.event_seq - jsonb_array_length(k.events) + e.n)::integer, k.attempt, coalesce(e.value ->> 'type', 'PHASE_PROGRESS'), v_now, coalesce(e.value -> 'data', '{}')
      from kept as k cross join lateral jsonb_array_elements(k.events) with ordinality as e (value, n)
  )
  select o.run_id,
         case when k.id is null then 'lease_lost' when k.cancel_requested_at is not null then 'cancel' else 'go_on' end
    from offered as o
    left join kept as k on k.id = o.run_id and k.lease_token = o.token;
  if jsonb_path_exists(p_beats, '$[*] ? (@.events.size() > 0 || exists(@.progress.keyvalue()))', silent => true) then
    perform pg_catalog.pg_notify('lakehouse_feed', '');
  end if;
end
$$;
comment on function ops.beat is
  'Renews leases, appends events and stores progress and checkpoints for all runs of an executor: [{run_id, token, phase, progress, checkpoint, events}]. '
  'The answer is the command channel: go_on, cancel or lease_lost per run. Callers: executors.';

create function ops.heartbeat_run(p_run uuid, p_token uuid, p_progress jsonb default null) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select b.verdict from ops.beat(null, jsonb_build_array(jsonb_build_object('run_id', p_run, 'token', p_token, 'progress', p_progress))) as b
$$;
comment on function ops.heartbeat_run is 'ops.beat for one run. Callers: outside executors.';

-- ---------------------------------------------------------------------------------------------------------------
-- Ends
-- ---------------------------------------------------------------------------------------------------------------
create function ops.finish_runs(p_outcomes jsonb) returns table (run_id uuid, accepted boolean, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_tokens uuid[];
  v_states ops.run_state[];
  v_lost uuid;
begin
  with offered as materialized (
    select (o ->> 'run_id')::uuid as run_id, (o ->> 'token')::uuid as token, o ->> 'outcome' as outcome,
           nullif(o -> 'error', 'null'::jsonb) as error, (o ->> 'retry_in_ms')::integer as retry_in_ms,
           coalesce((o ->> 'clear_checkpoint')::boolean, false) as clear_checkpoint,
           coalesce(nullif(o -> 'events', 'null'::jsonb), '[]') as events, o ->> 'manifest_sha256' as manifest_sha256
      from jsonb_array_elements(p_outcomes) as o
  ),
  ended as (
    update ops.runs as r
       set (state, finished_at, cancel) = (
             select n.state, case when n.state <> 'queued' then v_now end, case when n.state = 'canceled' then 'confirmed'::ops.cancel_end end
               from (select case
                       when o.outcome = 'succeeded' then 'succeeded'
                       when o.outcome = 'canceled' or r.cancel_requested_at is not null then 'canceled'
                       when o.outcome = 'interrupted' then 'queued'
                       when o.outcome = 'failed' and o.retry_in_ms is not null and r.failures + 1 < r.max_attempts then 'queued'
                       else 'failed' end::ops.run_state as state) as n),
           error = case o.outcome
                     when 'succeeded' then null
                     when 'canceled' then r.error
                     when 'interrupted' then r.error
                     else coalesce(o.error, '{"code": "UNEXPECTED", "message": "The executor gave no reason."}'::jsonb) end,
           due_at = case when o.outcome = 'failed' and o.retry_in_ms is not null then v_now + make_interval(secs => o.retry_in_ms / 1000.0) else r.due_at end,
           failures = r.failures + (o.outcome = 'failed')::integer,
           interruptions = r.interruptions + (o.outcome = 'interrupted')::integer,
           checkpoint = case when o.clear_checkpoint and r.published_at is null then '{}' else r.checkpoint end,
           manifest_sha256 = coalesce(o.manifest_sha256, r.manifest_sha256),
           progress = case when o.outcome = 'succeeded' then null else r.progress end,
           lease_token = null, lease_expires_at = null,
           event_seq = r.event_seq + jsonb_array_length(o.events) + 1
      from offered as o
     where r.id = o.run_id
       and r.lease_token = o.token  -- the fence: a stale attempt matches nothing
       and r.id = any (array(select x.run_id from offered as x))
    returning r.id, o.token, r.state, r.attempt, r.event_seq, r.error, r.due_at, r.cancel, r.pipeline, o.events, o.outcome
  ),
  closed as (
    delete from ops.open_runs as q where q.run_id = any (array(select e.id from ended as e where e.state <> 'queued'))
  ),
  reopened as (
    update ops.open_runs as q set executor_id = null, due_at = e.due_at
      from ended as e
     where q.run_id = e.id and e.state = 'queued' and q.run_id = any (array(select x.id from ended as x where x.state = 'queued'))
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select e.id, (e.event_seq - 1 - jsonb_array_length(e.events) + x.n)::integer, e.attempt, coalesce(x.value ->> 'type', 'PHASE_PROGRESS'), v_now, coalesce(x.value -> 'data', '{}')
      from ended as e cross join lateral jsonb_array_elements(e.events) with ordinality as x (value, n)
    union all
    select e.id, e.event_seq, e.attempt,
           case e.state when 'succeeded' then 'RUN_SUCCEEDED' when 'failed' then 'RUN_FAILED' when 'canceled' then 'RUN_CANCELED' else 'RUN_REQUEUED' end,
           v_now,
           case e.state
             when 'succeeded' then jsonb_build_object('pipeline', e.pipeline)
             when 'failed' then jsonb_build_object('pipeline', e.pipeline, 'code', e.error ->> 'code', 'message', e.error ->> 'message')
             when 'canceled' then jsonb_build_object('pipeline', e.pipeline, 'cancel', e.cancel)
             else jsonb_build_object('pipeline', e.pipeline, 'reason', e.outcome, 'code', e.error ->> 'code', 'due_at', e.due_at)
           end
      from ended as e
  )
  select coalesce(array_agg(e.token), '{}'), coalesce(array_agg(e.state), '{}') into v_tokens, v_states from ended as e;

  if cardinality(v_tokens) < jsonb_array_length(p_outcomes) then
    for v_lost in
      select (o ->> 'run_id')::uuid from jsonb_array_elements(p_outcomes) as o where (o ->> 'token')::uuid <> all (v_tokens)
    loop
      perform ops.refused_write(v_lost, 'finish');
    end loop;
  end if;
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  -- A freed slot is its executor's own to fill (ops.claim_work); the dispatcher is needed for caps with room and for retries.
  if 'queued' = any (v_states) or exists (select 1 from ops.open_runs as q where q.held) then
    perform pg_catalog.pg_notify('lakehouse_work', '');
  end if;

  return query
  select (o ->> 'run_id')::uuid, e.state is not null, e.state::text
    from jsonb_array_elements(p_outcomes) as o
    left join unnest(v_tokens, v_states) as e (token, state) on e.token = (o ->> 'token')::uuid;
end
$$;
comment on function ops.finish_runs is
  'Ends leased runs in a batch: [{run_id, token, outcome, error, retry_in_ms, clear_checkpoint, events, manifest_sha256}]. '
  'Refuses, by accepted = false, any run whose lease token is not current. Callers: executors.';

create function ops.complete_run(p_run uuid, p_token uuid, p_manifest_sha256 text default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_end record;
begin
  select f.accepted, f.state into v_end
    from ops.finish_runs(jsonb_build_array(jsonb_build_object(
      'run_id', p_run, 'token', p_token, 'outcome', 'succeeded', 'manifest_sha256', p_manifest_sha256))) as f;
  return case when v_end.accepted then v_end.state else 'lease_lost' end;
end
$$;
comment on function ops.complete_run is 'ops.finish_runs for one run that succeeded; answers its state or lease_lost. Callers: outside executors.';

create function ops.fail_run(p_run uuid, p_token uuid, p_error jsonb, p_retry_in_ms integer default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_end record;
begin
  select f.accepted, f.state into v_end
    from ops.finish_runs(jsonb_build_array(jsonb_build_object(
      'run_id', p_run, 'token', p_token, 'outcome', 'failed', 'error', p_error, 'retry_in_ms', p_retry_in_ms))) as f;
  return case when v_end.accepted then v_end.state else 'lease_lost' end;
end
$$;
comment on function ops.fail_run is
  'ops.finish_runs for one run that failed; with p_retry_in_ms it is tried again while attempts are left. Callers: outside executors.';

create function ops.cancel_run(p_run uuid, p_by text, p_reason text default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_run ops.runs;
  v_waits boolean;
begin
  loop
    perform 1 from ops.open_runs as q where q.run_id = p_run and q.executor_id is null for update;
    v_waits := found;
    select * into v_run from ops.runs as r where r.id = p_run for update;
    if not found then
      perform ops.refuse('NOT_FOUND', 404, format('there is no run %s', p_run), '`lakehouse run list` shows what there is.');
    end if;
    if v_run.state in ('succeeded', 'failed', 'canceled') then
      return v_run.state::text;
    end if;
    exit when v_waits = (v_run.lease_token is null);  -- else it was leased or returned between the two locks: look again
  end loop;
  if v_waits then
    delete from ops.open_runs as q where q.run_id = p_run;
    update ops.runs as r
       set state = 'canceled', cancel = 'confirmed', finished_at = v_now, cancel_requested_at = v_now, wait_reason = null, event_seq = r.event_seq + 2
     where r.id = p_run;
  else
    update ops.runs as r set cancel_requested_at = coalesce(r.cancel_requested_at, v_now), event_seq = r.event_seq + 1 where r.id = p_run;
  end if;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  values (p_run, v_run.event_seq + 1, v_run.attempt, 'CANCEL_REQUESTED', v_now, jsonb_build_object('by', p_by, 'reason', p_reason));
  if v_waits then
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    values (p_run, v_run.event_seq + 2, v_run.attempt, 'RUN_CANCELED', v_now, jsonb_build_object('pipeline', v_run.pipeline, 'cancel', 'confirmed'));
  end if;
  perform pg_catalog.pg_notify('lakehouse_executor', '');
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return (select r.state::text from ops.runs as r where r.id = p_run);
end
$$;
comment on function ops.cancel_run is
  'Asks for a run''s end: at once when nobody works on it, else through the next beat. Answers the state it is in. Callers: CLI, control room.';

create function ops.retry_run(p_run uuid, p_by text) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_state ops.run_state;
begin
  update ops.runs as r
     set state = 'queued', finished_at = null, cancel = null, cancel_requested_at = null, error = null, quarantined = false,
         failures = 0, losses = 0, due_at = v_now, event_seq = r.event_seq + 1
   where r.id = p_run and r.state in ('failed', 'canceled') and r.rolled_back_at is null;
  if not found then
    select r.state into v_state from ops.runs as r where r.id = p_run;
    if v_state is null then
      perform ops.refuse('NOT_FOUND', 404, format('there is no run %s', p_run), '`lakehouse run list` shows what there is.');
    end if;
    perform ops.refuse('CONFLICT', 409, format('run %s is %s; only failed and canceled runs that were not rolled back can be retried', p_run, v_state),
                       'Start a new run instead.');
  end if;
  insert into ops.open_runs (run_id, requires, priority, due_at)
  select r.id, r.requires, r.priority, r.due_at from ops.runs as r where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select r.id, r.event_seq, r.attempt, 'RUN_RETRIED', v_now, jsonb_build_object('by', p_by) from ops.runs as r where r.id = p_run;
  perform pg_catalog.pg_notify('lakehouse_work', '');
  return 'queued';
end
$$;
comment on function ops.retry_run is 'Puts a failed or canceled run back into the queue, behind its last finished phase. Callers: CLI, control room.';

create function ops.requeue_stale_runs(p_limit integer default 1000) returns table (run_id uuid, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  with stale as materialized (
    select r.id
      from ops.open_runs as q
      join ops.runs as r on r.id = q.run_id
     where q.executor_id is not null and r.lease_expires_at < v_now
     limit p_limit for update of r skip locked
  ),
  rescued as (
    update ops.runs as r
       set state = case when r.cancel_requested_at is not null then 'canceled'
                        when r.state = 'running' and r.losses + 1 >= r.max_losses then 'failed'
                        else 'queued' end::ops.run_state,
           cancel = case when r.cancel_requested_at is not null then 'presumed'::ops.cancel_end end,
           quarantined = r.cancel_requested_at is null and r.state = 'running' and r.losses + 1 >= r.max_losses,
           error = case when r.cancel_requested_at is null and r.state = 'running' and r.losses + 1 >= r.max_losses
                        then jsonb_build_object('code', 'RUN_QUARANTINED',
                               'message', format('Phase %s lost its executor %s times in a row.', r.phase, r.losses + 1),
                               'hint', 'Find out what kills the executor (memory is the usual cause), then `lakehouse run retry`.') end,
           finished_at = case when r.cancel_requested_at is not null or (r.state = 'running' and r.losses + 1 >= r.max_losses) then v_now end,
           losses = r.losses + (r.state = 'running')::integer,
           interruptions = r.interruptions + (r.state = 'claimed')::integer,
           due_at = v_now, lease_token = null, lease_expires_at = null, event_seq = r.event_seq + 1
     where r.id = any (array(select s.id from stale as s))
    returning r.id, r.state, r.attempt, r.event_seq, r.pipeline, r.error, r.cancel, r.executor_id
  ),
  closed as (
    delete from ops.open_runs as q where q.run_id = any (array(select r.id from rescued as r where r.state <> 'queued'))
  ),
  reopened as (
    update ops.open_runs as q set executor_id = null, due_at = v_now
     where q.run_id = any (array(select r.id from rescued as r where r.state = 'queued'))
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select r.id, r.event_seq, r.attempt,
           case r.state when 'canceled' then 'RUN_CANCELED' when 'failed' then 'RUN_FAILED' else 'RUN_REQUEUED' end, v_now,
           case r.state
             when 'canceled' then jsonb_build_object('pipeline', r.pipeline, 'cancel', r.cancel)
             when 'failed' then jsonb_build_object('pipeline', r.pipeline, 'code', r.error ->> 'code', 'message', r.error ->> 'message')
             else jsonb_build_object('pipeline', r.pipeline, 'reason', 'lease_expired', 'executor', r.executor_id)
           end
      from rescued as r
  ),
  silenced as (
    -- an executor that let a lease run out gets nothing more until it beats again
    update ops.executors as e set lost_at = v_now
     where e.id in (select r.executor_id from rescued as r) and e.lost_at is null
  )
  select r.id, r.state::text from rescued as r;
  if found then
    perform pg_catalog.pg_notify('lakehouse_feed', '');
  end if;
end
$$;
comment on function ops.requeue_stale_runs is
  'Takes runs whose lease ran out back: to the queue, to canceled (presumed) when a stop was asked for, to quarantine after max_losses. Callers: dispatcher, executors.';

-- ---------------------------------------------------------------------------------------------------------------
-- What leaseholders record
-- ---------------------------------------------------------------------------------------------------------------
create function ops.lease_is_current(p_run uuid, p_token uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform 1 from ops.runs as r where r.id = p_run and r.lease_token = p_token for update;
  return found;
end
$$;
comment on function ops.lease_is_current is 'Locks the run and says whether the token is its present one. Callers: the fenced functions.';

create function ops.register_artifacts(p_run uuid, p_token uuid, p_artifacts jsonb) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not ops.lease_is_current(p_run, p_token) then
    perform ops.refused_write(p_run, 'register_artifacts');
    return false;
  end if;
  insert into ops.artifacts (run_id, attempt, name, kind, uri, sha256, bytes, media_type, created_at)
  select p_run, r.attempt, a.name, a.kind, a.uri, a.sha256, a.bytes, a.media_type, ops.now()
    from jsonb_to_recordset(p_artifacts) as a (name text, kind text, uri text, sha256 text, bytes bigint, media_type text)
    join ops.runs as r on r.id = p_run
      on conflict (run_id, attempt, name) do update
     set kind = excluded.kind, uri = excluded.uri, sha256 = excluded.sha256, bytes = excluded.bytes, media_type = excluded.media_type;
  return true;
end
$$;
comment on function ops.register_artifacts is 'Records artifacts of the current attempt. False: the lease is not current. Callers: executors.';

create function ops.record_checks(p_run uuid, p_token uuid, p_checks jsonb) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not ops.lease_is_current(p_run, p_token) then
    perform ops.refused_write(p_run, 'record_checks');
    return false;
  end if;
  delete from ops.run_checks as c using ops.runs as r where r.id = p_run and c.run_id = p_run and c.attempt = r.attempt;
  insert into ops.run_checks (run_id, attempt, ordinal, name, dataset, column_name, action, result, value, threshold, sample_keys, message)
  select p_run, r.attempt, c.n, c.value ->> 'name', c.value ->> 'dataset', c.value ->> 'column', c.value ->> 'action', c.value ->> 'result',
         c.value ->> 'value', c.value ->> 'threshold', coalesce(c.value -> 'sample_keys', '[]'), coalesce(c.value ->> 'message', '')
    from jsonb_array_elements(p_checks) with ordinality as c (value, n)
    join ops.runs as r on r.id = p_run;
  return true;
end
$$;
comment on function ops.record_checks is 'Records what the checks of the current attempt found. False: the lease is not current. Callers: executors.';

create function ops.table_states(p_run uuid, p_token uuid) returns table (name text, state jsonb)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.name, s.state
    from ops.runs as r
    join ops.table_states as s on s.environment_id = r.environment_id and s.pipeline = r.pipeline
   where r.id = p_run and r.lease_token = p_token
$$;
comment on function ops.table_states is 'What earlier published runs of the run''s pipeline remembered per table. Callers: executors.';

create function ops.publish_run(p_run uuid, p_token uuid, p_tables jsonb, p_states jsonb) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_run ops.runs;
  v_moved integer;
  v_offered integer := jsonb_array_length(p_tables);
  v_stuck text;
  v_owner text;
  v_next record;
begin
  select * into v_run from ops.runs as r where r.id = p_run and r.lease_token = p_token for update;
  if not found then
    perform ops.refused_write(p_run, 'publish');
    return 'lease_lost';
  end if;
  if v_run.published_at is not null then
    return 'published';  -- an earlier attempt of this run did it; a run never publishes twice
  end if;
  if v_run.cancel_requested_at is not null then
    return 'cancel';
  end if;

  select t.name, x.pipeline into v_stuck, v_owner
    from jsonb_to_recordset(p_tables) as t (name text) join ops.tables as x on x.name = t.name
   where x.pipeline <> v_run.pipeline limit 1;
  if found then
    perform ops.refuse('CONFLICT', 409, format('%s belongs to pipeline %s; %s may not write it', v_stuck, v_owner, v_run.pipeline),
                       'A table has one writer. Give the table another name in one of the two specs.');
  end if;

  with offered as materialized (
    select t.name, split_part(t.name, '.', 1) as namespace, split_part(t.name, '.', 2) as table_name, t.base_location, t.metadata_location
      from jsonb_to_recordset(p_tables) as t (name text, base_location text, metadata_location text)
  ),
  moved as (
    update iceberg.iceberg_tables as c
       set metadata_location = o.metadata_location, previous_metadata_location = o.base_location
      from offered as o
     where c.catalog_name = 'lakehouse' and c.table_namespace = o.namespace and c.table_name = o.table_name
       and c.metadata_location = o.base_location  -- built on what readers see now, or not at all
    returning 1
  ),
  added as (
    insert into iceberg.iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
    select 'lakehouse', o.namespace, o.table_name, o.metadata_location, 'TABLE' from offered as o where o.base_location is null
        on conflict do nothing
    returning 1
  )
  select (select count(*) from moved) + (select count(*) from added) into v_moved;
  if v_moved <> v_offered then
    select t.name into v_stuck
      from jsonb_to_recordset(p_tables) as t (name text, base_location text, metadata_location text)
      left join iceberg.iceberg_tables as c
        on c.catalog_name = 'lakehouse' and c.table_namespace = split_part(t.name, '.', 1) and c.table_name = split_part(t.name, '.', 2)
     where c.metadata_location is distinct from t.metadata_location
     limit 1;
    perform ops.refuse('PUBLISH_CONFLICT', 409, format('%s was published by another run meanwhile', v_stuck),
                       'Nothing was changed. The run starts over on the new state by itself.');
  end if;

  insert into ops.run_tables (
    run_id, name, base_location, metadata_location, snapshot_id, rows_added, rows, files, bytes, schema_hash, state_before
  )
  select p_run, t.name, t.base_location, t.metadata_location, t.snapshot_id, t.rows_added, t.rows, t.files, t.bytes, t.schema_hash, s.state
    from jsonb_to_recordset(p_tables)
      as t (name text, base_location text, metadata_location text, snapshot_id bigint, rows_added bigint, rows bigint, files bigint,
            bytes bigint, schema_hash text)
    left join ops.table_states as s on s.environment_id = v_run.environment_id and s.pipeline = v_run.pipeline and s.name = t.name;
  insert into ops.tables as x (name, layer, pipeline, metadata_location, snapshot_id, rows, files, bytes, schema_hash, run_id, updated_at)
  select t.name, split_part(t.name, '.', 1), v_run.pipeline, t.metadata_location, t.snapshot_id, t.rows, t.files, t.bytes, t.schema_hash, p_run, v_now
    from jsonb_to_recordset(p_tables)
      as t (name text, metadata_location text, snapshot_id bigint, rows bigint, files bigint, bytes bigint, schema_hash text)
      on conflict (name) do update
     set metadata_location = excluded.metadata_location, snapshot_id = excluded.snapshot_id, rows = excluded.rows, files = excluded.files,
         bytes = excluded.bytes, schema_hash = excluded.schema_hash, run_id = excluded.run_id, updated_at = excluded.updated_at;
  insert into ops.table_states as s (environment_id, pipeline, name, state, run_id)
  select v_run.environment_id, v_run.pipeline, e.key, e.value, p_run
    from jsonb_each(p_states) as e
      on conflict (environment_id, pipeline, name) do update set state = excluded.state, run_id = excluded.run_id;
  if v_offered = 0 then
    return 'published';  -- nothing new: watermarks moved, readers see what they saw, nothing is triggered
  end if;

  update ops.runs as r set published_at = v_now, event_seq = r.event_seq + 1 where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  values (p_run, v_run.event_seq + 1, v_run.attempt, 'RUN_PUBLISHED', v_now,
          jsonb_build_object('pipeline', v_run.pipeline, 'tables', v_offered,
            'rows_added', (select coalesce(sum(t.rows_added), 0) from jsonb_to_recordset(p_tables) as t (rows_added bigint))));
  if v_run.params ->> 'chain' is distinct from 'false' then
    for v_next in
      select p.name from ops.pipelines as p where p.environment_id = v_run.environment_id and v_run.pipeline = any (p.after) and not p.paused
    loop
      perform 1 from ops.enqueue_run(v_run.environment_id, v_next.name, '{}', format('after:%s:%s', p_run, v_next.name), v_run.priority, null,
                                     p_run, 'publish');
    end loop;
  end if;
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return 'published';
end
$$;
comment on function ops.publish_run is
  'Makes a group of staged tables visible together with the run''s ledger, remembers table states and enqueues the pipelines that follow, in one transaction. '
  'Answers published, cancel or lease_lost; raises PUBLISH_CONFLICT when a table moved since it was staged. Callers: executors.';

create function ops.rollback_run(p_run uuid, p_by text, p_reason text) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_run ops.runs;
  v_stuck text;
  v_tables integer;
begin
  select * into v_run from ops.runs as r where r.id = p_run for update;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no run %s', p_run), '`lakehouse run list` shows what there is.');
  end if;
  if v_run.published_at is null or v_run.rolled_back_at is not null then
    perform ops.refuse('CONFLICT', 409, format('run %s has nothing published to roll back', p_run), 'Only a published run can be rolled back, once.');
  end if;
  -- held until the end: a publish that is under way on one of these tables goes first and is seen, or waits and sees us
  perform 1 from iceberg.iceberg_tables as c join ops.run_tables as t
    on c.table_namespace = split_part(t.name, '.', 1) and c.table_name = split_part(t.name, '.', 2)
   where t.run_id = p_run and c.catalog_name = 'lakehouse' order by t.name for update of c;
  select t.name into v_stuck
    from ops.run_tables as t
    left join iceberg.iceberg_tables as c
      on c.catalog_name = 'lakehouse' and c.table_namespace = split_part(t.name, '.', 1) and c.table_name = split_part(t.name, '.', 2)
   where t.run_id = p_run and c.metadata_location is distinct from t.metadata_location
   limit 1;
  if v_stuck is not null then
    perform ops.refuse('CONFLICT', 409, format('%s was published again by a later run; roll that one back first', v_stuck),
                       format('`lakehouse table show %s` names the run.', v_stuck));
  end if;
  update iceberg.iceberg_tables as c
     set metadata_location = t.base_location, previous_metadata_location = t.metadata_location
    from ops.run_tables as t
   where t.run_id = p_run and t.base_location is not null and c.metadata_location = t.metadata_location and c.catalog_name = 'lakehouse'
     and c.table_namespace = split_part(t.name, '.', 1) and c.table_name = split_part(t.name, '.', 2);
  delete from iceberg.iceberg_tables as c using ops.run_tables as t
   where t.run_id = p_run and t.base_location is null and c.metadata_location = t.metadata_location and c.catalog_name = 'lakehouse'
     and c.table_namespace = split_part(t.name, '.', 1) and c.table_name = split_part(t.name, '.', 2);
  delete from ops.tables as x using ops.run_tables as t where t.run_id = p_run and x.name = t.name and t.base_location is null;
  update ops.tables as x
     set metadata_location = b.metadata_location, snapshot_id = b.snapshot_id, rows = b.rows, files = b.files, bytes = b.bytes,
         schema_hash = b.schema_hash, run_id = b.run_id, updated_at = v_now
    from ops.run_tables as t
    join ops.run_tables as b on b.name = t.name and b.metadata_location = t.base_location
   where t.run_id = p_run and x.name = t.name;
  delete from ops.table_states as s using ops.run_tables as t
   where t.run_id = p_run and t.state_before is null
     and s.environment_id = v_run.environment_id and s.pipeline = v_run.pipeline and s.name = t.name;
  update ops.table_states as s set state = t.state_before
    from ops.run_tables as t
   where t.run_id = p_run and t.state_before is not null
     and s.environment_id = v_run.environment_id and s.pipeline = v_run.pipeline and s.name = t.name;
  select count(*) into v_tables from ops.run_tables as t where t.run_id = p_run;
  update ops.runs as r set rolled_back_at = v_now, event_seq = r.event_seq + 1 where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  values (p_run, v_run.event_seq + 1, v_run.attempt, 'RUN_ROLLED_BACK', v_now,
          jsonb_build_object('pipeline', v_run.pipeline, 'by', p_by, 'reason', p_reason, 'tables', v_tables));
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return v_tables;
end
$$;
comment on function ops.rollback_run is
  'Returns every table of a published run to the version before it, with what the pipeline remembered, in one transaction. '
  'Raises CONFLICT when a later run published one of them. Answers the number of tables. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Following the log: callers are the scorer and the notifier
-- ---------------------------------------------------------------------------------------------------------------
create function ops.read_events(p_consumer text, p_limit integer default 1000)
returns table (
  from_xid text, from_seq bigint, xid text, seq bigint, run_id uuid, run_seq integer, attempt integer, type text, at timestamptz, data jsonb,
  environment_id uuid, pipeline text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into ops.cursors (consumer) values (p_consumer) on conflict do nothing;
  return query
  select c.xid::text, c.seq, e.xid::text, e.seq, e.run_id, e.run_seq, e.attempt, e.type, e.at, e.data, r.environment_id, r.pipeline
    from ops.cursors as c
    -- Only transactions older than every open one: what is below that line is complete, so nothing can appear behind the cursor.
    join lateral (
      select v.* from ops.run_events as v
       where (v.xid, v.seq) > (c.xid, c.seq) and v.xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
       order by v.xid, v.seq limit p_limit
    ) as e on true
    join ops.runs as r on r.id = e.run_id
   where c.consumer = p_consumer
   order by e.xid, e.seq;
end
$$;
comment on function ops.read_events is
  'The next settled events behind a consumer''s cursor, in an order that a late commit cannot disturb. Reading does not advance it. Callers: scorer, notifier.';

create function ops.advance_cursor(p_consumer text, p_from_xid text, p_from_seq bigint, p_to_xid text, p_to_seq bigint) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.cursors as c set xid = p_to_xid::xid8, seq = p_to_seq, updated_at = ops.now()
   where c.consumer = p_consumer and c.xid = p_from_xid::xid8 and c.seq = p_from_seq;
  return found;
end
$$;
comment on function ops.advance_cursor is
  'Moves a consumer''s cursor if it still stands where the caller read from; false tells that another process was faster. Callers: record functions.';

create function ops.run_facts(p_runs uuid[])
returns table (
  run_id uuid, environment_id uuid, pipeline text, state text, attempt integer, failures integer, losses integer, duration_ms bigint,
  rows_added bigint, checks_passed bigint, checks_warned bigint, checks_failed bigint, usual_duration_ms numeric, usual_rows numeric, earlier_runs bigint
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select r.id, r.environment_id, r.pipeline, r.state::text, r.attempt, r.failures::integer, r.losses::integer,
         (extract(epoch from r.finished_at - r.started_at) * 1000)::bigint,
         t.rows_added, k.passed, k.warned, k.failed, h.duration_ms, h.rows_added, h.runs
    from ops.runs as r
    cross join lateral (select coalesce(sum(x.rows_added), 0)::bigint as rows_added from ops.run_tables as x where x.run_id = r.id) as t
    cross join lateral (
      select count(*) filter (where c.result = 'pass') as passed, count(*) filter (where c.result = 'warn' or (c.result = 'fail' and c.action = 'warn')) as warned,
             count(*) filter (where c.action = 'fail' and c.result in ('fail', 'error')) as failed
        from ops.run_checks as c where c.run_id = r.id and c.attempt = (select max(m.attempt) from ops.run_checks as m where m.run_id = r.id)
    ) as k
    cross join lateral (
      select percentile_cont(0.5) within group (order by extract(epoch from e.finished_at - e.started_at) * 1000)::numeric as duration_ms,
             percentile_cont(0.5) within group (order by (select coalesce(sum(y.rows_added), 0) from ops.run_tables as y where y.run_id = e.id))::numeric as rows_added,
             count(*) as runs
        from (
          select p.id, p.started_at, p.finished_at from ops.runs as p
           where p.environment_id = r.environment_id and p.pipeline = r.pipeline and p.created_at < r.created_at and p.state = 'succeeded'
             and (p.published_at is not null) = (r.published_at is not null)
           order by p.created_at desc limit 20
        ) as e
    ) as h
   where r.id = any (p_runs) and r.finished_at is not null
$$;
comment on function ops.run_facts is 'What the scorer judges ended runs by, beside the medians of the 20 like runs before each. Durations in ms. Callers: scorer.';

create function ops.compute_run_score(p_run uuid) returns numeric
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_score numeric;
  v_version integer;
  v_inputs jsonb;
begin
  select max(w.version) into v_version
    from ops.runs as r join ops.signal_weights as w on w.environment_id = r.environment_id where r.id = p_run;
  select round(sum(s.value * w.weight) / nullif(sum(w.weight), 0) * 100, 2),
         jsonb_object_agg(s.name, jsonb_build_object('value', s.value, 'weight', w.weight))
    into v_score, v_inputs
    from ops.signals as s
    join ops.runs as r on r.id = s.run_id
    join ops.signal_weights as w on w.environment_id = r.environment_id and w.version = v_version and w.signal = s.name
   where s.run_id = p_run and w.weight > 0;
  if v_score is null then
    return null;
  end if;
  insert into ops.run_scores as x (run_id, score, weights_version, inputs, created_at)
  values (p_run, v_score, v_version, v_inputs, v_now)
      on conflict (run_id) do update
     set score = excluded.score, weights_version = excluded.weights_version, inputs = excluded.inputs, created_at = excluded.created_at;
  update ops.runs as r set event_seq = r.event_seq + 1 where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select r.id, r.event_seq, r.attempt, 'RUN_SCORED', v_now, jsonb_build_object('pipeline', r.pipeline, 'score', v_score)
    from ops.runs as r where r.id = p_run;
  return v_score;
end
$$;
comment on function ops.compute_run_score is
  'Weighted score of a run''s signals in [0, 100] under the weights in force; stores it with its inputs. Null without signals. Callers: scorer, CLI.';

create function ops.record_signals(
  p_consumer text, p_from_xid text, p_from_seq bigint, p_to_xid text, p_to_seq bigint, p_signals jsonb
) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not ops.advance_cursor(p_consumer, p_from_xid, p_from_seq, p_to_xid, p_to_seq) then
    return false;
  end if;
  insert into ops.signals as s (run_id, name, value, evidence, created_at)
  select x.run_id, x.name, x.value, coalesce(x.evidence, '{}'), ops.now()
    from jsonb_to_recordset(p_signals) as x (run_id uuid, name text, value numeric, evidence jsonb)
      on conflict (run_id, name) do update set value = excluded.value, evidence = excluded.evidence, created_at = excluded.created_at;
  perform ops.compute_run_score(x.run_id)
     from (select distinct y.run_id from jsonb_to_recordset(p_signals) as y (run_id uuid)) as x;
  if jsonb_array_length(p_signals) > 0 then
    perform pg_catalog.pg_notify('lakehouse_feed', '');
  end if;
  return true;
end
$$;
comment on function ops.record_signals is
  'Stores signals and scores and moves the scorer''s cursor, or changes nothing and answers false when another scorer was faster. Callers: scorer.';

create function ops.alerting() returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'rules', (select coalesce(jsonb_agg(to_jsonb(r) order by r.name), '[]') from ops.alert_rules as r where r.enabled),
    'routes', (select coalesce(jsonb_agg(to_jsonb(m) order by m.position, m.name), '[]') from ops.routing_matrix as m where m.enabled),
    'silences', (select coalesce(jsonb_agg(to_jsonb(s)), '[]') from ops.silences as s where s.expires_at > (select ops.now())))
$$;
comment on function ops.alerting is 'Rules, routes and silences in force. Callers: notifier.';

create function ops.record_alerts(
  p_consumer text, p_from_xid text, p_from_seq bigint, p_to_xid text, p_to_seq bigint, p_alerts jsonb, p_resolved jsonb default '[]'
) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_alert jsonb;
  v_id uuid;
  v_new boolean;
begin
  if not ops.advance_cursor(p_consumer, p_from_xid, p_from_seq, p_to_xid, p_to_seq) then
    return false;
  end if;
  -- in the order of the events: a success closes what was open before it, a failure after it opens anew
  for v_alert in
    select x.value from jsonb_array_elements(p_alerts || p_resolved) as x (value) order by (x.value ->> 'ordinal')::integer
  loop
    if v_alert ? 'resolve' then
      update ops.alerts as a set state = 'resolved', resolved_at = v_now, updated_at = v_now
       where a.environment_id = (v_alert ->> 'environment_id')::uuid and a.dedup_key = v_alert ->> 'dedup_key' and a.state <> 'resolved';
      continue;
    end if;
    insert into ops.alerts as a (environment_id, rule, dedup_key, run_id, pipeline, severity, summary, details, created_at, updated_at)
    values ((v_alert ->> 'environment_id')::uuid, v_alert ->> 'rule', v_alert ->> 'dedup_key', (v_alert ->> 'run_id')::uuid,
            v_alert ->> 'pipeline', v_alert ->> 'severity', v_alert ->> 'summary', coalesce(v_alert -> 'details', '{}'), v_now, v_now)
        on conflict (environment_id, dedup_key) where state <> 'resolved' do update
       set occurrences = a.occurrences + 1, updated_at = v_now
    returning a.id, a.occurrences = 1 into v_id, v_new;
    if v_new then
      insert into ops.notifications (alert_id, route_id, channel, target, body, due_at, created_at)
      select v_id, n.route_id, n.channel, n.target, n.body || jsonb_build_object('alert_id', v_id), v_now, v_now
        from jsonb_to_recordset(v_alert -> 'notifications') as n (route_id uuid, channel text, target jsonb, body jsonb)
          on conflict (alert_id, route_id) do nothing;
    end if;
  end loop;
  return true;
end
$$;
comment on function ops.record_alerts is
  'Opens, counts and resolves alerts, writes the notifications of new ones and moves the notifier''s cursor, or changes nothing and answers false. Callers: notifier.';

create function ops.lease_notifications(p_limit integer, p_lease_ms integer)
returns table (id uuid, token uuid, channel text, target jsonb, body jsonb, attempts integer, created_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  -- a sender that died comes first: its message is the oldest
  update ops.notifications as n set state = 'due', due_at = v_now, lease_token = null, lease_expires_at = null
   where n.id = any (array(select s.id from ops.notifications as s where s.state = 'sending' and s.lease_expires_at < v_now
                             limit p_limit for update skip locked));
  return query
  with due as materialized (
    select n.id from ops.notifications as n where n.state = 'due' and n.due_at <= v_now
     order by n.due_at limit p_limit for update skip locked
  )
  update ops.notifications as n
     set state = 'sending', attempts = n.attempts + 1, lease_token = gen_random_uuid(),
         lease_expires_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
   where n.id = any (array(select d.id from due as d))
  returning n.id, n.lease_token, n.channel, n.target, n.body, n.attempts, n.created_at;
end
$$;
comment on function ops.lease_notifications is 'Hands out due notifications, and those whose sender died. Callers: notifier.';

create function ops.settle_notifications(p_outcomes jsonb) returns table (id uuid, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  with offered as materialized (
    select o.* from jsonb_to_recordset(p_outcomes) as o (id uuid, token uuid, outcome text, retry_in_ms integer, error jsonb)
  ),
  settled as (
    update ops.notifications as n
       set state = case o.outcome when 'delivered' then 'delivered' when 'retry' then 'due' else 'failed' end,
           delivered_at = case when o.outcome = 'delivered' then v_now end,
           due_at = case when o.outcome = 'retry' then v_now + make_interval(secs => o.retry_in_ms / 1000.0) else n.due_at end,
           last_error = case when o.outcome = 'delivered' then null else o.error end,
           lease_token = null, lease_expires_at = null
      from offered as o
     where n.id = o.id and n.lease_token = o.token
    returning n.id
  )
  select o.id, s.id is not null from offered as o left join settled as s on s.id = o.id;
end
$$;
comment on function ops.settle_notifications is
  'How sends ended: [{id, token, outcome: delivered|retry|failed, retry_in_ms, error}]. accepted = false: another sender has it. Callers: notifier.';

-- ---------------------------------------------------------------------------------------------------------------
-- What people do with alerts and routes: callers are the CLI and the control room
-- ---------------------------------------------------------------------------------------------------------------
create function ops.set_route(
  p_environment uuid, p_name text, p_match jsonb, p_channel text, p_target jsonb, p_position integer default 100,
  p_continue boolean default true, p_enabled boolean default true
) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.routing_matrix as m (environment_id, name, match, channel, target, position, continue, enabled, updated_at)
  values (p_environment, p_name, p_match, p_channel, p_target, p_position, p_continue, p_enabled, ops.now())
      on conflict (environment_id, name) do update
     set match = excluded.match, channel = excluded.channel, target = excluded.target, position = excluded.position,
         continue = excluded.continue, enabled = excluded.enabled, updated_at = excluded.updated_at
  returning m.id
$$;
comment on function ops.set_route is 'Adds or changes a route by its name. Callers: CLI, control room.';

create function ops.set_alert_rule(
  p_environment uuid, p_name text, p_event_types text[], p_condition jsonb, p_severity text, p_summary text, p_enabled boolean default true
) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.alert_rules as a (environment_id, name, event_types, condition, severity, summary, enabled, updated_at)
  values (p_environment, p_name, p_event_types, p_condition, p_severity, p_summary, p_enabled, ops.now())
      on conflict (environment_id, name) do update
     set event_types = excluded.event_types, condition = excluded.condition, severity = excluded.severity, summary = excluded.summary,
         enabled = excluded.enabled, updated_at = excluded.updated_at
  returning a.id
$$;
comment on function ops.set_alert_rule is 'Adds or changes an alert rule by its name. Callers: CLI, control room.';

create function ops.change_alert(p_alert uuid, p_state text, p_by text) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  update ops.alerts as a
     set state = p_state, updated_at = v_now,
         acknowledged_at = coalesce(a.acknowledged_at, v_now), acknowledged_by = coalesce(a.acknowledged_by, p_by),
         resolved_at = case when p_state = 'resolved' then v_now end
   where a.id = p_alert and a.state <> 'resolved';
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no open alert %s', p_alert), '`lakehouse alert list` shows what is open.');
  end if;
  return p_state;
end
$$;
comment on function ops.change_alert is 'Acknowledges or resolves an open alert. Callers: CLI, control room.';

create function ops.silence(p_environment uuid, p_match jsonb, p_reason text, p_by text, p_for interval) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.silences (environment_id, match, reason, created_by, created_at, expires_at)
  select p_environment, p_match, p_reason, p_by, n.at, n.at + p_for from (select ops.now() as at) as n
  returning id
$$;
comment on function ops.silence is 'Keeps matching alerts from notifying for a while. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Leadership and housekeeping: callers are the dispatchers
-- ---------------------------------------------------------------------------------------------------------------
create function ops.take_leadership(p_role text, p_holder uuid, p_ttl_ms integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_term bigint;
begin
  insert into ops.leaders as l (role, holder, expires_at)
  values (p_role, p_holder, v_now + make_interval(secs => p_ttl_ms / 1000.0))
      on conflict (role) do update
     set holder = excluded.holder, expires_at = excluded.expires_at, term = l.term + (l.holder <> excluded.holder)::integer
   where l.holder = excluded.holder or l.expires_at < v_now
  returning l.term into v_term;
  return v_term;
end
$$;
comment on function ops.take_leadership is 'Takes or renews a role''s lease: the term while the caller leads, null while another does. Callers: dispatcher.';

create function ops.release_leadership(p_role text, p_holder uuid) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ delete from ops.leaders as l where l.role = p_role and l.holder = p_holder $$;
comment on function ops.release_leadership is 'Hands a role on at once when its holder stops. Callers: dispatcher.';

create function ops.next_due_in_ms() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_due timestamptz;
  v_lease timestamptz;
begin
  -- what is due already waits for a slot, and whoever frees one fills it: no need to wake for what falls due behind it
  if not exists (select 1 from ops.open_runs as q where q.executor_id is null and not q.held and q.due_at <= v_now) then
    select min(q.due_at) into v_due from ops.open_runs as q where q.executor_id is null and not q.held;
  end if;
  select min(r.lease_expires_at) into v_lease from ops.open_runs as q join ops.runs as r on r.id = q.run_id where q.executor_id is not null;
  return least(extract(epoch from v_due - v_now) * 1000, extract(epoch from v_lease - v_now) * 1000, 3600000)::integer;
end
$$;
comment on function ops.next_due_in_ms is 'Milliseconds until the next run falls due or the next lease ends; at most an hour. Callers: dispatcher.';

-- ---------------------------------------------------------------------------------------------------------------
-- What people read
-- ---------------------------------------------------------------------------------------------------------------
create view api.runs with (security_invoker = true) as
select r.id, r.environment_id, r.pipeline, r.state, r.phase, r.attempt, r.params, r.priority, r.trigger, r.parent_run_id, r.bundle,
       r.created_at, r.due_at, r.started_at, r.finished_at, r.published_at, r.rolled_back_at, r.wait_reason, r.error, r.progress,
       r.cancel, r.quarantined, r.failures, r.losses, r.interruptions, r.manifest_sha256, r.executor_id, r.lease_expires_at, r.event_seq,
       (select s.score from ops.run_scores as s where s.run_id = r.id) as score,
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'name', c.name, 'dataset', c.dataset, 'column', c.column_name, 'action', c.action, 'result', c.result, 'value', c.value,
                 'threshold', c.threshold, 'sample_keys', c.sample_keys, 'message', c.message) order by c.ordinal), '[]')
          from ops.run_checks as c
         where c.run_id = r.id and c.attempt = (select max(m.attempt) from ops.run_checks as m where m.run_id = r.id)) as checks,
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'name', t.name, 'snapshot_id', t.snapshot_id::text, 'rows_added', t.rows_added) order by t.name), '[]')
          from ops.run_tables as t where t.run_id = r.id) as tables
  from ops.runs as r;
comment on view api.runs is 'Runs as the CLI and the API show them, with checks, tables and score.';

create view api.run_events with (security_invoker = true) as
select e.seq, e.run_id, e.run_seq, e.attempt, e.type, e.at, e.data from ops.run_events as e;
comment on view api.run_events is 'The event log.';

create view api.artifacts with (security_invoker = true) as
select a.id, a.run_id, a.attempt, a.name, a.kind, a.uri, a.sha256, a.bytes, a.media_type, a.created_at from ops.artifacts as a;
comment on view api.artifacts is 'Artifacts of runs.';

create view api.pipelines with (security_invoker = true) as
select p.environment_id, p.name, p.bundle, p.layer, p.owner, p.description, p.schedule, p.phases, p.after, p.paused, p.built_in, p.updated_at
  from ops.pipelines as p;
comment on view api.pipelines is 'Pipelines and the bundle each has now.';

create view api.tables with (security_invoker = true) as
select t.name, t.layer, t.pipeline, t.rows, t.files, t.bytes, t.snapshot_id::text as snapshot_id, t.metadata_location, t.run_id, t.updated_at from ops.tables as t;
comment on view api.tables is 'Published tables of the lake.';

create view api.alerts with (security_invoker = true) as
select a.id, a.environment_id, a.rule, a.run_id, a.pipeline, a.severity, a.summary, a.details, a.state, a.occurrences, a.created_at,
       a.updated_at, a.acknowledged_at, a.acknowledged_by, a.resolved_at,
       (select coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'channel', n.channel, 'state', n.state, 'attempts', n.attempts,
                 'delivered_at', n.delivered_at, 'last_error', n.last_error) order by n.created_at), '[]')
          from ops.notifications as n where n.alert_id = a.id) as notifications
  from ops.alerts as a;
comment on view api.alerts is 'Alerts with what was sent about them.';

create view api.routes with (security_invoker = true) as
select m.id, m.environment_id, m.name, m.position, m.match, m.channel, m.target, m.continue, m.enabled, m.updated_at from ops.routing_matrix as m;
comment on view api.routes is 'The routing matrix.';

create view api.executors with (security_invoker = true) as
select e.id, e.name, e.capabilities, e.slots, e.version, e.draining, e.registered_at, e.last_seen_at, e.lost_at from ops.executors as e;
comment on view api.executors is 'Executors and when they were last seen.';

-- ---------------------------------------------------------------------------------------------------------------
-- Row-level security: people see their projects; the control room, which checks people itself, sees all
-- ---------------------------------------------------------------------------------------------------------------
do $$
declare
  v_table text;
begin
  for v_table in
    select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
     where n.nspname in ('ops', 'iceberg') and c.relkind in ('r', 'p')
  loop
    execute 'alter table ' || v_table || ' enable row level security';
    execute format('create policy "The control room sees all rows" on %s for select to lakehouse_controlroom using (true)', v_table);
  end loop;
  foreach v_table in array array['pipelines', 'runs', 'caps', 'alerts', 'routing_matrix', 'alert_rules', 'signal_weights', 'silences'] loop
    execute format('create policy "Members see their project''s rows" on ops.%I for select to authenticated '
                   'using (environment_id in (select ops.my_environments()))', v_table);
  end loop;
  foreach v_table in array array['run_events', 'artifacts', 'run_checks', 'run_tables', 'run_scores', 'signals'] loop
    execute format('create policy "Members see what belongs to their project''s runs" on ops.%I for select to authenticated '
                   'using (run_id in (select r.id from ops.runs as r))', v_table);
  end loop;
  execute 'create policy "Members see notifications of their project''s alerts" on ops.notifications for select to authenticated '
          'using (alert_id in (select a.id from ops.alerts as a))';
  execute 'create policy "Members see tables that their project''s runs published" on ops.tables for select to authenticated '
          'using (run_id in (select r.id from ops.runs as r))';
  execute 'create policy "Executors read the catalog" on iceberg.iceberg_tables for select to lakehouse_executor using (true)';
  execute 'create policy "Executors read namespaces" on iceberg.iceberg_namespace_properties for select to lakehouse_executor using (true)';
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Grants: nobody may do anything that is not named here
-- ---------------------------------------------------------------------------------------------------------------
revoke all on all tables in schema ops, api, iceberg from public;
revoke execute on all functions in schema ops from public;

grant usage on schema ops to
  authenticated, service_role, lakehouse_dispatcher, lakehouse_executor, lakehouse_scorer, lakehouse_notifier, lakehouse_controlroom;
grant usage on schema api to authenticated, service_role, lakehouse_controlroom;
grant usage on schema iceberg to lakehouse_executor, lakehouse_controlroom;

-- lease_token is named nowhere: only its holder knows it
grant select (
  id, environment_id, pipeline, bundle, params, phases, requires, state, phase, priority, attempt, failures, losses, interruptions,
  max_attempts, max_losses, event_seq, due_at, created_at, started_at, finished_at, published_at, rolled_back_at, executor_id,
  lease_expires_at, cancel_requested_at, cancel, quarantined, wait_reason, error, checkpoint, progress, manifest_sha256,
  idempotency_key, parent_run_id, trigger
) on ops.runs to authenticated, lakehouse_controlroom;
grant select on
  ops.pipelines, ops.run_events, ops.artifacts, ops.run_checks, ops.run_tables, ops.run_scores, ops.signals, ops.tables, ops.caps,
  ops.alerts, ops.routing_matrix, ops.alert_rules, ops.signal_weights, ops.silences
  to authenticated, lakehouse_controlroom;
grant select (id, alert_id, route_id, channel, state, attempts, due_at, created_at, delivered_at, last_error)
  on ops.notifications to authenticated, lakehouse_controlroom;
grant select on ops.open_runs, ops.executors, ops.organizations, ops.projects, ops.environments, ops.members, ops.pipeline_versions, ops.cap_usage,
  ops.cursors, ops.leaders, ops.settings, ops.table_states to lakehouse_controlroom;
grant select on all tables in schema api to authenticated, lakehouse_controlroom;
revoke select on api.executors from authenticated;
grant select on iceberg.iceberg_tables, iceberg.iceberg_namespace_properties to lakehouse_executor, lakehouse_controlroom;

grant execute on function ops.my_environments to authenticated;
grant execute on function
  ops.lease_runs, ops.release_runs, ops.requeue_stale_runs, ops.take_leadership, ops.release_leadership, ops.next_due_in_ms,
  ops.ensure_event_partitions
  to lakehouse_dispatcher;
grant execute on function
  ops.register_executor, ops.take_work, ops.claim_work, ops.claim_run, ops.start_run, ops.beat, ops.heartbeat_run, ops.finish_runs,
  ops.complete_run, ops.fail_run, ops.bundle, ops.table_states, ops.register_artifacts, ops.record_checks, ops.publish_run,
  ops.requeue_stale_runs
  to lakehouse_executor;
grant execute on function ops.read_events, ops.run_facts, ops.record_signals, ops.compute_run_score to lakehouse_scorer;
grant execute on function ops.read_events, ops.alerting, ops.record_alerts, ops.lease_notifications, ops.settle_notifications to lakehouse_notifier;
grant execute on function
  ops.apply_pipeline, ops.bundle, ops.enqueue_run, ops.enqueue_runs, ops.cap_allow, ops.cancel_run, ops.retry_run, ops.rollback_run,
  ops.set_route, ops.set_alert_rule, ops.change_alert, ops.silence, ops.compute_run_score, ops.now
  to lakehouse_controlroom;
