-- What people may do, by role and by where they stand: to each table and view, and through each function of schema api. Every cell is
-- asserted. A relation or function without a row in its matrix fails, so that nobody adds one without saying whose it is.
-- Runs under `supabase test db` and, without psql, under pytest; needs pgTAP on the search path, and a superuser.
begin;
select no_plan();

-- ---------------------------------------------------------------------------------------------------------------
-- Three scopes with one row of everything: the caller's own project, its sibling, and a project of somebody else
-- ---------------------------------------------------------------------------------------------------------------
create temporary table scopes (
  name text primary key, organization uuid, project uuid, environment uuid, run uuid, ended uuid, alert uuid, trigger uuid, backfill uuid,
  proposal uuid
);

create function pg_temp.furnish(p_name text, p_organization uuid) returns void
language plpgsql
as $$
declare
  s scopes;
  v_now timestamptz := ops.now();
  v_stranger uuid := gen_random_uuid();
  v_route uuid;
begin
  s.name := p_name;
  s.organization := p_organization;
  s.project := ops.create_project(p_organization, replace(p_name, '_', '-'));
  s.environment := ops.create_environment(s.project, 'production');
  perform ops.apply_pipeline(s.environment, jsonb_build_object(
    'digest', encode(sha256(p_name::bytea), 'hex'), 'phases', '["query"]'::jsonb, 'files', '{}'::jsonb,
    'spec', '{"name": "ranged", "params": {"day": {"type": "date"}}, "backfill": {"from": "day"}}'::jsonb));
  s.run := (select e.run_id from ops.enqueue_run(s.environment, 'query') as e);
  s.ended := (select e.run_id from ops.enqueue_run(s.environment, 'query') as e);
  perform ops.cancel_run(s.ended, 'the test', null);
  perform ops.set_member(s.project, v_stranger, 'viewer', null, 'the test');
  perform ops.set_organization_member(p_organization, v_stranger, 'viewer', null, 'the test');
  perform ops.set_cap(s.environment, '{"name": "few", "kind": "concurrency", "limit": 5}');
  perform ops.silence(s.environment, '{}', 'quiet', 'the test', interval '1 hour');
  v_route := ops.set_route(s.environment, 'chat', '{}', 'webhook', '{"url": "https://example.com"}');
  insert into ops.artifacts (run_id, attempt, name, kind, uri, sha256, bytes, media_type, created_at)
  values (s.run, 1, 'result', 'result', 'file:///result', repeat('0', 64), 1, 'text/plain', v_now);
  insert into ops.run_checks (run_id, attempt, ordinal, name, dataset, action, result) values (s.run, 1, 1, 'some', 'gold.some', 'warn', 'pass');
  insert into ops.run_tables (run_id, name, metadata_location, snapshot_id, rows_added, rows, files, bytes, schema_hash)
  values (s.run, 'gold.' || p_name, 'file:///1', 1, 1, 1, 1, 1, 'h');
  insert into iceberg.iceberg_tables (catalog_name, table_namespace, table_name, metadata_location) values ('lakehouse', 'gold', p_name, 'file:///1');
  update ops.runs set published_at = v_now where id = s.run;
  insert into ops.tables (name, layer, pipeline, metadata_location, snapshot_id, rows, files, bytes, schema_hash, run_id, updated_at)
  values ('gold.' || p_name, 'gold', 'query', 'file:///1', 1, 1, 1, 1, 'h', s.run, v_now);
  insert into ops.signals (run_id, name, value, created_at) values (s.run, 'outcome', 1, v_now);
  insert into ops.run_scores (run_id, score, weights_version, inputs, created_at) values (s.run, 100, 1, '{}', v_now);
  insert into ops.alerts (environment_id, rule, dedup_key, run_id, severity, summary, created_at, updated_at)
  values (s.environment, 'run_failed', 'k', s.run, 'error', 'failed', v_now, v_now) returning id into s.alert;
  insert into ops.notifications (alert_id, route_id, channel, target, body, due_at, created_at)
  values (s.alert, v_route, 'webhook', '{}', '{}', v_now, v_now);
  insert into ops.schedules (environment_id, pipeline, name, purpose, every_seconds, timezone, params, catch_up, catch_up_runs, catch_up_seconds, ticked_until)
  values (s.environment, 'query', 'often', 'start', 60, 'UTC', '{}', 'none', 1, 60, v_now);
  insert into ops.triggers (environment_id, pipeline, name, kind, upstreams, params, armed_at)
  values (s.environment, 'query', 'hook', 'webhook', '{}', '{}', v_now) returning id into s.trigger;
  insert into ops.trigger_arrivals (trigger_id, upstream, run_id, published_at) values (s.trigger, 'query', s.run, v_now);
  insert into ops.backfills (environment_id, pipeline, starts_at, ends_at, step, timezone, from_param, params, concurrency, reverse, reprocess, priority,
                             created_by, created_at, updated_at)
  values (s.environment, 'query', v_now, v_now + interval '1 day', 'day', 'UTC', 'from', '{}', 1, false, 'none', 0, 'the test', v_now, v_now)
  returning id into s.backfill;
  insert into ops.backfill_partitions (backfill_id, ordinal, starts_at, ends_at, state) values (s.backfill, 1, v_now, v_now + interval '1 day', 'pending');
  insert into ops.weight_proposals (environment_id, base_version, weights, evidence, author, created_at)
  values (s.environment, 1, '{"outcome": 1}', '{}', 'the test', v_now) returning id into s.proposal;
  insert into scopes values (s.*);
end
$$;

do $$
declare
  v_ours uuid := ops.create_organization('ours');
begin
  perform pg_temp.furnish('own', v_ours);
  perform pg_temp.furnish('sibling_project', v_ours);
  perform pg_temp.furnish('sibling_organization', ops.create_organization('theirs'));
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Who asks: for each role somebody of the project, of its organisation, and somebody whose membership has ended
-- ---------------------------------------------------------------------------------------------------------------
create temporary table callers (role text, standing text, user_id uuid);
insert into callers (role, standing, user_id)
select r.name, s.standing, gen_random_uuid()
  from ops.roles as r cross join (values ('project'), ('organization'), ('expired'), ('expired_organization')) as s (standing);
insert into callers (role, standing, user_id) values ('nobody', 'stranger', gen_random_uuid()), ('nobody', 'without a name', null);

insert into ops.members (project_id, user_id, role, expires_at)
select s.project, c.user_id, c.role, case c.standing when 'expired' then ops.now() end
  from callers as c join scopes as s on s.name = 'own' where c.standing in ('project', 'expired');
insert into ops.organization_members (organization_id, user_id, role, expires_at)
select s.organization, c.user_id, c.role, case c.standing when 'expired_organization' then ops.now() end
  from callers as c join scopes as s on s.name = 'own' where c.standing in ('organization', 'expired_organization');

-- ---------------------------------------------------------------------------------------------------------------
-- The matrix. shown: whose rows people see; mine: which rows belong to a scope.
--   project       rows of the projects one belongs to
--   organization  the organisation itself, also for members of one of its projects
--   whole         only for members of the organisation as a whole
--   everybody     the same rows for all who are signed in
--   nobody        refused
-- ---------------------------------------------------------------------------------------------------------------
create temporary table matrix (relation text primary key, shown text not null, mine text);
insert into matrix (relation, shown, mine) values
  ('api.alerts', 'project', 'environment_id = {environment}'),
  ('api.artifacts', 'project', 'run_id = {run}'),
  ('api.backfill_partitions', 'project', 'backfill_id = {backfill}'),
  ('api.backfills', 'project', 'environment_id = {environment}'),
  ('api.environments', 'project', 'id = {environment}'),
  ('api.executors', 'nobody', null),
  ('api.members', 'project', 'project_id = {project}'),
  ('api.organization_members', 'whole', 'organization_id = {organization}'),
  ('api.organizations', 'organization', 'id = {organization}'),
  ('api.pipelines', 'project', 'environment_id = {environment}'),
  ('api.projects', 'project', 'id = {project}'),
  ('api.role_permissions', 'everybody', null),
  ('api.routes', 'project', 'environment_id = {environment}'),
  ('api.run_events', 'project', 'run_id = {run}'),
  ('api.runs', 'project', 'environment_id = {environment}'),
  ('api.schedules', 'project', 'environment_id = {environment}'),
  ('api.scores', 'project', 'environment_id = {environment}'),
  ('api.signals', 'project', 'environment_id = {environment}'),
  ('api.tables', 'project', 'run_id = {run}'),
  ('api.triggers', 'project', 'environment_id = {environment}'),
  ('api.weight_proposals', 'project', 'environment_id = {environment}'),
  ('api.weights', 'project', 'environment_id = {environment}'),
  ('iceberg.iceberg_namespace_properties', 'nobody', null),
  ('iceberg.iceberg_tables', 'nobody', null),
  ('ops.alert_rules', 'project', 'environment_id = {environment}'),
  ('ops.alerts', 'project', 'environment_id = {environment}'),
  ('ops.artifacts', 'project', 'run_id = {run}'),
  ('ops.backfill_partitions', 'project', 'backfill_id = {backfill}'),
  ('ops.backfills', 'project', 'environment_id = {environment}'),
  ('ops.bundles', 'nobody', null),
  ('ops.cap_usage', 'nobody', null),
  ('ops.caps', 'project', 'environment_id = {environment}'),
  ('ops.clock', 'nobody', null),
  ('ops.cursors', 'nobody', null),
  ('ops.environments', 'project', 'id = {environment}'),
  ('ops.event_checkpoints', 'nobody', null),
  ('ops.event_partitions', 'nobody', null),
  ('ops.event_seals', 'nobody', null),
  ('ops.executors', 'nobody', null),
  ('ops.lane_caps', 'nobody', null),
  ('ops.lanes', 'project', 'environment_id = {environment}'),
  ('ops.leaders', 'nobody', null),
  ('ops.learning_turns', 'nobody', null),
  ('ops.members', 'project', 'project_id = {project}'),
  ('ops.notifications', 'project', 'alert_id = {alert}'),
  ('ops.open_runs', 'nobody', null),
  ('ops.organization_members', 'whole', 'organization_id = {organization}'),
  ('ops.organizations', 'organization', 'id = {organization}'),
  ('ops.pipeline_versions', 'nobody', null),
  ('ops.pipelines', 'project', 'environment_id = {environment}'),
  ('ops.projects', 'project', 'id = {project}'),
  ('ops.role_permissions', 'everybody', null),
  ('ops.roles', 'everybody', null),
  ('ops.routing_matrix', 'project', 'environment_id = {environment}'),
  ('ops.run_checks', 'project', 'run_id = {run}'),
  ('ops.run_events', 'project', 'run_id = {run}'),
  ('ops.run_scores', 'project', 'run_id = {run}'),
  ('ops.run_tables', 'project', 'run_id = {run}'),
  ('ops.runs', 'project', 'environment_id = {environment}'),
  ('ops.schedules', 'project', 'environment_id = {environment}'),
  ('ops.settings', 'nobody', null),
  ('ops.signal_kinds', 'everybody', null),
  ('ops.signal_weights', 'project', 'environment_id = {environment}'),
  ('ops.signals', 'project', 'run_id = {run}'),
  ('ops.silences', 'project', 'environment_id = {environment}'),
  ('ops.table_states', 'nobody', null),
  ('ops.tables', 'project', 'run_id = {run}'),
  ('ops.trigger_arrivals', 'project', 'trigger_id = {trigger}'),
  ('ops.triggers', 'project', 'environment_id = {environment}'),
  ('ops.weight_proposals', 'project', 'environment_id = {environment}'),
  ('ops.weight_versions', 'project', 'environment_id = {environment}');

-- partitions are no relations of their own: all of them are held below
create temporary view partitions as
select c.oid::regclass::text as relation from pg_catalog.pg_class as c
 where c.relispartition and c.relkind = 'r' and c.relnamespace in ('ops'::regnamespace, 'iceberg'::regnamespace);
create temporary view relations as
select n.nspname || '.' || c.relname as relation, c.oid, c.relkind from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
 where n.nspname in ('ops', 'api', 'guard', 'iceberg') and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition;

select is_empty('select relation from relations except select relation from matrix', 'every table and view has a row in the matrix');
select is_empty('select relation from matrix except select relation from relations', 'the matrix names no table that is gone');

-- ---------------------------------------------------------------------------------------------------------------
-- Trying a cell. Nothing that is tried stays.
-- ---------------------------------------------------------------------------------------------------------------
create function pg_temp.outcome(p_as name, p_user uuid, p_sql text) returns text
language plpgsql
as $$
declare
  v_rows bigint;
  v_code text;
  v_answer text;
begin
  perform set_config('request.jwt.claims', coalesce(jsonb_build_object('sub', p_user)::text, '{}'), true), set_config('role', p_as, true);
  begin
    execute p_sql;
    get diagnostics v_rows = row_count;
    raise exception using errcode = 'TRIED', message = case when v_rows > 0 then 'rows' else 'none' end;
  exception
    when sqlstate 'TRIED' then v_answer := sqlerrm;
    when insufficient_privilege then v_answer := 'refused';
    when object_not_in_prerequisite_state or feature_not_supported then v_answer := 'refused';  -- a view that cannot be written
    when others then
      get stacked diagnostics v_code = pg_exception_detail;
      v_answer := case when sqlstate like 'PT%' then v_code else sqlstate || ' ' || sqlerrm end;
  end;
  perform set_config('role', 'none', true);
  return v_answer;
end
$$;

create function pg_temp.filled(p_text text, p_scope scopes) returns text
language sql
as $$
  select coalesce(
    (select string_agg(coalesce(quote_literal(to_jsonb(p_scope) ->> x.name) || '::uuid', '') || x.rest, '' order by x.n)
       from (select split_part(y.part, '}', 1) as name, case when y.n = 1 then y.part else substr(y.part, strpos(y.part, '}') + 1) end as rest, y.n
               from regexp_split_to_table(p_text, '\{') with ordinality as y (part, n)) as x), 'true')
$$;

create temporary table verbs (verb text, statement text);
insert into verbs values
  ('select', 'select 1 from %1$s as t where %2$s'), ('insert', 'insert into %1$s default values'),
  ('update', 'update %1$s as t set %3$I = null where %2$s'), ('delete', 'delete from %1$s as t where %2$s'), ('truncate', 'truncate %1$s');

create temporary table cells as
select m.relation, m.shown, v.verb, s.name as scope,
       format(v.statement, m.relation, pg_temp.filled(m.mine, s),
              (select a.attname from pg_catalog.pg_attribute as a
                where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = '' order by a.attnum limit 1)) as statement
  from matrix as m
  join relations as r using (relation)
 cross join verbs as v
 cross join scopes as s
 where (v.verb <> 'truncate' or r.relkind in ('r', 'p')) and m.relation like coalesce(nullif(current_setting('people.relations', true), ''), '%');

create function pg_temp.expected(p_shown text, p_verb text, p_standing text, p_scope text) returns text
language sql
as $$
  select case
    when p_verb <> 'select' or p_shown = 'nobody' then 'refused'
    when p_shown = 'everybody' then 'rows'
    when p_standing = 'project' then case
      when p_shown = 'whole' then 'none'
      when p_scope = 'own' or (p_shown = 'organization' and p_scope = 'sibling_project') then 'rows'
      else 'none' end
    when p_standing = 'organization' and p_scope <> 'sibling_organization' then 'rows'
    else 'none'
  end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Every cell
-- ---------------------------------------------------------------------------------------------------------------
select is(pg_temp.outcome('authenticated', c.user_id, x.statement), pg_temp.expected(x.shown, x.verb, c.standing, x.scope),
          format('%s %s: %s, %s asks about %s', x.verb, x.relation, c.role, c.standing, x.scope))
  from cells as x cross join callers as c;

select is(pg_temp.outcome('anon', null, x.statement), 'refused', format('%s %s: anonymous asks about %s', x.verb, x.relation, x.scope))
  from cells as x;

select is(pg_temp.outcome('service_role', null, x.statement), 'refused', format('%s %s: the key of the whole project asks about %s', x.verb, x.relation, x.scope))
  from cells as x;

-- ---------------------------------------------------------------------------------------------------------------
-- Partitions, those that are made later too: closed to everybody but through the log
-- ---------------------------------------------------------------------------------------------------------------
select ops.ensure_event_partitions(5);
select cmp_ok((select count(*) from partitions), '>', 5::bigint, 'there are partitions that were made after the migrations');
select is(pg_temp.outcome(r.name, null, format(v.statement, p.relation, 'true', 'type')), 'refused', format('%s %s: %s', v.verb, p.relation, r.name))
  from partitions as p cross join verbs as v
 cross join unnest(array['anon', 'authenticated', 'service_role', 'lakehouse_dispatcher', 'lakehouse_executor', 'lakehouse_scorer', 'lakehouse_notifier',
                         'lakehouse_controlroom']) as r (name);
select ok((select c.relrowsecurity from pg_catalog.pg_class as c where c.oid = p.relation::regclass), p.relation || ' has row-level security')
  from partitions as p;
select ok(exists (select 1 from pg_catalog.pg_policy as y where y.polrelid = p.relation::regclass), p.relation || ' says that nobody reads it by itself')
  from partitions as p;

-- ---------------------------------------------------------------------------------------------------------------
-- Doors: what each function of schema api asks for, and where the role must be held
-- ---------------------------------------------------------------------------------------------------------------
-- in a call {x} is the scope's x and %s a brace that opens
create temporary table doors (door text primary key, needs text not null, held text not null, call text not null);
insert into doors (door, needs, held, call) values
  ('accept_weights', 'build', 'project', 'api.accept_weights({proposal}, $$tried$$)'),
  ('apply_pipeline', 'build', 'project', 'api.apply_pipeline({environment}, $$%s"spec": %s"name": "mine"}, "files": %s}, "phases": ["query"]}$$)'),
  ('cancel_run', 'run', 'project', 'api.cancel_run({run}, $$enough$$)'),
  ('cap_allow', 'read', 'project', 'api.cap_allow({environment}, $$query$$)'),
  ('caps_in_use', 'read', 'project', 'api.caps_in_use({environment})'),
  ('change_alert', 'operate', 'project', 'api.change_alert({alert}, $$acknowledged$$)'),
  ('change_backfill', 'operate', 'project', 'api.change_backfill({backfill}, $$paused$$)'),
  ('create_backfill', 'operate', 'project', 'api.create_backfill({environment}, $$%s"pipeline": "ranged", "from": "2026-01-01", "to": "2026-01-03"}$$)'),
  ('create_environment', 'administer', 'project', 'api.create_environment({project}, $$staging$$)'),
  ('create_project', 'administer', 'organization', 'api.create_project({organization}, $$another$$)'),
  ('enqueue_run', 'run', 'project', 'api.enqueue_run({environment}, $$query$$)'),
  ('pause_schedule', 'operate', 'project', 'api.pause_schedule({environment}, $$query$$, $$often$$, $$later$$)'),
  ('plan_backfill', 'read', 'project', 'api.plan_backfill({environment}, $$%s"pipeline": "ranged", "from": "2026-01-01", "to": "2026-01-03"}$$)'),
  ('raise_cap', 'build', 'project', 'api.raise_cap({environment}, $$few$$, 9, interval $$1 hour$$, $$rush$$)'),
  ('remove_cap', 'build', 'project', 'api.remove_cap({environment}, $$few$$)'),
  ('remove_member', 'administer', 'project', 'api.remove_member({project}, gen_random_uuid())'),
  ('remove_organization_member', 'administer', 'organization', 'api.remove_organization_member({organization}, gen_random_uuid())'),
  ('resume_schedule', 'operate', 'project', 'api.resume_schedule({environment}, $$query$$, $$often$$)'),
  ('retry_run', 'run', 'project', 'api.retry_run({ended})'),
  ('rollback_run', 'build', 'project', 'api.rollback_run({run}, $$wrong$$)'),
  ('set_alert_rule', 'build', 'project', 'api.set_alert_rule({environment}, $$r$$, $$%sRUN_FAILED}$$, $$%s}$$, $$error$$, $$s$$)'),
  ('set_cap', 'build', 'project', 'api.set_cap({environment}, $$%s"name": "one", "kind": "concurrency", "limit": 1}$$)'),
  ('set_member', 'administer', 'project', 'api.set_member({project}, gen_random_uuid(), $$viewer$$)'),
  ('set_organization_member', 'administer', 'organization', 'api.set_organization_member({organization}, gen_random_uuid(), $$viewer$$)'),
  ('set_route', 'build', 'project', 'api.set_route({environment}, $$mail$$, $$%s}$$, $$webhook$$, $$%s}$$)'),
  ('set_trigger_token', 'build', 'project', 'api.set_trigger_token({environment}, $$query$$, $$hook$$, repeat($$0$$, 64))'),
  ('set_weights', 'build', 'project', 'api.set_weights({environment}, $$%s"outcome": 1}$$, $$tried$$)'),
  ('silence', 'operate', 'project', 'api.silence({environment}, $$%s}$$, $$quiet$$, interval $$1 hour$$)'),
  ('what_if_weights', 'read', 'project', 'api.what_if_weights({environment}, $$%s"outcome": 1}$$, interval $$1 day$$)');

-- what people do not do although the control room may: it concerns the whole installation, or comes with a proof of its own
create temporary table not_for_people (name text primary key, reason text not null);
insert into not_for_people (name, reason) values
  ('bundle', 'code is fetched by its digest alone'),
  ('compute_run_score', 'the scorer does it after every run'),
  ('create_organization', 'the installation decides whom it serves'),
  ('drain_executor', 'executors serve every project'),
  ('undrain_executor', 'executors serve every project'),
  ('enqueue_runs', 'batches name several environments'),
  ('fire_webhook_trigger', 'the token is the proof'),
  ('now', 'no state'),
  ('pause', 'stops every project'),
  ('resume', 'starts every project'),
  ('propose_weights', 'the scorer learns; people accept'),
  ('training_runs', 'what the scorer learns from'),
  ('wait_reason', 'shown by api.runs'),
  ('weights_in_force', 'shown by api.weights');

create temporary view doors_there_are as
select p.proname::text as door from pg_catalog.pg_proc as p where p.pronamespace = 'api'::regnamespace;
select is_empty('select door from doors_there_are except select door from doors', 'every function of schema api has a row in the matrix');
select is_empty('select door from doors except select door from doors_there_are', 'the matrix names no function that is gone');
select is_empty($$
  select p.proname from pg_catalog.pg_proc as p
   where p.pronamespace = 'ops'::regnamespace and has_function_privilege('lakehouse_controlroom', p.oid, 'execute')
     and p.proname::text not in (select d.door from doors as d) and p.proname::text not in (select n.name from not_for_people as n)
$$, 'whatever the control room may do, people can do by a door or it is said why not');

create function pg_temp.opened(p_needs text, p_held text, p_role text, p_standing text, p_scope text) returns text
language sql
as $$
  select case
    when p_standing not in ('project', 'organization') or p_scope = 'sibling_organization' then 'NOT_FOUND'
    when p_standing = 'project' and p_held = 'organization' then 'NOT_ALLOWED'
    when p_standing = 'project' and p_scope <> 'own' then 'NOT_FOUND'
    when exists (select 1 from ops.role_permissions as g where g.role = p_role and g.permission = p_needs) then 'rows'
    else 'NOT_ALLOWED'
  end
$$;

create temporary table calls as
select d.door, d.needs, d.held, s.name as scope, 'select 1 from ' || replace(pg_temp.filled(replace(d.call, '%s', '%'), s), '%', '{') as statement
  from doors as d cross join scopes as s;

select is(
  pg_temp.outcome('authenticated', c.user_id, x.statement),
  pg_temp.opened(x.needs, x.held, c.role, c.standing, x.scope),
  format('api.%s: %s, %s, on %s', x.door, c.role, c.standing, x.scope))
  from calls as x cross join callers as c;

select is(pg_temp.outcome('anon', null, x.statement), 'refused', format('api.%s: anonymous, on %s', x.door, x.scope)) from calls as x;

-- why a run waits is told to those who see the run
select is(
  pg_temp.outcome('authenticated', c.user_id, format('select 1 where ops.wait_reason(%L) is not null', s.run)),
  pg_temp.expected('project', 'select', c.standing, s.name),
  format('ops.wait_reason: %s, %s, on %s', c.role, c.standing, s.name))
  from scopes as s cross join callers as c;

select * from finish();
rollback;
