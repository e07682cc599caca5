-- What starts runs without a person: schedules, triggers, backfills; and deadlines, which notice what did not start or end in time.
--
-- Specs are the source: a trigger on ops.pipelines keeps the rows here in step with the bundle that was applied. Cron expressions are
-- computed by the dispatcher; what it computed is accepted only for the very version of the schedule that it read.

-- Every call asks this table for the time before it touches another: from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

-- ---------------------------------------------------------------------------------------------------------------
-- Schedules and deadlines
-- ---------------------------------------------------------------------------------------------------------------
create table ops.schedules (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  pipeline text not null,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  purpose text not null check (purpose in ('start', 'deadline')),
  cron text check (cron <> ''),
  every_seconds integer check (every_seconds between 10 and 31622400),
  timezone text not null,
  params jsonb not null check (jsonb_typeof(params) = 'object'),
  catch_up text not null check (catch_up in ('none', 'latest', 'all')),
  catch_up_runs integer not null check (catch_up_runs between 1 and 1000),
  catch_up_seconds integer not null check (catch_up_seconds between 60 and 2678400),
  within_seconds integer check (within_seconds between 60 and 31622400),
  ticked_until timestamptz not null,
  next_tick_at timestamptz,
  last_tick_at timestamptz,
  last_run_id uuid,
  last_refusal jsonb,
  last_missed_at timestamptz,
  version integer not null default 1,
  paused_at timestamptz,
  paused_by text,
  paused_reason text,
  created_at timestamptz not null default ops.now(),
  updated_at timestamptz not null default ops.now(),
  unique (environment_id, pipeline, name),
  foreign key (environment_id, pipeline) references ops.pipelines (environment_id, name),
  constraint schedules_tick_by_cron_or_interval check ((cron is null) <> (every_seconds is null)),
  constraint deadlines_say_within_what_time check ((purpose = 'deadline') = (within_seconds is not null)),
  constraint pauses_say_who_and_why check (num_nulls(paused_at, paused_by, paused_reason) in (0, 3))
);
create index schedules_by_next_tick on ops.schedules (next_tick_at nulls first) where paused_at is null;
create index schedules_by_last_look on ops.schedules (ticked_until) where paused_at is null;
comment on table ops.schedules is
  'Moments by the clock at which a pipeline starts (purpose start) or must have succeeded within a time (purpose deadline). '
  'Kept in step with the applied spec; the pause and what was ticked survive an apply.';
comment on column ops.schedules.ticked_until is 'Every tick up to here is dealt with; every later one is owed.';
comment on column ops.schedules.next_tick_at is 'The first tick behind ticked_until; null while the dispatcher has not computed it yet.';
comment on column ops.schedules.version is 'Changes with every change of the row: what was computed from an older one is not accepted.';
comment on column ops.schedules.last_refusal is 'Why the last tick started no run: {"code", "message", "at"}; null when it did.';

-- ---------------------------------------------------------------------------------------------------------------
-- Triggers. "after" stays a column of ops.pipelines: any publish of any of them starts the pipeline.
-- ---------------------------------------------------------------------------------------------------------------
create table ops.triggers (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  pipeline text not null,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  kind text not null check (kind in ('fan_in', 'event', 'webhook')),
  upstreams text[] not null,
  event_type text,
  params jsonb not null check (jsonb_typeof(params) = 'object'),
  token_sha256 bytea check (octet_length(token_sha256) = 32),
  token_set_at timestamptz,
  token_set_by text,
  armed_at timestamptz not null,
  last_fired_at timestamptz,
  last_run_id uuid,
  last_refusal jsonb,
  unique (environment_id, pipeline, name),
  foreign key (environment_id, pipeline) references ops.pipelines (environment_id, name),
  constraint fan_ins_wait_for_several check (kind <> 'fan_in' or cardinality(upstreams) >= 2),
  constraint events_name_a_type_and_a_pipeline check ((kind = 'event') = (event_type is not null) and (kind <> 'event' or cardinality(upstreams) = 1)),
  constraint only_webhooks_have_tokens check (token_sha256 is null or kind = 'webhook'),
  constraint tokens_say_who_set_them check (num_nulls(token_sha256, token_set_at, token_set_by) in (0, 3))
);
create unique index triggers_by_token on ops.triggers (token_sha256) where token_sha256 is not null;
create index triggers_on_events on ops.triggers (environment_id, event_type) where kind = 'event';
comment on table ops.triggers is
  'What starts a pipeline beside its schedules and "after". fan_in: all of upstreams published since the last start; event: an event of that type '
  'on a run of the one upstream, from armed_at on; webhook: whoever presents the token, of which only the digest is kept.';

create table ops.trigger_arrivals (
  trigger_id uuid not null references ops.triggers (id) on delete cascade,
  upstream text not null,
  run_id uuid not null references ops.runs (id),
  published_at timestamptz not null,
  primary key (trigger_id, upstream)
);
create index trigger_arrivals_of_a_run on ops.trigger_arrivals (run_id);
comment on table ops.trigger_arrivals is 'Which upstreams of a fan-in have published since it last started its pipeline, by their newest run.';

-- ---------------------------------------------------------------------------------------------------------------
-- Backfills
-- ---------------------------------------------------------------------------------------------------------------
create table ops.backfills (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  pipeline text not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  step text not null check (step in ('hour', 'day', 'month')),
  timezone text not null,
  from_param text not null,
  to_param text,
  params jsonb not null check (jsonb_typeof(params) = 'object'),
  concurrency integer not null check (concurrency between 1 and 1000),
  reverse boolean not null,
  reprocess text not null check (reprocess in ('none', 'failed', 'all')),
  priority smallint not null,
  state text not null default 'running' check (state in ('running', 'paused', 'succeeded', 'failed', 'canceled')),
  wait_reason jsonb,
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  changed_by text,
  changed_reason text,
  foreign key (environment_id, pipeline) references ops.pipelines (environment_id, name),
  constraint backfills_end_after_they_start check (starts_at < ends_at),
  constraint ended_backfills_have_an_end check ((state in ('succeeded', 'failed', 'canceled')) = (finished_at is not null))
);
create index backfills_newest_first on ops.backfills (environment_id, created_at desc);
create index backfills_of_a_pipeline on ops.backfills (environment_id, pipeline);
create index backfills_under_way on ops.backfills (created_at) where state = 'running';
comment on table ops.backfills is
  'A range of time worked through in partitions, some at a time, behind live work. wait_reason: why no further partition starts, when a cap '
  'refuses them; changed_by and changed_reason: who paused, resumed or canceled it.';

create table ops.backfill_partitions (
  backfill_id uuid not null references ops.backfills (id) on delete cascade,
  ordinal integer not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  state text not null check (state in ('pending', 'skipped', 'started', 'succeeded', 'failed', 'canceled')),
  try integer not null default 1,
  run_id uuid references ops.runs (id),
  primary key (backfill_id, ordinal),
  constraint started_partitions_have_a_run check (state not in ('started', 'succeeded', 'failed') or run_id is not null)
);
create index backfill_partitions_started on ops.backfill_partitions (backfill_id) where state = 'started';
create index backfill_partitions_pending on ops.backfill_partitions (backfill_id, ordinal) where state = 'pending';
create index backfill_partitions_of_a_run on ops.backfill_partitions (run_id) where run_id is not null;
comment on table ops.backfill_partitions is 'The parts of a backfill''s range and the run of each. skipped: processed before, by the rule of reprocess.';

-- ---------------------------------------------------------------------------------------------------------------
-- Starting what may be refused
-- ---------------------------------------------------------------------------------------------------------------
create function ops.try_enqueue(p_run jsonb, out run_id uuid, out refusal jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_code text;
  v_message text;
begin
  select e.run_id into run_id from ops.enqueue_runs(jsonb_build_array(p_run)) as e;
exception when others then
  if sqlstate not like 'PT%' then
    raise;
  end if;
  get stacked diagnostics v_code = pg_exception_detail, v_message = message_text;
  refusal := jsonb_build_object('code', v_code, 'message', v_message, 'at', ops.now());
end
$$;
comment on function ops.try_enqueue is
  'Enqueues one run as ops.enqueue_runs takes it, or says why it was refused (a full cap, for example), so that what asked for it goes on. '
  'Callers: functions here.';

-- ---------------------------------------------------------------------------------------------------------------
-- In step with the applied specs
-- ---------------------------------------------------------------------------------------------------------------
create function ops.check_time_zone(p_zone text) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_zone <> 'UTC' and not exists (select 1 from pg_catalog.pg_timezone_names as z where z.name = p_zone) then
    perform ops.refuse('INVALID_INPUT', 400, format('%L is not a time zone', p_zone), 'Use an IANA name such as UTC or Europe/Brussels.');
  end if;
end
$$;
comment on function ops.check_time_zone is 'Raises INVALID_INPUT for what is not an IANA time zone. Callers: functions here.';

create function ops.keep_schedules(p_environment uuid, p_pipeline text, p_spec jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_wanted jsonb;
begin
  v_wanted := coalesce(nullif(p_spec -> 'schedules', 'null'), '{}')
    || case when jsonb_typeof(p_spec -> 'schedule') = 'object' then jsonb_build_object('main', p_spec -> 'schedule') else '{}' end
    || case when jsonb_typeof(p_spec -> 'expected_by') = 'object' then jsonb_build_object('expected_by', p_spec -> 'expected_by') else '{}' end;
  perform ops.check_time_zone(z.zone) from (select distinct coalesce(w.value ->> 'timezone', 'UTC') as zone from jsonb_each(v_wanted) as w) as z;
  delete from ops.schedules as s where s.environment_id = p_environment and s.pipeline = p_pipeline and not v_wanted ? s.name;
  insert into ops.schedules as s (
    environment_id, pipeline, name, purpose, cron, every_seconds, timezone, params, catch_up, catch_up_runs, catch_up_seconds, within_seconds,
    ticked_until
  )
  select p_environment, p_pipeline, w.key, case w.key when 'expected_by' then 'deadline' else 'start' end,
         w.value ->> 'cron', (w.value ->> 'every_seconds')::integer, coalesce(w.value ->> 'timezone', 'UTC'),
         coalesce(nullif(w.value -> 'params', 'null'), '{}'), coalesce(w.value ->> 'catch_up', 'latest'),
         coalesce((w.value ->> 'catch_up_runs')::integer, 24),
         coalesce((w.value ->> 'catch_up_seconds')::integer, case w.key when 'expected_by' then 2678400 else 86400 end),
         (w.value ->> 'within_seconds')::integer, v_now
    from jsonb_each(v_wanted) as w
      on conflict on constraint schedules_environment_id_pipeline_name_key do update
     set cron = excluded.cron, every_seconds = excluded.every_seconds, timezone = excluded.timezone, params = excluded.params,
         catch_up = excluded.catch_up, catch_up_runs = excluded.catch_up_runs, catch_up_seconds = excluded.catch_up_seconds,
         within_seconds = excluded.within_seconds, version = s.version + 1, updated_at = v_now,
         -- other moments are owed from now on only; the same ones stay owed from where they were
         ticked_until = case when (s.cron, s.every_seconds, s.timezone) is not distinct from (excluded.cron, excluded.every_seconds, excluded.timezone)
                             then s.ticked_until else v_now end,
         next_tick_at = case when (s.cron, s.every_seconds, s.timezone) is not distinct from (excluded.cron, excluded.every_seconds, excluded.timezone)
                             then s.next_tick_at end;
end
$$;
comment on function ops.keep_schedules is
  'Makes a pipeline''s schedules and deadline what its spec says; pauses and what was ticked stay. Raises INVALID_INPUT. Callers: ops.keep_time.';

create function ops.keep_triggers(p_environment uuid, p_pipeline text, p_spec jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_wanted jsonb := coalesce(nullif(p_spec -> 'triggers', 'null'), '[]');
begin
  delete from ops.triggers as t
   where t.environment_id = p_environment and t.pipeline = p_pipeline
     and not exists (
       select 1 from jsonb_array_elements(v_wanted) as w (value)
        where w.value ->> 'name' = t.name and w.value ->> 'kind' = t.kind
          and w.value ->> 'event' is not distinct from t.event_type);
  insert into ops.triggers as t (environment_id, pipeline, name, kind, upstreams, event_type, params, armed_at)
  select p_environment, p_pipeline, w.value ->> 'name', w.value ->> 'kind',
         array(select u.value from jsonb_array_elements_text(
                 case w.value ->> 'kind' when 'fan_in' then w.value -> 'pipelines' when 'event' then jsonb_build_array(w.value -> 'pipeline') else '[]' end
               ) as u (value) order by u.value),
         w.value ->> 'event', coalesce(nullif(w.value -> 'params', 'null'), '{}'), v_now
    from jsonb_array_elements(v_wanted) as w (value)
      on conflict on constraint triggers_environment_id_pipeline_name_key do update
     set upstreams = excluded.upstreams, params = excluded.params;
  delete from ops.trigger_arrivals as a using ops.triggers as t
   where t.environment_id = p_environment and t.pipeline = p_pipeline and a.trigger_id = t.id and a.upstream <> all (t.upstreams);
  if not exists (select 1 from ops.triggers as t where t.kind = 'event') then
    delete from ops.cursors as c where c.consumer = 'triggers';
  else
    -- the first trigger on events begins to read here, not at the beginning of the log
    insert into ops.cursors (consumer, xid) values ('triggers', pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())) on conflict do nothing;
  end if;
end
$$;
comment on function ops.keep_triggers is 'Makes a pipeline''s triggers what its spec says; tokens and arrivals stay. Callers: ops.keep_time.';

create function ops.cycle_through(p_environment uuid, p_pipeline text) returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_reached jsonb := '{}';  -- pipeline -> the one that starts it, on a shortest way from p_pipeline
  v_front text[] := array[p_pipeline];
  v_steps jsonb;
  v_cycle text[];
begin
  while cardinality(v_front) > 0 loop
    select coalesce(jsonb_object_agg(x.downstream, x.upstream), '{}') into v_steps
      from (
        select p.name as downstream, u.name as upstream from ops.pipelines as p cross join lateral unnest(p.after) as u (name)
         where p.environment_id = p_environment
        union all
        select t.pipeline, u.name from ops.triggers as t cross join lateral unnest(t.upstreams) as u (name) where t.environment_id = p_environment
      ) as x
     where x.upstream = any (v_front) and not v_reached ? x.downstream;
    v_reached := v_reached || v_steps;
    if v_steps ? p_pipeline then
      v_cycle := array[p_pipeline];
      loop
        v_cycle := (v_reached ->> v_cycle[1]) || v_cycle;
        exit when v_cycle[1] = p_pipeline;
      end loop;
      return v_cycle;
    end if;
    v_front := array(select jsonb_object_keys(v_steps));
  end loop;
  return null;
end
$$;
comment on function ops.cycle_through is
  'Pipelines by which a pipeline would start itself again, from it to it, or null. Callers: ops.keep_time.';

create function ops.keep_time() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_spec jsonb := (select b.spec from ops.bundles as b where b.digest = new.bundle);
  v_cycle text[];
begin
  perform ops.keep_schedules(new.environment_id, new.name, v_spec);
  if cardinality(new.after) > 0 or jsonb_typeof(v_spec -> 'triggers') = 'array' or exists (
    select 1 from ops.triggers as t where t.environment_id = new.environment_id and t.pipeline = new.name)
  then
    -- two halves of a ring, applied at once by two people, must see each other
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.triggers', 0));
    perform ops.keep_triggers(new.environment_id, new.name, v_spec);
    v_cycle := ops.cycle_through(new.environment_id, new.name);
    if v_cycle is not null then
      perform ops.refuse('INVALID_INPUT', 400, format('pipelines would start each other for ever: %s', array_to_string(v_cycle, ' -> ')),
                         'Take one of them out of `after` or `triggers`.');
    end if;
  end if;
  perform ops.ring_for_work();
  return null;
end
$$;
comment on function ops.keep_time is 'Trigger that keeps schedules, deadlines and triggers in step with a pipeline''s applied spec. Raises INVALID_INPUT for a cycle.';
create trigger pipelines_keep_their_time after insert or update of bundle on ops.pipelines
  for each row execute function ops.keep_time();

select ops.keep_schedules(p.environment_id, p.name, b.spec) from ops.pipelines as p join ops.bundles as b on b.digest = p.bundle;

-- ---------------------------------------------------------------------------------------------------------------
-- Ticks: callers are the dispatchers
-- ---------------------------------------------------------------------------------------------------------------
create function ops.due_schedules(p_limit integer default 100)
returns table (
  id uuid, pipeline text, name text, purpose text, cron text, every_seconds integer, timezone text, catch_up text, catch_up_runs integer,
  catch_up_seconds integer, ticked_until timestamptz, version integer, now timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  -- The clock was set back: what it showed before must not silence a schedule for as long. A tick's run has a key, so none starts twice.
  update ops.schedules as s set ticked_until = v_now, next_tick_at = null, version = s.version + 1
   where s.paused_at is null and s.ticked_until > v_now + interval '1 minute';
  return query
  select s.id, s.pipeline, s.name, s.purpose, s.cron, s.every_seconds, s.timezone, s.catch_up, s.catch_up_runs, s.catch_up_seconds,
         s.ticked_until, s.version, v_now
    from ops.schedules as s
   where s.paused_at is null and (s.next_tick_at is null or s.next_tick_at <= v_now)
   order by s.next_tick_at nulls first
   limit p_limit;
end
$$;
comment on function ops.due_schedules is
  'Schedules and deadlines with a tick that is owed by now, or whose next tick is not known yet; where the clock was set back they begin anew from '
  'now. Callers: dispatcher.';

create function ops.fire_ticks(p_schedule uuid, p_version integer, p_ticks timestamptz[], p_until timestamptz, p_next timestamptz)
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_schedule ops.schedules;
  v_paused boolean;
  v_tick timestamptz;
  v_answer record;
  v_run uuid;
  v_refusal jsonb;
  v_started integer := 0;
begin
  select s.* into v_schedule from ops.schedules as s
   where s.id = p_schedule and s.version = p_version and s.paused_at is null for update;
  if not found then
    return null;
  end if;
  if p_until < v_schedule.ticked_until or p_next <= p_until
    or exists (select 1 from unnest(p_ticks) as t (at) where t.at <= v_schedule.ticked_until or t.at > p_until or t.at > ops.now())
  then
    perform ops.refuse('INVALID_INPUT', 400, format('these are no ticks owed by schedule %s of %s', v_schedule.name, v_schedule.pipeline),
                       'Ask ops.due_schedules again and compute anew.');
  end if;
  v_paused := (select p.paused from ops.pipelines as p where p.environment_id = v_schedule.environment_id and p.name = v_schedule.pipeline);
  for v_tick in select t.at from unnest(p_ticks) as t (at) order by t.at loop
    exit when v_paused;
    if v_schedule.purpose = 'deadline' then
      if v_tick is distinct from v_schedule.last_missed_at and ops.check_deadline(v_schedule, v_tick) then
        v_schedule.last_missed_at := v_tick;
      end if;
      continue;
    end if;
    -- due at the tick, so that runs caught up on go in the order of their ticks
    select a.run_id, a.refusal into v_answer
      from ops.try_enqueue(jsonb_build_object(
        'environment_id', v_schedule.environment_id, 'pipeline', v_schedule.pipeline, 'params', v_schedule.params, 'trigger', 'schedule',
        'due_at', v_tick, 'idempotency_key',
        format('tick:%s:%s:%s', v_schedule.pipeline, v_schedule.name, to_char(v_tick at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))) as a;
    v_run := coalesce(v_answer.run_id, v_run);
    v_refusal := v_answer.refusal;
    v_started := v_started + (v_answer.run_id is not null)::integer;
  end loop;
  update ops.schedules as s
     set ticked_until = p_until, next_tick_at = coalesce(p_next, 'infinity'), version = s.version + 1, last_missed_at = v_schedule.last_missed_at,
         last_tick_at = coalesce((select max(t.at) from unnest(p_ticks) as t (at)), s.last_tick_at),
         last_run_id = coalesce(v_run, s.last_run_id), last_refusal = case when cardinality(p_ticks) > 0 then v_refusal else s.last_refusal end
   where s.id = p_schedule;
  return v_started;
end
$$;
comment on function ops.fire_ticks is
  'Deals with the ticks of a schedule up to p_until: each starts one run under a key made of its moment, or checks a deadline. p_version: as read; '
  'null answers that the schedule changed or was paused meanwhile, and nothing was done. A refused run leaves last_refusal. Callers: dispatcher.';

create function ops.check_deadline(p_schedule ops.schedules, p_deadline timestamptz) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_since timestamptz := p_deadline - make_interval(secs => p_schedule.within_seconds);
  v_run uuid;
  v_fact jsonb;
begin
  if exists (
    select 1 from ops.runs as r
     where r.environment_id = p_schedule.environment_id and r.pipeline = p_schedule.pipeline and r.created_at > v_since - interval '7 days'
       and r.state = 'succeeded' and r.finished_at > v_since and r.finished_at <= p_deadline)
  then
    return false;
  end if;
  select r.id into v_run from ops.runs as r
   where r.environment_id = p_schedule.environment_id and r.pipeline = p_schedule.pipeline order by r.created_at desc limit 1;
  v_fact := jsonb_build_object(
    'pipeline', p_schedule.pipeline, 'deadline', p_deadline, 'within_seconds', p_schedule.within_seconds,
    'message', format('no run succeeded between %s and %s UTC', to_char(v_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                      to_char(p_deadline at time zone 'UTC', 'YYYY-MM-DD HH24:MI')));
  if v_run is null then
    -- events belong to runs: one that never was carries the fact that there is none
    insert into ops.runs (environment_id, pipeline, bundle, phases, state, max_attempts, max_losses, event_seq, due_at, created_at, finished_at, cancel, trigger)
    select p.environment_id, p.name, p.bundle, p.phases, 'canceled', p.max_attempts, p.max_losses, 3, v_now, v_now, v_now, 'confirmed', 'deadline'
      from ops.pipelines as p where p.environment_id = p_schedule.environment_id and p.name = p_schedule.pipeline
    returning id into v_run;
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    values (v_run, 1, 0, 'RUN_CREATED', v_now, jsonb_build_object('pipeline', p_schedule.pipeline, 'trigger', 'deadline')),
           (v_run, 2, 0, 'DEADLINE_MISSED', v_now, v_fact),
           (v_run, 3, 0, 'RUN_CANCELED', v_now, jsonb_build_object('pipeline', p_schedule.pipeline, 'cancel', 'confirmed'));
  else
    with told as (
      update ops.runs as r set event_seq = r.event_seq + 1 where r.id = v_run returning r.id, r.event_seq, r.attempt
    )
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select t.id, t.event_seq, t.attempt, 'DEADLINE_MISSED', v_now, v_fact from told as t;
  end if;
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return true;
end
$$;
comment on function ops.check_deadline is
  'Whether a deadline was missed: no run of the pipeline succeeded within the time before it. A miss is the event DEADLINE_MISSED on the '
  'pipeline''s latest run, or on one made for it when there is none. Callers: ops.fire_ticks, once per deadline.';

create function ops.block_schedule(p_schedule uuid, p_version integer, p_fault text) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.schedules as s set paused_at = ops.now(), paused_by = 'dispatcher', paused_reason = p_fault, version = s.version + 1
   where s.id = p_schedule and s.version = p_version and s.paused_at is null;
  return found;
end
$$;
comment on function ops.block_schedule is 'Pauses a schedule whose moments cannot be computed, with the fault as reason. Callers: dispatcher.';

create function ops.pause_schedule(p_environment uuid, p_pipeline text, p_name text, p_by text, p_reason text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_reason = '' then
    perform ops.refuse('INVALID_INPUT', 400, 'a pause needs a reason', 'Say why; whoever wonders reads it.');
  end if;
  update ops.schedules as s set paused_at = ops.now(), paused_by = p_by, paused_reason = p_reason, version = s.version + 1, updated_at = ops.now()
   where s.environment_id = p_environment and s.pipeline = p_pipeline and s.name = p_name;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('pipeline %s has no schedule %s', p_pipeline, p_name), '`lakehouse schedule list` shows what there is.');
  end if;
end
$$;
comment on function ops.pause_schedule is 'No ticks until it is resumed; those meanwhile are never caught up on. Raises NOT_FOUND. Callers: CLI, control room.';

create function ops.resume_schedule(p_environment uuid, p_pipeline text, p_name text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.schedules as s
     set paused_at = null, paused_by = null, paused_reason = null, version = s.version + 1, updated_at = ops.now(),
         ticked_until = case when s.paused_at is null then s.ticked_until else ops.now() end,
         next_tick_at = case when s.paused_at is null then s.next_tick_at end
   where s.environment_id = p_environment and s.pipeline = p_pipeline and s.name = p_name;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('pipeline %s has no schedule %s', p_pipeline, p_name), '`lakehouse schedule list` shows what there is.');
  end if;
  perform ops.ring_for_work();
end
$$;
comment on function ops.resume_schedule is 'Ticks again from now on. Raises NOT_FOUND. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Triggers on publish, event and webhook
-- ---------------------------------------------------------------------------------------------------------------
create function ops.start_followers(p_run uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_run ops.runs;
  v_next record;
  v_answer record;
begin
  select r.* into v_run from ops.runs as r where r.id = p_run;
  if v_run.params ->> 'chain' is not distinct from 'false' then
    return;
  end if;
  for v_next in
    select p.name, format('after:%s:%s', p_run, p.name) as key, null::uuid as trigger_id, '{}'::jsonb as params
      from ops.pipelines as p where p.environment_id = v_run.environment_id and v_run.pipeline = any (p.after) and not p.paused
    union all
    select t.pipeline, format('fan_in:%s:%s', t.id, p_run), t.id, t.params
      from ops.triggers as t
     where t.kind = 'fan_in' and t.environment_id = v_run.environment_id and v_run.pipeline = any (t.upstreams)
     order by 3 nulls first, 1  -- always in the same order: what locks several triggers never meets another halfway
  loop
    continue when v_next.trigger_id is not null and not ops.arrive(v_next.trigger_id, v_run.pipeline, p_run, v_now);
    select a.run_id, a.refusal into v_answer
      from ops.try_enqueue(jsonb_build_object(
        'environment_id', v_run.environment_id, 'pipeline', v_next.name, 'params', v_next.params, 'idempotency_key', v_next.key,
        'priority', v_run.priority, 'parent_run_id', p_run, 'trigger', 'publish')) as a;
    update ops.triggers as t set last_fired_at = v_now, last_run_id = coalesce(v_answer.run_id, t.last_run_id), last_refusal = v_answer.refusal
     where t.id = v_next.trigger_id;
    if v_answer.refusal is not null then
      with told as (
        update ops.runs as r set event_seq = r.event_seq + 1 where r.id = p_run returning r.event_seq, r.attempt
      )
      insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
      select p_run, t.event_seq, t.attempt, 'TRIGGER_REFUSED', v_now, v_answer.refusal || jsonb_build_object('pipeline', v_next.name) from told as t;
    end if;
  end loop;
end
$$;
comment on function ops.start_followers is
  'Starts what follows a publish: pipelines that come after the run''s, and fan-ins that waited for it last. What a cap refuses is told by the '
  'event TRIGGER_REFUSED; the publish stands. A run with chain=false starts nothing. Callers: ops.publish_run.';

create function ops.arrive(p_trigger uuid, p_upstream text, p_run uuid, p_now timestamptz) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- one upstream at a time: of two that publish at once, the second sees the first's arrival
  perform 1 from ops.triggers as t where t.id = p_trigger for update;
  insert into ops.trigger_arrivals as a (trigger_id, upstream, run_id, published_at) values (p_trigger, p_upstream, p_run, p_now)
      on conflict (trigger_id, upstream) do update set run_id = excluded.run_id, published_at = excluded.published_at;
  if exists (
    select 1 from ops.triggers as t
      join ops.pipelines as p on p.environment_id = t.environment_id and p.name = t.pipeline
     where t.id = p_trigger
       and (p.paused or exists (
         select 1 from unnest(t.upstreams) as u (name)
          where not exists (select 1 from ops.trigger_arrivals as a where a.trigger_id = t.id and a.upstream = u.name))))
  then
    return false;
  end if;
  delete from ops.trigger_arrivals as a where a.trigger_id = p_trigger;
  return true;
end
$$;
comment on function ops.arrive is
  'Notes that an upstream of a fan-in published; true, once, when all have since it last started. Callers: ops.start_followers.';

create or replace function ops.publish_run(p_run uuid, p_token uuid, p_tables jsonb, p_states jsonb) returns text
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
    perform ops.refuse('PUBLISH_CONFLICT', 409, format('table %s was published by another run meanwhile', v_stuck),
                       'Nothing was changed. The run starts over while attempts are left; then `run retry` starts it.');
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
  perform ops.start_followers(p_run);
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return 'published';
end
$$;

create function ops.fire_event_triggers(p_limit integer default 1000, out read integer, out started integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_cursor ops.cursors;
  v_last record;
  v_match record;
  v_answer record;
begin
  read := 0;
  started := 0;
  select c.* into v_cursor from ops.cursors as c where c.consumer = 'triggers' for update skip locked;
  if not found then
    return;
  end if;
  -- as ops.read_events: only what is older than every open transaction, so that nothing can appear behind the cursor
  select count(*) as events, (array_agg(b.xid order by b.xid desc, b.seq desc))[1] as xid, (array_agg(b.seq order by b.xid desc, b.seq desc))[1] as seq
    into v_last
    from (
      select e.xid, e.seq from ops.run_events as e
       where (e.xid, e.seq) > (v_cursor.xid, v_cursor.seq) and e.xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
       order by e.xid, e.seq limit p_limit
    ) as b;
  if v_last.events = 0 then
    return;
  end if;
  for v_match in
    select t.id, t.environment_id, t.pipeline, t.params, e.run_id, e.run_seq, r.priority
      from ops.run_events as e
      join ops.triggers as t on t.kind = 'event' and t.event_type = e.type and e.at >= t.armed_at
      join ops.runs as r on r.id = e.run_id and r.environment_id = t.environment_id and r.pipeline = t.upstreams[1]
      join ops.pipelines as p on p.environment_id = t.environment_id and p.name = t.pipeline and not p.paused
     where (e.xid, e.seq) > (v_cursor.xid, v_cursor.seq) and (e.xid, e.seq) <= (v_last.xid, v_last.seq)
     order by e.xid, e.seq, t.id
  loop
    select a.run_id, a.refusal into v_answer
      from ops.try_enqueue(jsonb_build_object(
        'environment_id', v_match.environment_id, 'pipeline', v_match.pipeline, 'params', v_match.params, 'priority', v_match.priority,
        'idempotency_key', format('event:%s:%s:%s', v_match.id, v_match.run_id, v_match.run_seq), 'parent_run_id', v_match.run_id,
        'trigger', 'event')) as a;
    update ops.triggers as t set last_fired_at = ops.now(), last_run_id = coalesce(v_answer.run_id, t.last_run_id), last_refusal = v_answer.refusal
     where t.id = v_match.id;
    started := started + (v_answer.run_id is not null)::integer;
  end loop;
  update ops.cursors as c set xid = v_last.xid, seq = v_last.seq, updated_at = ops.now() where c.consumer = 'triggers';
  read := v_last.events;
end
$$;
comment on function ops.fire_event_triggers is
  'Follows the event log for triggers on events: each matching event starts one run, in the transaction that moves the cursor. Answers how many '
  'events were read and runs started; nothing while another dispatcher does it. Callers: dispatcher.';

create function ops.set_trigger_token(p_environment uuid, p_pipeline text, p_name text, p_sha256 text, p_by text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.triggers as t set token_sha256 = decode(p_sha256, 'hex'), token_set_at = ops.now(), token_set_by = p_by
   where t.environment_id = p_environment and t.pipeline = p_pipeline and t.name = p_name and t.kind = 'webhook';
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('pipeline %s has no webhook trigger %s', p_pipeline, p_name), '`lakehouse trigger list` shows what there is.');
  end if;
end
$$;
comment on function ops.set_trigger_token is
  'Gives a webhook trigger a new secret, by its SHA-256 in hex; the old one ends at once. Raises NOT_FOUND. Callers: CLI.';

create function ops.params_fault(p_pipeline text, p_spec jsonb, p_given jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when octet_length(p_given::text) > 1000000
    then format('parameters have %s bytes: at most 1000000 are allowed', octet_length(p_given::text))
  else (
    select case
             when d.declared is null then format('pipeline %s has no parameter %L', p_pipeline, left(g.key, 60))
             else format('%s is not %s, as parameter %s of pipeline %s wants', left(g.value::text, 60),
                         case d.declared ->> 'type' when 'string' then coalesce('one of ' || (d.declared ->> 'enum'), 'text')
                              when 'date' then 'a date (YYYY-MM-DD)' when 'integer' then 'an integer it allows' else 'true or false' end,
                         g.key, p_pipeline)
           end
      from jsonb_each(p_given) as g
      cross join lateral (
        select case g.key when 'chain' then '{"type": "boolean"}' else nullif(p_spec -> 'params', 'null') -> g.key end as declared) as d
     where d.declared is null or (jsonb_typeof(g.value) <> 'null' and not coalesce(
       case d.declared ->> 'type'
         when 'string' then jsonb_typeof(g.value) = 'string' and (coalesce(jsonb_typeof(d.declared -> 'enum'), 'null') = 'null' or d.declared -> 'enum' @> g.value)
         when 'date' then (g.value #>> '{}') ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' and jsonb_typeof(g.value) = 'string'
         when 'integer' then jsonb_typeof(g.value) = 'number' and g.value::text ~ '^-?[0-9]{1,19}$'
           and (g.value::text)::numeric between coalesce((d.declared ->> 'minimum')::numeric, '-infinity') and coalesce((d.declared ->> 'maximum')::numeric, 'infinity')
         else jsonb_typeof(g.value) = 'boolean' end, false))
     order by g.key
     limit 1) end
$$;
comment on function ops.params_fault is
  'What is wrong with the first of given parameters that a pipeline does not take so, or null. Callers: functions here.';

create function ops.fire_webhook_trigger(p_token text, p_params jsonb default '{}', p_idempotency_key text default null)
returns table (run_id uuid, created boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_trigger ops.triggers;
  v_spec jsonb;
  v_paused boolean;
  v_run record;
  v_fault text;
begin
  select t.* into v_trigger from ops.triggers as t where t.token_sha256 = sha256(convert_to(p_token, 'UTF8')) and t.kind = 'webhook';
  if not found then
    perform ops.refuse('NOT_ALLOWED', 403, 'this token starts nothing', '`lakehouse trigger token PIPELINE NAME` makes a new one.');
  end if;
  select b.spec, p.paused into v_spec, v_paused
    from ops.pipelines as p join ops.bundles as b on b.digest = p.bundle
   where p.environment_id = v_trigger.environment_id and p.name = v_trigger.pipeline;
  if v_paused then
    perform ops.refuse('CONFLICT', 409, format('pipeline %s is paused', v_trigger.pipeline), 'Send it again when the pipeline is resumed.');
  end if;
  if jsonb_typeof(p_params) <> 'object' then
    perform ops.refuse('INVALID_INPUT', 400, 'parameters are not a JSON object', 'Send {"params": {"name": value}}, or nothing.');
  end if;
  v_fault := ops.params_fault(v_trigger.pipeline, v_spec, p_params);
  if v_fault is not null then
    perform ops.refuse('INVALID_INPUT', 400, v_fault, format('`lakehouse pipeline show %s` lists its parameters.', v_trigger.pipeline));
  end if;
  select e.run_id, e.created into v_run
    from ops.enqueue_run(v_trigger.environment_id, v_trigger.pipeline, v_trigger.params || p_params,
                         'webhook:' || v_trigger.id || ':' || p_idempotency_key, 0, null, null, 'webhook') as e;
  update ops.triggers as t set last_fired_at = ops.now(), last_run_id = v_run.run_id, last_refusal = null where t.id = v_trigger.id;
  return query select v_run.run_id, v_run.created;
end
$$;
comment on function ops.fire_webhook_trigger is
  'Starts the pipeline of the webhook trigger that the token belongs to. Raises NOT_ALLOWED for an unknown token, INVALID_INPUT for a parameter the '
  'pipeline does not take, CAP_EXCEEDED and IDEMPOTENCY_CONFLICT as ops.enqueue_run. Callers: control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Backfills
-- ---------------------------------------------------------------------------------------------------------------
create function ops.backfill_ranges(p_from timestamp, p_to timestamp, p_step text, p_zone text)
returns table (ordinal integer, starts_at timestamptz, ends_at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  -- hours are counted on the clock of the world, so that the hours of a change of time come once each; days and months on the wall's
  select row_number() over (order by h.at)::integer, h.at, h.at + interval '1 hour'
    from generate_series(p_from at time zone p_zone, (p_to at time zone p_zone) - interval '1 hour', interval '1 hour') as h (at)
   where p_step = 'hour'
  union all
  select row_number() over (order by d.at)::integer, d.at at time zone p_zone, (d.at + ('1 ' || p_step)::interval) at time zone p_zone
    from generate_series(p_from, p_to - ('1 ' || p_step)::interval, ('1 ' || p_step)::interval) as d (at)
   where p_step <> 'hour'
$$;
comment on function ops.backfill_ranges is 'The partitions of a range in local time; both ends lie on borders of the step. Callers: ops.plan_backfill.';

create function ops.range_value(p_type text, p_at timestamptz, p_zone text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case p_type when 'date' then to_char(p_at at time zone p_zone, 'YYYY-MM-DD')
                     else to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end
$$;
comment on function ops.range_value is 'A border of a partition as a parameter of that type: a day in the zone, or a moment in UTC. Callers: functions here.';

create function ops.check_backfill(p_environment uuid, p_request jsonb) returns ops.backfills
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan ops.backfills;
  v_spec jsonb;
  v_from timestamp;
  v_to timestamp;
  v_fault text;
begin
  v_plan.environment_id := p_environment;
  v_plan.pipeline := p_request ->> 'pipeline';
  v_plan.step := coalesce(p_request ->> 'step', 'day');
  v_plan.timezone := coalesce(p_request ->> 'timezone', 'UTC');
  v_plan.params := '{"chain": false}'::jsonb || coalesce(nullif(p_request -> 'params', 'null'), '{}');
  v_plan.concurrency := coalesce((p_request ->> 'concurrency')::integer, 1);
  v_plan.reverse := coalesce((p_request ->> 'reverse')::boolean, false);
  v_plan.reprocess := coalesce(p_request ->> 'reprocess', 'none');
  v_plan.priority := coalesce((p_request ->> 'priority')::smallint, -100);

  select b.spec into v_spec
    from ops.pipelines as p join ops.bundles as b on b.digest = p.bundle where p.environment_id = p_environment and p.name = v_plan.pipeline;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no pipeline %L', v_plan.pipeline), '`lakehouse pipeline list` shows what there is.');
  end if;
  v_plan.from_param := v_spec -> 'backfill' ->> 'from';
  v_plan.to_param := v_spec -> 'backfill' ->> 'to';
  if v_plan.from_param is null then
    perform ops.refuse('INVALID_INPUT', 400, format('pipeline %s does not say which of its parameters take a range of time', v_plan.pipeline),
                       'Add `backfill: {from: PARAMETER, to: PARAMETER}` to its spec and apply it.');
  end if;
  perform ops.check_time_zone(v_plan.timezone);
  if not (p_request ->> 'from') ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$'
    or not (p_request ->> 'to') ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$'
    or p_request ->> 'from' is null or p_request ->> 'to' is null
  then
    perform ops.refuse('INVALID_INPUT', 400, 'a range is two local times such as 2026-01-01 and 2026-02-01', 'The time zone is given apart from them.');
  end if;
  v_from := (p_request ->> 'from')::timestamp;
  v_to := (p_request ->> 'to')::timestamp;
  v_fault := case
    when v_plan.step not in ('hour', 'day', 'month') then format('%L is not a step: hour, day or month', v_plan.step)
    when v_from >= v_to then format('the range ends at %s, which is not after its start %s', v_to, v_from)
    when date_trunc(v_plan.step, v_from) <> v_from then format('the range starts within a %s: %s', v_plan.step, v_from)
    when date_trunc(v_plan.step, v_to) <> v_to then format('the range ends within a %s: %s', v_plan.step, v_to)
    when v_to - v_from > 10000 * case v_plan.step when 'hour' then interval '1 hour' else interval '31 days' end
      or (v_plan.step = 'day' and v_to - v_from > interval '10000 days') then 'the range has more than 10000 partitions'
    when v_plan.step = 'hour' and v_spec -> 'params' -> v_plan.from_param ->> 'type' = 'date'
      then format('parameter %s is a date: it cannot tell hours apart', v_plan.from_param)
    when v_plan.concurrency not between 1 and 1000 then format('%s runs at a time: from 1 to 1000 are allowed', v_plan.concurrency)
    when v_plan.reprocess not in ('none', 'failed', 'all') then format('%L is not a rule of reprocessing: none, failed or all', v_plan.reprocess)
    else ops.params_fault(v_plan.pipeline, v_spec, v_plan.params)
  end;
  if v_fault is not null then
    perform ops.refuse('INVALID_INPUT', 400, v_fault, '`lakehouse backfill create --help` shows what is allowed.');
  end if;
  v_plan.starts_at := v_from at time zone v_plan.timezone;
  v_plan.ends_at := v_to at time zone v_plan.timezone;
  return v_plan;
end
$$;
comment on function ops.check_backfill is 'A request as a backfill without id and state. Raises NOT_FOUND, INVALID_INPUT. Callers: functions here.';

create function ops.backfill_parts(p_plan ops.backfills)
returns table (ordinal integer, starts_at timestamptz, ends_at timestamptz, range jsonb, wanted boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_params jsonb := (
    select b.spec -> 'params' from ops.pipelines as p join ops.bundles as b on b.digest = p.bundle
     where p.environment_id = p_plan.environment_id and p.name = p_plan.pipeline);
begin
  return query
  with part as materialized (
    select x.ordinal, x.starts_at, x.ends_at,
           jsonb_build_object(p_plan.from_param, ops.range_value(v_params -> p_plan.from_param ->> 'type', x.starts_at, p_plan.timezone))
           || case when p_plan.to_param is null then '{}' else
                jsonb_build_object(p_plan.to_param, ops.range_value(v_params -> p_plan.to_param ->> 'type', x.ends_at, p_plan.timezone)) end as range
      from ops.backfill_ranges(p_plan.starts_at at time zone p_plan.timezone, p_plan.ends_at at time zone p_plan.timezone, p_plan.step, p_plan.timezone) as x
  ),
  before as materialized (
    select distinct on (1, 2) r.params ->> p_plan.from_param as from_value, r.params ->> p_plan.to_param as to_value, r.state
      from ops.runs as r
     where p_plan.reprocess <> 'all' and r.environment_id = p_plan.environment_id and r.pipeline = p_plan.pipeline and r.params ? p_plan.from_param
     order by 1, 2, r.created_at desc
  )
  select x.ordinal, x.starts_at, x.ends_at, x.range,
         b.state is null or (p_plan.reprocess = 'failed' and b.state in ('failed', 'canceled'))
    from part as x
    left join before as b
      on b.from_value = x.range ->> p_plan.from_param
     and (p_plan.to_param is null or b.to_value = x.range ->> p_plan.to_param);
end
$$;
comment on function ops.backfill_parts is
  'The partitions of a backfill: their range, the parameters that say it, and whether they are wanted by the rule of reprocessing. Callers: functions here.';

create function ops.plan_backfill(p_environment uuid, p_request jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_plan ops.backfills := ops.check_backfill(p_environment, p_request);
  v_lane integer := ops.lane_of(p_environment, p_request ->> 'pipeline', '{backfill}');  -- before what reads its caps: it may be new
  v_each jsonb;
  v_runs bigint;
  v_history bigint;
  v_answer jsonb;
begin
  select count(*) filter (where x.wanted),
         jsonb_build_object('partitions', count(*), 'runs', count(*) filter (where x.wanted), 'skipped', count(*) filter (where not x.wanted),
                            'first', (array_agg(x.range order by x.ordinal) filter (where x.wanted))[1],
                            'last', (array_agg(x.range order by x.ordinal desc) filter (where x.wanted))[1])
    into v_runs, v_answer
    from ops.backfill_parts(v_plan) as x;
  with recent as materialized (
    select r.id, r.usage, extract(epoch from r.finished_at - r.started_at)::numeric as seconds
      from ops.runs as r
     where r.environment_id = p_environment and r.pipeline = v_plan.pipeline and r.state = 'succeeded'
     order by r.created_at desc limit 20
  ),
  median as (
    select k.kind, percentile_cont(0.5) within group (order by coalesce((r.usage ->> k.kind)::numeric, case k.kind
             when 'rows' then (select sum(t.rows_added) from ops.run_tables as t where t.run_id = r.id)
             when 'duration_seconds' then r.seconds end))::numeric as amount
      from (values ('rows'), ('bytes'), ('queries'), ('compute_seconds'), ('cost'), ('duration_seconds')) as k (kind)
      cross join recent as r
     group by k.kind
  )
  select (select count(*) from recent),
         coalesce((select p.estimate from ops.pipelines as p where p.environment_id = p_environment and p.name = v_plan.pipeline), '{}')
         || coalesce(jsonb_object_agg(m.kind, trim_scale(round(m.amount, 3))) filter (where m.amount is not null), '{}')
    into v_history, v_each
    from median as m;
  return v_answer || jsonb_build_object(
    'history_runs', v_history, 'each', v_each,
    'total', (select coalesce(jsonb_object_agg(e.key, trim_scale(e.value::text::numeric * v_runs)), '{}') from jsonb_each(v_each) as e where e.key <> 'duration_seconds')
             || case when v_each ? 'duration_seconds' then
                  jsonb_build_object('duration_seconds', (v_each ->> 'duration_seconds')::numeric * ceil(v_runs::numeric / v_plan.concurrency)) else '{}' end,
    'caps', (
      select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'cap', c.name, 'kind', c.kind, 'limit', ops.ceiling(c, v_now), 'used', ops.cap_used(c, v_now), 'window_seconds', c.window_seconds,
               'needs', n.needs, 'windows', case when c.kind <> 'concurrency' then ceil(n.needs / nullif(ops.ceiling(c, v_now), 0)) end)) order by c.name), '[]')
        from ops.lane_caps as l
        join ops.caps as c on c.id = l.cap_id
        cross join lateral (
          select case c.kind when 'concurrency' then least(v_plan.concurrency, v_runs) when 'runs' then v_runs
                             else (v_each ->> c.kind)::numeric * v_runs end as needs) as n
       where l.lane_id = v_lane));
end
$$;
comment on function ops.plan_backfill is
  'Dry run of a backfill {pipeline, from, to, step, timezone, params, concurrency, reverse, reprocess}: how many partitions and runs, what each and all '
  'are expected to use (medians of the last 20 runs that succeeded, else the spec''s estimate), and what that is under each cap: needs, and how many '
  'of its windows that fills. Raises NOT_FOUND, INVALID_INPUT. Callers: CLI, control room.';

create function ops.create_backfill(p_environment uuid, p_request jsonb, p_by text) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_plan ops.backfills := ops.check_backfill(p_environment, p_request);
  v_wanted bigint;
begin
  v_plan.id := gen_random_uuid();
  v_plan.state := 'running';
  v_plan.created_by := p_by;
  v_plan.created_at := v_now;
  v_plan.updated_at := v_now;
  insert into ops.backfills select v_plan.*;
  insert into ops.backfill_partitions (backfill_id, ordinal, starts_at, ends_at, state)
  select v_plan.id, x.ordinal, x.starts_at, x.ends_at, case when x.wanted then 'pending' else 'skipped' end from ops.backfill_parts(v_plan) as x;
  select count(*) into v_wanted from ops.backfill_partitions as x where x.backfill_id = v_plan.id and x.state = 'pending';
  if v_wanted = 0 then
    perform ops.refuse('INVALID_INPUT', 400, format('there is nothing to do: every partition of %s in this range has a run', v_plan.pipeline),
                       'Use `--reprocess failed` or `--reprocess all` to run partitions again.');
  end if;
  perform ops.ring_for_work();
  return v_plan.id;
end
$$;
comment on function ops.create_backfill is
  'Makes a backfill of a request as ops.plan_backfill takes it; the dispatcher works through it. Raises NOT_FOUND, INVALID_INPUT. Callers: CLI, control room.';

create function ops.advance_backfills(p_limit integer default 100) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_backfill ops.backfills;
  v_moved integer := 0;
  v_got integer;
begin
  for v_backfill in
    select b.* from ops.backfills as b
     where b.state = 'running' or b.id in (select x.backfill_id from ops.backfill_partitions as x where x.state = 'started')
     order by b.created_at for update skip locked
  loop
    update ops.backfill_partitions as x set state = r.state::text
      from ops.runs as r
     where x.backfill_id = v_backfill.id and x.state = 'started' and r.id = x.run_id and r.state in ('succeeded', 'failed', 'canceled');
    get diagnostics v_got = row_count;
    v_moved := v_moved + v_got;
    continue when v_backfill.state <> 'running';
    v_moved := v_moved + ops.start_partitions(v_backfill, p_limit);
    update ops.backfills as b
       set state = case when exists (select 1 from ops.backfill_partitions as x where x.backfill_id = b.id and x.state in ('failed', 'canceled'))
                        then 'failed' else 'succeeded' end,
           finished_at = ops.now(), updated_at = ops.now(), wait_reason = null
     where b.id = v_backfill.id
       and not exists (select 1 from ops.backfill_partitions as x where x.backfill_id = b.id and x.state in ('pending', 'started'));
  end loop;
  return v_moved;
end
$$;
comment on function ops.advance_backfills is
  'Settles partitions whose run ended, starts the next ones and ends what is done; how many partitions moved. Two dispatchers may call it at once. '
  'Callers: dispatcher.';

create function ops.start_partitions(p_backfill ops.backfills, p_limit integer) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_part record;
  v_answer record;
  v_started integer := 0;
begin
  for v_part in
    select x.ordinal, x.try, x.starts_at, x.ends_at, s.params as declared
      from ops.backfill_partitions as x
      cross join (
        select b.spec -> 'params' as params from ops.pipelines as p join ops.bundles as b on b.digest = p.bundle
         where p.environment_id = p_backfill.environment_id and p.name = p_backfill.pipeline and not p.paused) as s
     where x.backfill_id = p_backfill.id and x.state = 'pending'
     order by case when p_backfill.reverse then -x.ordinal else x.ordinal end
     limit greatest(least(p_limit, p_backfill.concurrency
       - (select count(*) from ops.backfill_partitions as y where y.backfill_id = p_backfill.id and y.state = 'started')), 0)
  loop
    select a.run_id, a.refusal into v_answer
      from ops.try_enqueue(jsonb_build_object(
        'environment_id', p_backfill.environment_id, 'pipeline', p_backfill.pipeline, 'priority', p_backfill.priority, 'trigger', 'backfill',
        'labels', jsonb_build_array('backfill'), 'idempotency_key', format('backfill:%s:%s:%s', p_backfill.id, v_part.ordinal, v_part.try),
        'params', p_backfill.params
          || jsonb_build_object(p_backfill.from_param, ops.range_value(v_part.declared -> p_backfill.from_param ->> 'type', v_part.starts_at, p_backfill.timezone))
          || case when p_backfill.to_param is null then '{}' else jsonb_build_object(
               p_backfill.to_param, ops.range_value(v_part.declared -> p_backfill.to_param ->> 'type', v_part.ends_at, p_backfill.timezone)) end)) as a;
    update ops.backfills as b set wait_reason = v_answer.refusal where b.id = p_backfill.id and b.wait_reason is distinct from v_answer.refusal;
    exit when v_answer.refusal is not null;
    update ops.backfill_partitions as x set state = 'started', run_id = v_answer.run_id where x.backfill_id = p_backfill.id and x.ordinal = v_part.ordinal;
    v_started := v_started + 1;
  end loop;
  return v_started;
end
$$;
comment on function ops.start_partitions is
  'Starts as many pending partitions as the backfill''s concurrency leaves room for, under keys that make a repeat harmless; a cap that refuses is '
  'its wait_reason until it lets one through. Callers: ops.advance_backfills.';

create function ops.change_backfill(p_backfill uuid, p_to text, p_by text, p_reason text default null) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state text;
begin
  select b.state into v_state from ops.backfills as b where b.id = p_backfill for update;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no backfill %s', p_backfill), '`lakehouse backfill list` shows what there is.');
  end if;
  if v_state = p_to then
    return v_state;
  end if;
  if p_to = 'running' then
    perform ops.resume_partitions(p_backfill, v_state);
  elsif p_to = 'canceled' and v_state in ('running', 'paused') then
    update ops.backfill_partitions as x set state = 'canceled' where x.backfill_id = p_backfill and x.state = 'pending';
    perform ops.cancel_run(x.run_id, p_by, coalesce(p_reason, 'its backfill was canceled'))
       from ops.backfill_partitions as x where x.backfill_id = p_backfill and x.state = 'started';
  elsif p_to <> 'paused' or v_state <> 'running' then
    perform ops.refuse('CONFLICT', 409, format('backfill %s is %s and cannot become %s', p_backfill, v_state, p_to),
                       '`lakehouse backfill show` tells what it came to.');
  end if;
  update ops.backfills as b
     set state = p_to, changed_by = p_by, changed_reason = p_reason, updated_at = ops.now(), wait_reason = null,
         finished_at = case when p_to = 'canceled' then ops.now() end
   where b.id = p_backfill;
  perform ops.ring_for_work();
  return p_to;
end
$$;
comment on function ops.change_backfill is
  'Pauses (runs under way go on, no further ones start), resumes (running: also one that failed or was canceled, whose missing partitions are tried '
  'again) or cancels (with its runs) a backfill. Raises NOT_FOUND, CONFLICT. Callers: CLI, control room.';

create function ops.resume_partitions(p_backfill uuid, p_state text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ending bigint;
begin
  if p_state = 'succeeded' then
    perform ops.refuse('CONFLICT', 409, format('backfill %s succeeded: there is nothing left to do', p_backfill),
                       'Create a new one with `--reprocess all` to run it again.');
  end if;
  if p_state = 'paused' then
    return;
  end if;
  update ops.backfill_partitions as x set state = r.state::text
    from ops.runs as r
   where x.backfill_id = p_backfill and x.state = 'started' and r.id = x.run_id and r.state in ('succeeded', 'failed', 'canceled');
  select count(*) into v_ending from ops.backfill_partitions as x where x.backfill_id = p_backfill and x.state = 'started';
  if v_ending > 0 then
    perform ops.refuse('CONFLICT', 409, format('%s runs of backfill %s are still being canceled', v_ending, p_backfill), 'Resume it when they have ended.');
  end if;
  update ops.backfill_partitions as x set state = 'pending', try = x.try + 1, run_id = null
   where x.backfill_id = p_backfill and x.state in ('failed', 'canceled');
end
$$;
comment on function ops.resume_partitions is 'Puts the partitions that a failed or canceled backfill misses back in line. Raises CONFLICT. Callers: ops.change_backfill.';

-- ---------------------------------------------------------------------------------------------------------------
-- What the dispatcher asks before it rests
-- ---------------------------------------------------------------------------------------------------------------
create function ops.time_due() returns table (schedules boolean, events boolean, backfills boolean, next_in_ms integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  select n.unknown or coalesce(n.at <= v_now, false) or coalesce(n.looked_at > v_now + interval '1 minute', false),
         exists (select 1 from ops.cursors as c where c.consumer = 'triggers'),
         exists (select 1 from ops.backfills as b where b.state = 'running') or exists (select 1 from ops.backfill_partitions as x where x.state = 'started'),
         case when n.unknown then 0
              else greatest(extract(epoch from least(n.at, v_now + interval '1 hour') - v_now) * 1000, 0)::integer end
    from (
      select (select min(s.next_tick_at) from ops.schedules as s where s.paused_at is null) as at,
             (select max(s.ticked_until) from ops.schedules as s where s.paused_at is null) as looked_at,
             exists (select 1 from ops.schedules as s where s.paused_at is null and s.next_tick_at is null) as unknown
    ) as n;
end
$$;
comment on function ops.time_due is
  'What time asks for now: schedules to tick, events that triggers wait for, backfills under way; and milliseconds until the next tick, at most an '
  'hour. Callers: dispatcher.';

-- ---------------------------------------------------------------------------------------------------------------
-- What people read
-- ---------------------------------------------------------------------------------------------------------------
create view api.schedules with (security_invoker = true) as
select s.id, s.environment_id, s.pipeline, s.name, s.purpose, s.cron, s.every_seconds, s.timezone, s.params, s.catch_up, s.catch_up_runs,
       s.catch_up_seconds, s.within_seconds, s.next_tick_at, s.last_tick_at, s.last_run_id, s.last_refusal, s.last_missed_at,
       s.paused_at, s.paused_by, s.paused_reason, s.updated_at
  from ops.schedules as s;
comment on view api.schedules is 'When pipelines start by the clock, and by when they must have succeeded.';

create view api.triggers with (security_invoker = true) as
select t.id, t.environment_id, t.pipeline, t.name, t.kind, t.upstreams, t.event_type, t.params, t.armed_at, t.token_set_at, t.token_set_by,
       t.last_fired_at, t.last_run_id, t.last_refusal,
       array(select a.upstream from ops.trigger_arrivals as a where a.trigger_id = t.id order by a.upstream) as arrived
  from ops.triggers as t;
comment on view api.triggers is 'What else starts pipelines; arrived: upstreams of a fan-in that have published since it last started.';

create view api.backfill_partitions with (security_invoker = true) as
select x.backfill_id, x.ordinal, x.starts_at, x.ends_at, x.try, x.run_id,
       case when x.state <> 'started' then x.state when r.state in ('succeeded', 'failed', 'canceled') then r.state::text
            when r.state in ('queued', 'held') then 'waiting' else 'running' end as state
  from ops.backfill_partitions as x left join ops.runs as r on r.id = x.run_id;
comment on view api.backfill_partitions is 'The parts of backfills; of those under way whether their run waits or works.';

create view api.backfills with (security_invoker = true) as
select b.id, b.environment_id, b.pipeline, b.state, b.starts_at, b.ends_at, b.step, b.timezone, b.params, b.concurrency, b.reverse, b.reprocess,
       b.priority, b.wait_reason, b.created_by, b.created_at, b.updated_at, b.finished_at, b.changed_by, b.changed_reason,
       n.partitions, n.pending, n.skipped, n.waiting, n.running, n.succeeded, n.failed, n.canceled
  from ops.backfills as b
  cross join lateral (
    select count(*) as partitions, count(*) filter (where x.state = 'pending') as pending, count(*) filter (where x.state = 'skipped') as skipped,
           count(*) filter (where x.state = 'waiting') as waiting, count(*) filter (where x.state = 'running') as running,
           count(*) filter (where x.state = 'succeeded') as succeeded, count(*) filter (where x.state = 'failed') as failed,
           count(*) filter (where x.state = 'canceled') as canceled
      from api.backfill_partitions as x where x.backfill_id = b.id
  ) as n;
comment on view api.backfills is 'Backfills with how far each has come, counted from its partitions.';

-- ---------------------------------------------------------------------------------------------------------------
-- A missed deadline is an alert by default
-- ---------------------------------------------------------------------------------------------------------------
insert into ops.alert_rules (environment_id, name, event_types, condition, severity, summary)
select e.id, 'deadline_missed', '{DEADLINE_MISSED}', '{"except": "query"}', 'error', '{pipeline} missed its deadline: {message}'
  from ops.environments as e
    on conflict (environment_id, name) do nothing;

-- ---------------------------------------------------------------------------------------------------------------
-- Row-level security and grants
-- ---------------------------------------------------------------------------------------------------------------
do $$
declare
  v_table text;
begin
  foreach v_table in array array['schedules', 'triggers', 'trigger_arrivals', 'backfills', 'backfill_partitions'] loop
    execute format('alter table ops.%I enable row level security', v_table);
    execute format('create policy "The control room sees all rows" on ops.%I for select to lakehouse_controlroom using (true)', v_table);
  end loop;
  foreach v_table in array array['schedules', 'triggers', 'backfills'] loop
    execute format('create policy "Members see their project''s rows" on ops.%I for select to authenticated '
                   'using (environment_id in (select ops.my_environments()))', v_table);
  end loop;
end
$$;
create policy "Members see arrivals at their project's triggers" on ops.trigger_arrivals for select to authenticated
  using (trigger_id in (select t.id from ops.triggers as t));
create policy "Members see partitions of their project's backfills" on ops.backfill_partitions for select to authenticated
  using (backfill_id in (select b.id from ops.backfills as b));

revoke execute on all functions in schema ops from public;
grant select on ops.schedules, ops.trigger_arrivals, ops.backfills, ops.backfill_partitions to authenticated, lakehouse_controlroom;
-- token_sha256 is named nowhere: a digest that leaks could be guessed at
grant select (id, environment_id, pipeline, name, kind, upstreams, event_type, params, token_set_at, token_set_by, armed_at, last_fired_at,
              last_run_id, last_refusal) on ops.triggers to authenticated, lakehouse_controlroom;
grant select on api.schedules, api.triggers, api.backfills, api.backfill_partitions to authenticated, lakehouse_controlroom;
grant execute on function
  ops.time_due, ops.due_schedules, ops.fire_ticks, ops.block_schedule, ops.fire_event_triggers, ops.advance_backfills to lakehouse_dispatcher;
grant execute on function
  ops.pause_schedule, ops.resume_schedule, ops.set_trigger_token, ops.fire_webhook_trigger, ops.plan_backfill, ops.create_backfill, ops.change_backfill
  to lakehouse_controlroom;
