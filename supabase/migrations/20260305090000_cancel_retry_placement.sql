-- What executors and the control plane owe each other: writes that may be repeated, time limits, sign-off, standing in for a
-- dispatcher, and cancels that say who and why.
-- Every lock here is short: columns without a default or with a constant one, and small tables.

-- Every call asks this table for the time before it touches another: from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

alter table ops.runs
  add column cancel_requested_by text,
  add column cancel_reason text,
  add column ended_token uuid,
  add column events_taken integer not null default 0,
  add column events_new integer not null default 0;
comment on column ops.runs.cancel_requested_by is 'Who asked for the run''s end; meant while cancel_requested_at is set.';
comment on column ops.runs.ended_token is 'The lease under which an attempt ended last: the same end offered again is answered, not refused.';
comment on column ops.runs.events_taken is 'How many of the present lease''s events are stored: those of a beat whose answer was lost are offered again.';
comment on column ops.runs.events_new is 'How many of them the last beat or finish brought: only so can the statement that stores them know.';

alter table ops.pipelines add column time_limit_seconds integer check (time_limit_seconds between 1 and 31622400);
comment on column ops.pipelines.time_limit_seconds is 'How long one attempt of a run may work; null: for ever.';
-- Release 0.1 names these two columns in functions alone, and those are replaced; calls that began before have ended since.
drop trigger open_runs_find_their_lane on ops.open_runs;
-- squawk-ignore ban-drop-function
drop function ops.find_lane();
-- squawk-ignore ban-drop-column
alter table ops.open_runs add column stop_at timestamptz, drop column requires, drop column priority;
create index open_runs_by_time_limit on ops.open_runs (stop_at) where stop_at is not null;
comment on column ops.open_runs.stop_at is
  'When the attempt is ended here for its time limit: one lease later than its executor ends it, for executors that do not.';

alter table ops.executors
  add column signed_off_at timestamptz,
  add column drain_requested_at timestamptz,
  add column drain_requested_by text,
  add column drain_reason text,
  add column session uuid;
comment on column ops.executors.signed_off_at is 'When its process said that it ends; null while it works or when it died.';
comment on column ops.executors.session is
  'The life of the process behind it, when that process fetches what is handed over to it (ops.handed_over); null for those that do not.';
comment on column ops.open_runs.session is 'The session that a run was handed over to, until its lease changes hands; null when it was leased in another way.';
create index open_runs_by_session on ops.open_runs (session) where session is not null;
comment on column ops.executors.drain_requested_at is 'Since when a person lets it run empty: it keeps what it has and gets nothing new.';

-- ---------------------------------------------------------------------------------------------------------------
-- Time limits
-- ---------------------------------------------------------------------------------------------------------------
create function ops.keep_time_limit() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.time_limit_seconds := (select (b.spec ->> 'time_limit_seconds')::integer from ops.bundles as b where b.digest = new.bundle);
  return new;
end
$$;
comment on function ops.keep_time_limit is 'Keeps a pipeline''s time limit beside it. Callers: trigger on ops.pipelines.';
create trigger pipelines_keep_their_time_limit before insert or update of bundle on ops.pipelines
  for each row execute function ops.keep_time_limit();

create function ops.limit_time(p_runs uuid[], p_now timestamptz) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
begin
  if not exists (select 1 from ops.pipelines as p where p.time_limit_seconds is not null) then
    return;
  end if;
  update ops.open_runs as q
     set stop_at = p_now + make_interval(secs => p.time_limit_seconds + (select s.lease_ms / 1000.0 from ops.settings as s))
    from ops.runs as r
    join ops.pipelines as p on p.environment_id = r.environment_id and p.name = r.pipeline
   where r.id = any (p_runs) and q.run_id = r.id and q.run_id = any (p_runs) and (p.time_limit_seconds is not null or q.stop_at is not null);
end
$$;
comment on function ops.limit_time is 'Notes when attempts that begin now must have ended. Callers: whatever starts runs.';

-- ---------------------------------------------------------------------------------------------------------------
-- Taking work
-- ---------------------------------------------------------------------------------------------------------------
create or replace function ops.take_work(p_executor uuid, p_limit integer default 100)
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
  v_started uuid[];
begin
  with mine as materialized (
    select r.id
      from ops.open_runs as q
      cross join lateral (
        select r.id from ops.runs as r where r.id = q.run_id and r.state = 'claimed' for update skip locked
      ) as r
     where q.executor_id = p_executor
     limit p_limit
  ),
  started as (
    update ops.runs as r
       set state = 'running', started_at = coalesce(r.started_at, v_now), event_seq = r.event_seq + 1,
           lease_expires_at = v_now + make_interval(secs => v_lease_ms / 1000.0),
           phase = case when r.checkpoint = '{}' then r.phases[1] else ops.next_phase(r.phases, r.checkpoint) end
     where r.id = any (array(select m.id from mine as m))
    returning r.id, r.event_seq, r.attempt, r.phase
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select s.id, s.event_seq, s.attempt, 'PHASE_STARTED', v_now, jsonb_build_object('phase', s.phase) from started as s
  )
  select array_agg(s.id) into v_started from started as s;
  if v_started is null then
    return;
  end if;
  perform ops.limit_time(v_started, v_now);
  return query
  select s.id, s.attempt, s.lease_token, v_lease_ms, s.environment_id, s.pipeline, s.bundle, s.params, s.phases::text[], s.checkpoint,
         s.failures::integer, s.max_attempts::integer, s.created_at
    from ops.runs as s where s.id = any (v_started) and s.state = 'running';
end
$$;

create function ops.stand_in(p_executor uuid, p_now timestamptz) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select 1 from ops.leaders as l where l.role in ('dispatcher', 'stand_in') and l.expires_at >= p_now) then
    return;
  end if;
  -- one executor at a time, and not for each claim: a quarter of a second is soon enough for what a dispatcher would do
  insert into ops.leaders as l (role, holder, expires_at) values ('stand_in', p_executor, p_now + interval '250 milliseconds')
      on conflict (role) do update set holder = excluded.holder, expires_at = excluded.expires_at, term = l.term + 1
   where l.expires_at < p_now;
  if found then
    perform ops.requeue_stale_runs(1000);
    perform ops.release_runs(1000);
  end if;
end
$$;
comment on function ops.stand_in is
  'Rescues stale runs and releases held ones while no dispatcher leads, at most four times a second. Callers: ops.claim_work, ops.claim_run.';

create or replace function ops.claim_work(p_executor uuid, p_limit integer default 1)
returns table (
  run_id uuid, attempt integer, token uuid, ttl_ms integer, environment_id uuid, pipeline text, bundle text, params jsonb,
  phases text[], checkpoint jsonb, failures integer, max_attempts integer, created_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set plan_cache_mode = force_generic_plan  -- planning costs more than these statements
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_lease_ms integer;
  v_led boolean;
  v_limits boolean;
  v_leased uuid[];
  v_started integer;
begin
  select s.lease_ms,
         exists (select 1 from ops.leaders as l where l.role in ('dispatcher', 'stand_in') and l.expires_at >= v_now),
         exists (select 1 from ops.pipelines as p where p.time_limit_seconds is not null)
    into v_lease_ms, v_led, v_limits from ops.settings as s;
  if not v_led then
    perform ops.stand_in(p_executor, v_now);
  end if;
  select array_agg(l.run_id) into v_leased from ops.lease_due(p_limit, p_executor, true) as l;
  if v_limits and v_leased is not null then
    perform ops.limit_time(v_leased, v_now);
  end if;
  if cardinality(v_leased) = p_limit then
    update ops.executors as e set pulling_until = v_now + interval '1 second'
     where e.id = (
       select x.id from ops.executors as x
        where x.id = p_executor and (x.pulling_until is null or x.pulling_until < v_now + interval '500 milliseconds')
          for no key update skip locked);  -- who writes it just now may wait for the lock on leases, which this transaction holds
  end if;
  return query
  select r.id, r.attempt, r.lease_token, v_lease_ms, r.environment_id, r.pipeline, r.bundle, r.params, r.phases::text[], r.checkpoint,
         r.failures::integer, r.max_attempts::integer, r.created_at
    from ops.runs as r
   where r.id = any (v_leased) and r.state = 'running';
  get diagnostics v_started = row_count;
  if v_started < p_limit and exists (  -- what the dispatcher had leased to this executor
    select 1 from ops.open_runs as q join ops.runs as r on r.id = q.run_id where q.executor_id = p_executor and r.state = 'claimed') then
    return query select * from ops.take_work(p_executor, p_limit - v_started);
  end if;
end
$$;
comment on function ops.claim_work is
  'Leases due runs for one executor and starts them in one step: for executors with a backlog before them, or without a dispatcher, '
  'whose rescues and releases it then does too. Callers: executors.';

-- ---------------------------------------------------------------------------------------------------------------
-- Handing over: what the transaction that adds work leases itself
-- ---------------------------------------------------------------------------------------------------------------
create function ops.open_session(p_executor uuid) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ update ops.executors as e set session = gen_random_uuid() where e.id = p_executor returning e.session $$;
comment on function ops.open_session is
  'A process begins to fetch what is handed over to its executor. Another process of that name, alive or not, gets nothing any more. Callers: executors.';

create function ops.hand_over(p_lane integer, p_runs uuid[]) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_to record;
  v_runs uuid[];
  v_slots integer;
begin
  -- Order, shares and caps are matters of ops.lease_due: here nobody else waits, as far as the last look saw, and nothing is counted.
  if p_lane is null
     or (select s.paused_at is not null from ops.settings as s)
     or exists (select 1 from ops.lane_caps as m where m.lane_id = p_lane)
     or current_setting('transaction_isolation') <> 'read committed'  -- an old snapshot sees neither a new cap nor a pause
     or ops.none_waits(v_now, 9e15::bigint, p_runs) is not true then  -- however long ago that look was: at worst the order suffers
    return null;
  end if;
  select f.id, f.slots, e.session into v_to
    from ops.lanes as l
    cross join lateral ops.free_executors(null, v_now) as f
    join ops.executors as e on e.id = f.id
   where l.id = p_lane and f.capabilities @> l.requires
   order by f.capabilities @> array[l.prefers] desc, f.held, random() limit 1;  -- of equals any: the first of them would get all short runs
  -- two who add work at once would both count the same free slots
  if v_to.session is null or not pg_try_advisory_xact_lock(hashtextextended('ops.hand_over ' || v_to.id, 0)) then
    return null;
  end if;
  v_slots := (select f.slots from ops.free_executors(v_to.id, v_now) as f);  -- what the last who had the lock left
  if v_slots is null then
    return null;
  end if;
  v_runs := p_runs[1:v_slots];
  perform ops.lease_chosen(v_runs, array_fill(v_to.id, array[cardinality(v_runs)]), v_to.id, true, '{}', v_now, v_to.session);
  perform ops.limit_time(v_runs, v_now);
  if cardinality(v_runs) < cardinality(p_runs) then
    perform ops.leave_work();
  end if;
  return v_to.session;
end
$$;
comment on function ops.hand_over is
  'Leases a few new runs of one lane to the executor that the dispatcher would give them to, when nobody else waits, and starts them; returns its '
  'session, which a ring then names. Saves a hop and a transaction. Callers: ops.ring_for_work.';

create or replace function ops.ring_for_work(p_lane integer default null, p_runs uuid[] default null) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
  v_session uuid;
begin
  if v_now - pg_sequence_last_value('ops.work_bell_rung'::regclass) between 0 and 4 then
    perform setval('ops.work_bell_missed', v_now);
  else
    perform setval('ops.work_bell_rung', v_now);
    v_session := ops.hand_over(p_lane, p_runs);
    perform pg_notify('lakehouse_work', coalesce(v_session::text, ''));
  end if;
  if v_session is null then
    perform ops.leave_work();
  end if;
end
$$;
comment on function ops.ring_for_work is
  'Wakes the dispatcher, unless somebody did within five milliseconds: then it is left a note to look again (ops.next_look_in_ms). '
  'p_runs: a few new runs of one lane; the ring names whom they were handed over to, and the dispatcher follows a moment later. '
  'Callers: functions that add work.';

create function ops.handed_over(p_executor uuid, p_session uuid)
returns table (
  run_id uuid, attempt integer, token uuid, ttl_ms integer, environment_id uuid, pipeline text, bundle text, params jsonb,
  phases text[], checkpoint jsonb, failures integer, max_attempts integer, created_at timestamptz, leased_ms_ago integer
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
  return query
  select r.id, r.attempt, r.lease_token, t.lease_ms, r.environment_id, r.pipeline, r.bundle, r.params, r.phases::text[], r.checkpoint,
         r.failures::integer, r.max_attempts::integer, r.created_at,
         greatest(t.lease_ms - extract(epoch from r.lease_expires_at - t.now) * 1000, 0)::integer
    from ops.open_runs as q
    join ops.runs as r on r.id = q.run_id
    cross join (select s.lease_ms, ops.now() as now from ops.settings as s) as t
   where q.session = p_session and q.executor_id = p_executor and r.state = 'running';
end
$$;
comment on function ops.handed_over is
  'The runs under way that were handed over to this session of an executor; who asks knows which of them it has. It changes nothing: they have '
  'started. leased_ms_ago: the age of the lease, which counts against how long it may be trusted. Callers: executors.';

create or replace function ops.claim_run(p_executor uuid)
returns table (run_id uuid, attempt integer, token uuid, lease_expires_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run uuid;
begin
  perform ops.stand_in(p_executor, ops.now());
  v_run := (select l.run_id from ops.lease_due(1, p_executor) as l);
  -- a statement of its own: the one that leases does not see the token it made
  return query select r.id, r.attempt, r.lease_token, r.lease_expires_at from ops.runs as r where r.id = v_run;
end
$$;

create or replace function ops.start_run(p_run uuid, p_token uuid) returns boolean
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
    if exists (select 1 from ops.runs as r where r.id = p_run and r.lease_token = p_token and r.state = 'running') then
      return true;  -- the first answer was lost
    end if;
    perform ops.refused_write(p_run, 'start');
    return false;
  end if;
  perform ops.limit_time(array[p_run], v_now);
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  values (v_run.id, v_run.event_seq, v_run.attempt, 'PHASE_STARTED', v_now, jsonb_build_object('phase', v_run.phase));
  return true;
end
$$;
comment on function ops.start_run is 'A claimed run begins; said again, it is still true. False: the lease is not current. Callers: outside executors.';

-- ---------------------------------------------------------------------------------------------------------------
-- Executors come, beat and go
-- ---------------------------------------------------------------------------------------------------------------
create or replace function ops.register_executor(p_name text, p_capabilities text[], p_slots integer, p_version text) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into ops.executors as e (name, capabilities, slots, version)
  values (p_name, p_capabilities, p_slots, p_version)
      on conflict (name) do update
     set capabilities = excluded.capabilities, slots = excluded.slots, version = excluded.version, draining = false, last_seen_at = ops.now(),
         lost_at = null, signed_off_at = null, drain_requested_at = null, drain_requested_by = null, drain_reason = null,
         session = null  -- until this process opens its own; who reads under the old one goes on to get what was its own
  returning e.id
$$;

create function ops.sign_off(p_executor uuid, p_session uuid default null) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_given_back jsonb;
begin
  update ops.executors as e set draining = true, lost_at = v_now, signed_off_at = v_now
   where e.id = p_executor and (p_session is null or e.session = p_session);  -- another process of its name may have come
  if not found then
    return;
  end if;
  select jsonb_agg(jsonb_build_object('run_id', r.id, 'token', r.lease_token, 'outcome', 'interrupted')) into v_given_back
    from ops.open_runs as q join ops.runs as r on r.id = q.run_id
   where q.session = p_session and q.executor_id = p_executor and r.state = 'running';
  if v_given_back is not null then
    perform ops.finish_runs(v_given_back);
  end if;
  -- what was leased to it and not begun need not wait for its start timeout
  update ops.runs as r set lease_expires_at = v_now - interval '1 microsecond'
   where r.id in (select q.run_id from ops.open_runs as q where q.executor_id = p_executor) and r.state = 'claimed';
  if found then
    perform ops.requeue_stale_runs(1000);
    perform ops.ring_for_work();
  end if;
end
$$;
comment on function ops.sign_off is
  'An executor''s process ends: it is gone at once, and what it had not begun goes back without burning an attempt or a loss. p_session: its own, '
  'when it has one. Callers: executors.';

create or replace function ops.beat(p_executor uuid, p_beats jsonb, p_draining boolean default false)
returns table (run_id uuid, verdict text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- rows are locked in the order of run ids, whatever the order they are offered in
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_settings ops.settings;
begin
  select * into v_settings from ops.settings;
  update ops.executors as e set last_seen_at = v_now, draining = p_draining or e.drain_requested_at is not null, lost_at = null
   where e.id = p_executor and e.signed_off_at is null
     and (e.draining <> (p_draining or e.drain_requested_at is not null) or e.lost_at is not null
       or e.last_seen_at < v_now - make_interval(secs => v_settings.executor_ttl_ms / 8000.0));
  if jsonb_array_length(p_beats) = 0 then
    return;
  end if;
  return query
  with offered as materialized (
    select (o ->> 'run_id')::uuid as run_id, (o ->> 'token')::uuid as token,
           case when o ->> 'phase' = any (enum_range(null::ops.phase)::text[]) then (o ->> 'phase')::ops.phase end as phase,
           nullif(o -> 'progress', 'null'::jsonb) as progress, nullif(o -> 'checkpoint', 'null'::jsonb) as checkpoint,
           coalesce(nullif(o -> 'events', 'null'::jsonb), '[]') as events, (o ->> 'events_from')::integer as events_from
      from jsonb_array_elements(p_beats) as o
     order by 1
  ),
  locked as materialized (
    select r.id from ops.runs as r where r.id = any (array(select x.run_id from offered as x)) order by r.id for update
  ),
  kept as (
    update ops.runs as r
       set lease_expires_at = v_now + make_interval(secs => v_settings.lease_ms / 1000.0),
           phase = coalesce(o.phase, r.phase), progress = coalesce(o.progress, r.progress),
           checkpoint = case when o.checkpoint is null then r.checkpoint else r.checkpoint || o.checkpoint end,
           losses = case when o.checkpoint is null then r.losses else 0 end,
           (event_seq, events_taken, events_new) = (
             select r.event_seq + f.fresh, r.events_taken + f.fresh, f.fresh
               from (select greatest(jsonb_array_length(o.events) - greatest(r.events_taken - coalesce(o.events_from, r.events_taken), 0), 0)) as f (fresh))
      from offered as o
     where r.id = o.run_id
       and r.lease_token = o.token  -- the fence: a stale attempt matches nothing
       and r.id = any (array(select l.id from locked as l))
    returning r.id, r.lease_token, r.attempt, r.event_seq, r.events_new, r.cancel_requested_at, o.events
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select k.id, (k.event_seq - jsonb_array_length(k.events) + e.n)::integer, k.attempt, coalesce(e.value ->> 'type', 'PHASE_PROGRESS'), v_now, coalesce(e.value -> 'data', '{}')
      from kept as k cross join lateral jsonb_array_elements(k.events) with ordinality as e (value, n)
     where e.n > jsonb_array_length(k.events) - k.events_new
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
  'Renews leases, appends events and stores progress and checkpoints for all runs of an executor: '
  '[{run_id, token, phase, progress, checkpoint, events, events_from}]. events_from: how many events of this lease came before these; '
  'those stored already are not stored again. The answer is the command channel: go_on, cancel or lease_lost per run. Callers: executors.';

create function ops.drain_executor(p_name text, p_by text, p_reason text default null) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.executors as e
     set draining = true, drain_requested_at = coalesce(e.drain_requested_at, ops.now()), drain_requested_by = p_by, drain_reason = p_reason
   where e.name = p_name;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no executor %L', p_name), '`lakehouse executor list --all` shows what there is.');
  end if;
end
$$;
comment on function ops.drain_executor is
  'Lets an executor run empty, until ops.undrain_executor or until it registers again. Raises NOT_FOUND. Callers: CLI, control room.';

create function ops.undrain_executor(p_name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.executors as e
     set draining = e.signed_off_at is not null, drain_requested_at = null, drain_requested_by = null, drain_reason = null
   where e.name = p_name;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no executor %L', p_name), '`lakehouse executor list --all` shows what there is.');
  end if;
  perform ops.ring_for_work();
end
$$;
comment on function ops.undrain_executor is 'Gives a drained executor work again. Raises NOT_FOUND. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Ends
-- ---------------------------------------------------------------------------------------------------------------
create or replace function ops.finish_runs(p_outcomes jsonb) returns table (run_id uuid, accepted boolean, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- rows are locked in the order of run ids, whatever the order they are offered in
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_ids uuid[];
  v_tokens uuid[];
  v_states ops.run_state[];
  v_again_tokens uuid[] := '{}';
  v_again_states ops.run_state[] := '{}';
  v_lost uuid;
begin
  with offered as materialized (
    select (o ->> 'run_id')::uuid as run_id, (o ->> 'token')::uuid as token, o ->> 'outcome' as outcome,
           nullif(o -> 'error', 'null'::jsonb) as error, (o ->> 'retry_in_ms')::integer as retry_in_ms,
           coalesce((o ->> 'clear_checkpoint')::boolean, false) as clear_checkpoint,
           coalesce(nullif(o -> 'events', 'null'::jsonb), '[]') as events, o ->> 'manifest_sha256' as manifest_sha256,
           nullif(o -> 'usage', 'null'::jsonb) as usage, (o ->> 'events_from')::integer as events_from
      from jsonb_array_elements(p_outcomes) as o
     order by 1
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
           usage = case when o.usage is null then r.usage else ops.sum_amounts(o.usage, coalesce(r.usage, '{}')) end,
           progress = case when o.outcome = 'succeeded' then null else r.progress end,
           lease_token = null, lease_expires_at = null, ended_token = r.lease_token,
           events_taken = 0,
           events_new = greatest(jsonb_array_length(o.events) - greatest(r.events_taken - coalesce(o.events_from, r.events_taken), 0), 0),
           event_seq = r.event_seq + 1
             + greatest(jsonb_array_length(o.events) - greatest(r.events_taken - coalesce(o.events_from, r.events_taken), 0), 0)
      from offered as o
     where r.id = o.run_id
       and r.lease_token = o.token  -- the fence: a stale attempt matches nothing
       and r.id = any (array(select x.run_id from offered as x))
    returning r.id, o.token, r.state, r.attempt, r.event_seq, r.events_new, r.error, r.due_at, r.cancel, r.pipeline, r.priority, o.events, o.outcome
  ),
  closed as (
    delete from ops.open_runs as q where q.run_id = any (array(select e.id from ended as e where e.state <> 'queued'))
  ),
  reopened as (
    update ops.open_runs as q set executor_id = null, due_at = e.due_at, rank = e.due_at - e.priority * interval '5 minutes'
      from ended as e
     where q.run_id = e.id and e.state = 'queued' and q.run_id = any (array(select x.id from ended as x where x.state = 'queued'))
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select e.id, (e.event_seq - 1 - jsonb_array_length(e.events) + x.n)::integer, e.attempt, coalesce(x.value ->> 'type', 'PHASE_PROGRESS'), v_now, coalesce(x.value -> 'data', '{}')
      from ended as e cross join lateral jsonb_array_elements(e.events) with ordinality as x (value, n)
     where x.n > jsonb_array_length(e.events) - e.events_new
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
  select coalesce(array_agg(e.id), '{}'), coalesce(array_agg(e.token), '{}'), coalesce(array_agg(e.state), '{}') into v_ids, v_tokens, v_states from ended as e;

  if cardinality(v_tokens) = jsonb_array_length(p_outcomes) then
    return query select e.id, true, e.state::text from unnest(v_ids, v_states) as e (id, state);
  else
    select coalesce(array_agg(a.token), '{}'), coalesce(array_agg(a.state), '{}') into v_again_tokens, v_again_states
      from (
        select distinct r.ended_token as token, r.state
          from jsonb_array_elements(p_outcomes) as o
          join ops.runs as r on r.id = (o ->> 'run_id')::uuid and r.ended_token = (o ->> 'token')::uuid  -- told before; the answer was lost
         where (o ->> 'token')::uuid <> all (v_tokens)
      ) as a;
    for v_lost in
      select (o ->> 'run_id')::uuid from jsonb_array_elements(p_outcomes) as o
       where (o ->> 'token')::uuid <> all (v_tokens || v_again_tokens) order by 1
    loop
      perform ops.refused_write(v_lost, 'finish');
    end loop;
    return query
    select (o ->> 'run_id')::uuid, e.state is not null, e.state::text
      from jsonb_array_elements(p_outcomes) as o
      left join unnest(v_tokens || v_again_tokens, v_states || v_again_states) as e (token, state) on e.token = (o ->> 'token')::uuid;
  end if;
  perform ops.settle_caps(p_outcomes, v_tokens);
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  -- A freed slot is its executor's own to fill (ops.claim_work); the dispatcher is needed for caps with room and for retries.
  if 'queued' = any (v_states) or exists (select 1 from ops.open_runs as q where q.held) then
    perform ops.ring_for_work();
  end if;
end
$$;
comment on function ops.finish_runs is
  'Ends leased runs in a batch: [{run_id, token, outcome, error, retry_in_ms, clear_checkpoint, events, events_from, manifest_sha256, usage}]. '
  'Refuses, by accepted = false, any run whose lease token is not current; an end that was told before is answered again. Callers: executors.';

create or replace function ops.requeue_stale_runs(p_limit integer default 1000) returns table (run_id uuid, state text)
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
  with lost as materialized (
    -- run by run of those that are held: a join might read the whole history instead
    select r.*
      from ops.open_runs as q
      cross join lateral (
        select r.id, r.cancel_requested_at, r.state, r.losses, r.max_losses from ops.runs as r
         where r.id = q.run_id and r.lease_expires_at < v_now for update skip locked
      ) as r
     where q.executor_id = any (array(select e.id from ops.executors as e))
     limit p_limit
  ),
  overdue as materialized (
    select r.*
      from ops.open_runs as q
      cross join lateral (
        select r.id, r.cancel_requested_at, p.time_limit_seconds
          from ops.runs as r
          join ops.pipelines as p on p.environment_id = r.environment_id and p.name = r.pipeline and p.time_limit_seconds is not null
         where r.id = q.run_id and r.state = 'running' and r.lease_expires_at >= v_now for update of r skip locked
      ) as r
     where q.stop_at < v_now and q.executor_id is not null
     limit p_limit
  ),
  verdict as materialized (
    select l.id, false as overdue, null::integer as time_limit_seconds, l.cancel_requested_at is not null as canceled,
           l.cancel_requested_at is null and l.state = 'running' and l.losses + 1 >= l.max_losses as quarantined
      from lost as l
    union all
    select o.id, true, o.time_limit_seconds, o.cancel_requested_at is not null, false from overdue as o
  ),
  rescued as (
    update ops.runs as r
       set state = case when v.canceled then 'canceled' when v.overdue or v.quarantined then 'failed' else 'queued' end::ops.run_state,
           cancel = case when v.canceled then 'presumed'::ops.cancel_end end,
           quarantined = v.quarantined,
           error = case when v.quarantined
                        then jsonb_build_object('code', 'RUN_QUARANTINED',
                               'message', format('Phase %s lost its executor %s times in a row.', r.phase, r.losses + 1),
                               'hint', 'Find out what kills the executor (memory is the usual cause), then `lakehouse run retry`.')
                        when v.overdue and not v.canceled
                        then jsonb_build_object('code', 'TIME_LIMIT',
                               'message', format('Phase %s was stopped: one attempt may work for %s s.', r.phase, v.time_limit_seconds),
                               'hint', 'Raise `time_limit_seconds` in the pipeline''s spec, or find out what takes so long.') end,
           finished_at = case when v.canceled or v.overdue or v.quarantined then v_now end,
           losses = r.losses + (r.state = 'running' and not v.overdue)::integer,
           failures = r.failures + v.overdue::integer,
           interruptions = r.interruptions + (r.state = 'claimed')::integer,
           due_at = v_now, lease_token = null, lease_expires_at = null, events_taken = 0, event_seq = r.event_seq + 1
      from verdict as v
     where r.id = v.id and r.id = any (array(select x.id from verdict as x))
    returning r.id, r.state, r.attempt, r.event_seq, r.pipeline, r.error, r.cancel, r.executor_id, r.priority, r.losses, r.quarantined, v.overdue
  ),
  closed as (
    delete from ops.open_runs as q where q.run_id = any (array(select r.id from rescued as r where r.state <> 'queued'))
  ),
  reopened as (
    update ops.open_runs as q
       set executor_id = null, due_at = v_now, rank = v_now - r.priority * interval '5 minutes', recovering = r.losses > 0
      from rescued as r
     where r.state = 'queued' and q.run_id = r.id and q.run_id = any (array(select x.id from rescued as x where x.state = 'queued'))
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select r.id, r.event_seq, r.attempt,
           case r.state when 'canceled' then 'RUN_CANCELED' when 'failed' then 'RUN_FAILED' else 'RUN_REQUEUED' end, v_now,
           case r.state
             when 'canceled' then jsonb_build_object('pipeline', r.pipeline, 'cancel', r.cancel)
             when 'failed' then jsonb_build_object('pipeline', r.pipeline, 'code', r.error ->> 'code', 'message', r.error ->> 'message', 'quarantined', r.quarantined)
             else jsonb_build_object('pipeline', r.pipeline, 'reason', 'lease_expired', 'executor', r.executor_id)
           end
      from rescued as r
  ),
  silenced as (
    -- an executor that let a lease run out gets nothing more until it beats again
    update ops.executors as e set lost_at = v_now
     where e.id in (select r.executor_id from rescued as r where not r.overdue) and e.lost_at is null
  )
  select r.id, r.state::text from rescued as r;
  if found then
    perform ops.leave_work();
    perform pg_catalog.pg_notify('lakehouse_feed', '');
  end if;
end
$$;
comment on function ops.requeue_stale_runs is
  'Takes runs whose lease ran out back: to the queue, to canceled (presumed) when a stop was asked for, to quarantine after max_losses; and '
  'fails those that outlast their time limit although their executor lives. Callers: dispatcher, executors.';

insert into ops.alert_rules (environment_id, name, event_types, condition, severity, summary)
select e.id, 'run_quarantined', '{RUN_FAILED}', '{"code": ["RUN_QUARANTINED"]}', 'critical', '{pipeline} is in quarantine: {message}'
  from ops.environments as e
    on conflict (environment_id, name) do nothing;

-- ---------------------------------------------------------------------------------------------------------------
-- Cancel: who, why, when
-- ---------------------------------------------------------------------------------------------------------------
create or replace function ops.cancel_run(p_run uuid, p_by text, p_reason text default null) returns text
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
       set state = 'canceled', cancel = 'confirmed', finished_at = v_now, cancel_requested_at = v_now, cancel_requested_by = p_by,
           cancel_reason = p_reason, wait_reason = null, event_seq = r.event_seq + 2
     where r.id = p_run;
  else
    -- the first who asked stays on the run; every one stands in its events
    update ops.runs as r
       set cancel_requested_at = coalesce(r.cancel_requested_at, v_now),
           cancel_requested_by = case when r.cancel_requested_at is null then p_by else r.cancel_requested_by end,
           cancel_reason = case when r.cancel_requested_at is null then p_reason else r.cancel_reason end,
           event_seq = r.event_seq + 1
     where r.id = p_run;
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

do $$
begin
  -- one column more, whatever the view has by now
  execute 'create or replace view api.runs with (security_invoker = true) as '
    || regexp_replace(pg_catalog.pg_get_viewdef('api.runs'::regclass), '\s+FROM ops\.runs r;\s*$', ', case when r.cancel_requested_at is not null then '
         'jsonb_build_object(''by'', r.cancel_requested_by, ''reason'', r.cancel_reason, ''at'', r.cancel_requested_at) end as cancel_request from ops.runs as r');
end
$$;

create or replace view api.executors with (security_invoker = true) as
select e.id, e.name, e.capabilities, e.slots, e.version, e.draining, e.registered_at, e.last_seen_at, e.lost_at,
       e.signed_off_at, e.drain_requested_at, e.drain_requested_by, e.drain_reason
  from ops.executors as e;

-- ---------------------------------------------------------------------------------------------------------------
-- Grants
-- ---------------------------------------------------------------------------------------------------------------
revoke execute on all functions in schema ops from public;
grant execute on function ops.sign_off, ops.open_session, ops.handed_over to lakehouse_executor;
grant execute on function ops.drain_executor, ops.undrain_executor to lakehouse_controlroom;
grant select (cancel_requested_by, cancel_reason) on ops.runs to authenticated, lakehouse_controlroom;
