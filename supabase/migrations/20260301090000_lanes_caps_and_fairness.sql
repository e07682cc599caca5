-- Lanes, caps of every kind, and fairness between projects.
--
-- A lane is what all waiting runs of one pipeline with the same labels share: their project, their needs and their caps. Leasing looks
-- at lanes, never at every run: the room under a lane's caps and its project's share become the LIMIT of one index scan per lane.
--
-- Caps and their ledger are small, so that rewriting and checking them takes no time that anybody notices; open runs may be many and are copied
-- before anything is locked. What is dropped or renamed was used by functions that this file replaces, and nothing of release 0.1 outside the
-- database names it.
-- squawk-ignore-file adding-field-with-default, adding-foreign-key-constraint, adding-not-nullable-field, ban-drop-constraint
-- squawk-ignore-file ban-drop-function, ban-drop-not-null, ban-drop-table, changing-column-type, constraint-missing-not-valid
-- squawk-ignore-file renaming-column, renaming-object, renaming-table, require-concurrent-index-deletion

-- In plpgsql, whose plans last as long as a session: this is called several times by everything, and Postgres plans a function in SQL anew in
-- each statement that calls it.
create or replace function ops.now() returns timestamptz
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_catalog.clock_timestamp() + (select c.shift from ops.clock as c);
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- The doorbell: rung at most every five milliseconds, for a NOTIFY makes all notifying commits go one by one
-- ---------------------------------------------------------------------------------------------------------------
-- Sequences, because what they hold is seen at once and by all, commits or not. These two hold milliseconds since 1970.
create unlogged sequence ops.work_bell_rung;
create unlogged sequence ops.work_bell_missed;
-- Counts how often work was left waiting, and the count up to which a look found that none waits any more.
-- Asking the table instead is dear while an old snapshot keeps its dead rows; after a crash both are unknown until the next look.
create unlogged sequence ops.work_left;
create unlogged sequence ops.work_none;
create unlogged sequence ops.work_none_at;  -- when that look was, in milliseconds since 1970

create function ops.ring_for_work(p_lane integer default null, p_runs uuid[] default null) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
begin
  perform ops.leave_work();
  if v_now - pg_sequence_last_value('ops.work_bell_rung'::regclass) between 0 and 4 then
    perform setval('ops.work_bell_missed', v_now);
  else
    perform setval('ops.work_bell_rung', v_now);
    perform pg_notify('lakehouse_work', '');
  end if;
end
$$;
comment on function ops.ring_for_work is
  'Wakes the dispatcher, unless somebody did within five milliseconds: then it is left a note to look again (ops.next_look_in_ms). '
  'p_runs: a few new runs of one lane, which a later file hands over at once. Callers: functions that add work.';

create function ops.leave_work() returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('ops.leaves_work', 0));
  perform nextval('ops.work_left');
end
$$;
comment on function ops.leave_work is 'This transaction leaves work waiting: no look may find that none waits before it has ended. Callers: functions here.';

create function ops.work_left_before_look() returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_left bigint := coalesce(pg_sequence_last_value('ops.work_left'::regclass), 0);
begin
  -- held for an instant: whoever leaves work from here on counts on
  if not pg_try_advisory_lock(hashtextextended('ops.leaves_work', 0)) then
    return null;
  end if;
  perform pg_advisory_unlock(hashtextextended('ops.leaves_work', 0));
  return v_left;
end
$$;
comment on function ops.work_left_before_look is
  'The count of ops.work_left, when all that it counts is to be seen by the next statement; null while somebody''s transaction is open. Callers: ops.lease_due.';

create function ops.found_no_work(p_counted bigint, p_now timestamptz) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_counted is not null then
    perform setval('ops.work_none_at', (extract(epoch from p_now) * 1000)::bigint);
    perform setval('ops.work_none', p_counted + 1);
  end if;
end
$$;
comment on function ops.found_no_work is
  'A look at p_now found that none waits of what ops.work_left_before_look had counted (null: cannot tell). Callers: ops.lease_due.';

create function ops.next_look_in_ms() returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    -- Whoever did not ring may commit after the look that the ring led to: look again after 5, 10, 20 ... milliseconds, for two seconds.
    select case when a.age between 0 and 2000 then greatest(a.age, 5) else 3600000 end::integer
      from (select (extract(epoch from clock_timestamp()) * 1000)::bigint
                   - coalesce(pg_sequence_last_value('ops.work_bell_missed'::regclass), 0) as age) as a
  );
end
$$;
comment on function ops.next_look_in_ms is
  'Milliseconds until the dispatcher should look again because somebody added work without ringing; an hour when nobody did. Callers: dispatcher.';

-- ---------------------------------------------------------------------------------------------------------------
-- Lanes, and those of the runs that wait, found before anything is locked
-- ---------------------------------------------------------------------------------------------------------------
create table ops.lanes (
  id integer primary key generated always as identity,
  environment_id uuid not null references ops.environments (id),
  project_id uuid not null references ops.projects (id),
  organization_id uuid not null references ops.organizations (id),
  pipeline text not null,
  labels text[] not null,
  requires text[] not null,
  prefers text not null,
  unique (environment_id, pipeline, labels, requires, prefers)
);
create index lanes_of_a_project on ops.lanes (project_id);
create index lanes_of_an_organization on ops.lanes (organization_id);
comment on table ops.lanes is 'What runs that wait together share: scope, pipeline, labels, needs. Made by ops.enqueue_runs, never changed.';
alter table ops.lanes enable row level security;
create policy "The control room sees all rows" on ops.lanes for select to lakehouse_controlroom using (true);
grant select on ops.lanes to lakehouse_controlroom;

-- Open runs with their lanes are written beside the table that is in use and change places with it below: nobody waits for that long.
create table ops.open_runs_laned (
  run_id uuid primary key,
  requires text[],  -- this one and priority are dropped by a later file: a call that began before goes on with its text, and names both
  priority smallint,
  due_at timestamptz not null,
  held boolean not null default false,
  executor_id uuid,
  lane_id integer not null,  -- without a foreign key, which every run would ask: ops.enqueue_runs takes the lane from ops.lanes
  rank timestamptz not null,
  recovering boolean not null default false,
  estimate jsonb,
  session uuid,
  constraint held_runs_have_no_holder check (not held or executor_id is null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

create function ops.copy_open_runs() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  drop table if exists pg_temp.missing;
  create temporary table missing as
  select q.*, r.environment_id, r.pipeline, r.recovering
    from (select o.* from ops.open_runs as o where o.run_id not in (select n.run_id from ops.open_runs_laned as n)) as q
    cross join lateral (  -- run by run: a join would read the whole history
      select x.environment_id, x.pipeline, x.losses > 0 as recovering from ops.runs as x where x.id = q.run_id offset 0) as r;
  insert into ops.lanes (environment_id, project_id, organization_id, pipeline, labels, requires, prefers)
  select distinct m.environment_id, e.project_id, p.organization_id, m.pipeline, '{}'::text[], m.requires, ''
    from pg_temp.missing as m
    join ops.environments as e on e.id = m.environment_id
    join ops.projects as p on p.id = e.project_id
      on conflict do nothing;
  insert into ops.open_runs_laned (run_id, requires, priority, due_at, held, executor_id, lane_id, rank, recovering)
  select m.run_id, m.requires, m.priority, m.due_at, m.held, m.executor_id, l.id, m.due_at - m.priority * interval '5 minutes', m.recovering
    from pg_temp.missing as m
    join ops.lanes as l on l.environment_id = m.environment_id and l.pipeline = m.pipeline and l.requires = m.requires and l.labels = '{}' and l.prefers = '';
  drop table pg_temp.missing;
end
$$;
select ops.copy_open_runs();
create index open_runs_waiting on ops.open_runs_laned (lane_id, rank, run_id) where executor_id is null and not recovering;
create index open_runs_by_due_time on ops.open_runs_laned (due_at) where executor_id is null;
create index open_runs_recovering on ops.open_runs_laned (due_at) where executor_id is null and recovering;
create index open_runs_of_a_lane_held on ops.open_runs_laned (lane_id, rank) where held;
create index open_runs_by_holder_and_lane on ops.open_runs_laned (executor_id, lane_id) where executor_id is not null;
comment on table ops.open_runs_laned is
  'The hot half of runs: one narrow row per run that has not ended, so that what is searched all day stays small and ops.runs '
  'never touches an index after its insert. Locks are taken here first while a run waits, on ops.runs first while it is leased.';
comment on column ops.open_runs_laned.rank is
  'Place in the lane: due_at moved ahead by five minutes for each step of priority, so that whatever waits long enough goes first.';
comment on column ops.open_runs_laned.recovering is 'Its executor was lost: it is leased again whatever the caps say, or recovery could wait for itself.';
comment on column ops.open_runs_laned.estimate is 'What the run reserves under metered caps while it is leased.';
alter table ops.open_runs_laned enable row level security;
create policy "The control room sees all rows" on ops.open_runs_laned for select to lakehouse_controlroom using (true);
grant select on ops.open_runs_laned to lakehouse_controlroom;

-- ---------------------------------------------------------------------------------------------------------------
-- What counts against caps. These functions name columns that are added below; making them takes time, which nobody waits for here.
-- ---------------------------------------------------------------------------------------------------------------
set local check_function_bodies = off;

create function ops.cap_used(p_cap ops.caps, p_now timestamptz) returns numeric
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of what these tables hold is not asked about
set jit = off
as $$
declare
  v_used numeric := 0;
begin
  if p_cap.kind <> 'concurrency' then
    select coalesce(sum(u.amount), 0) into v_used from ops.cap_usage as u
     where u.cap_id = p_cap.id and u.at > p_now - make_interval(secs => p_cap.window_seconds)
       and u.at <= ops.ledger_row(p_cap, p_now);  -- what a clock that ran ahead left behind counts when its time comes
  end if;
  if p_cap.kind = 'runs' then
    return v_used;
  elsif p_cap.scope = 'executor' then
    return v_used + (
      select coalesce(sum(case p_cap.kind when 'concurrency' then 1 else (q.estimate ->> p_cap.kind)::numeric end), 0)
        from ops.executors as e join ops.open_runs as q on q.executor_id = e.id where e.name = p_cap.subject);
  elsif p_cap.kind = 'concurrency' then
    return (select count(*) from ops.open_runs as q
             where q.executor_id is not null and q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id));
  end if;
  return v_used + (
    select coalesce(sum((q.estimate ->> p_cap.kind)::numeric), 0)
      from ops.open_runs as q
     where q.executor_id is not null and q.estimate is not null
       and q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id));
end
$$;
comment on function ops.cap_used is 'What counts against a cap now: its ledger within the window, and what leased runs reserve. Callers: functions here.';

create function ops.cap_facts(p_cap ops.caps, p_now timestamptz) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  with ledger as materialized (
    select u.at, u.run_ids from ops.cap_usage as u
     where u.cap_id = p_cap.id and u.at > p_now - make_interval(secs => p_cap.window_seconds) and u.at <= ops.ledger_row(p_cap, p_now)
  ),
  leased as (
    select r.id, r.created_at from ops.open_runs as q join ops.runs as r on r.id = q.run_id
     where q.executor_id is not null and p_cap.kind <> 'runs'
       and (q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id)
         or q.executor_id in (select e.id from ops.executors as e where p_cap.scope = 'executor' and e.name = p_cap.subject))
  )
  select jsonb_strip_nulls(jsonb_build_object(
    'cap', p_cap.name, 'cap_id', p_cap.id, 'kind', p_cap.kind, 'scope', p_cap.scope, 'subject', p_cap.subject, 'behaviour', p_cap.behaviour,
    'limit', trim_scale(ops.ceiling(p_cap, p_now)), 'used', trim_scale(ops.cap_used(p_cap, p_now)),
    'unit', case p_cap.kind when 'concurrency' then 'runs' else p_cap.kind end, 'window_seconds', p_cap.window_seconds,
    'holders', coalesce(
      (select jsonb_agg(h.id order by h.created_at) from (select l.* from leased as l order by l.created_at limit 5) as h),
      (select jsonb_agg(h.id) from (select x.id from ledger as l cross join lateral unnest(l.run_ids) as x (id) order by l.at desc limit 5) as h)),
    'frees_at', (select min(l.at) + make_interval(secs => p_cap.window_seconds) from ledger as l)))
$$;
comment on function ops.cap_facts is 'A cap as a wait reason shows it: limit, use, who holds it, when its window frees something. Callers: functions here.';

create function ops.needs_of(p_cap ops.caps, p_estimate jsonb) returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_cap.kind in ('concurrency', 'runs') then 1 else coalesce((p_estimate ->> p_cap.kind)::numeric, 0) end;
end
$$;
comment on function ops.needs_of is 'What one run asks of a cap. Callers: functions here.';

create function ops.first_full(p_caps uuid[], p_estimate jsonb, p_now timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap ops.caps;
  v_needs numeric;
  v_room numeric;
begin
  for v_cap in
    select c.* from ops.caps as c where c.id = any (p_caps) order by c.name
  loop
    v_needs := ops.needs_of(v_cap, p_estimate);
    v_room := ops.ceiling(v_cap, p_now) - ops.cap_used(v_cap, p_now);
    if v_needs > v_room or v_room <= 0 then
      return ops.cap_facts(v_cap, p_now) || jsonb_build_object('needs', trim_scale(v_needs));
    end if;
  end loop;
  return null;
end
$$;
comment on function ops.first_full is 'The facts of the first of these caps that one more run does not fit under, or null. Callers: functions here.';

create function ops.lane_block(p_lane integer, p_estimate jsonb, p_now timestamptz) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select ops.first_full(array(select m.cap_id from ops.lane_caps as m where m.lane_id = p_lane), p_estimate, p_now) $$;
comment on function ops.lane_block is 'Why one more run of a lane may not start now: the facts of the first full cap, or null when it may. Callers: functions here.';

create function ops.amounts(p_amounts jsonb, p_what text) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_bad record;
begin
  if p_amounts is null or p_amounts in ('null', '{}') then
    return null;
  elsif jsonb_typeof(p_amounts) <> 'object' then
    perform ops.refuse('INVALID_INPUT', 400, format('%s is no object of amounts: %s', p_what, left(p_amounts::text, 60)), 'Write, for example, {"rows": 1000}.');
  end if;
  for v_bad in
    select a.key, left(a.value, 40) as value from jsonb_each_text(p_amounts) as a
     where a.key not in ('rows', 'bytes', 'queries', 'compute_seconds', 'cost') or coalesce(a.value, '') !~ '^[0-9]{1,18}([.][0-9]{1,18})?$'
     order by a.key limit 1
  loop
    perform ops.refuse('INVALID_INPUT', 400, format('%s says %s = %s', p_what, left(v_bad.key, 40), coalesce(v_bad.value, 'null')),
                       'Amounts of rows, bytes, queries, compute_seconds and cost are numbers from 0 to 10^18.');
  end loop;
  return (select jsonb_object_agg(a.key, a.value::numeric) from jsonb_each_text(p_amounts) as a);
end
$$;
comment on function ops.amounts is 'Metered amounts as numbers; null when there are none. Raises INVALID_INPUT for what is none. Callers: functions here.';

create function ops.sum_amounts(p_one jsonb, p_other jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_object_agg(s.key, s.amount)
    from (select a.key, sum(a.value::numeric) as amount
            from (values (p_one), (p_other)) as x (amounts)
            cross join lateral jsonb_each_text(case when jsonb_typeof(x.amounts) = 'object' then x.amounts else '{}' end) as a
           where a.key in ('rows', 'bytes', 'queries', 'compute_seconds', 'cost') and a.value ~ '^[0-9]{1,18}([.][0-9]{1,40})?([eE]-[0-9]{1,2})?$'
           group by a.key) as s
$$;
comment on function ops.sum_amounts is 'Two sets of metered amounts added; what is no amount is left out. Callers: functions here.';

create function ops.lane_draft(p_environment uuid, p_pipeline text, p_labels text[]) returns ops.lanes
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select null::integer, p.environment_id, j.id, j.organization_id, p.name, array(select distinct x from unnest(p.labels || p_labels) as x order by x),
         p.requires, p.prefers
    from ops.pipelines as p
    join ops.environments as e on e.id = p.environment_id
    join ops.projects as j on j.id = e.project_id
   where p.environment_id = p_environment and p.name = p_pipeline
$$;
comment on function ops.lane_draft is 'The lane that runs of a pipeline with these labels belong to, whether it was made yet or not. Callers: functions here.';

drop function ops.cap_allow(uuid, text);
create function ops.cap_allow(p_environment uuid, p_pipeline text, p_labels text[] default '{}', p_estimate jsonb default null) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_lane ops.lanes := ops.lane_draft(p_environment, p_pipeline, p_labels);
  v_estimate jsonb := ops.amounts(p_estimate, 'the estimate');
  v_reason jsonb;
begin
  if v_lane.pipeline is null then
    perform ops.refuse('NOT_FOUND', 404, format('there is no pipeline %L', p_pipeline), '`lakehouse pipeline list` shows what there is.');
  end if;
  v_reason := ops.first_full(
    array(select c.id from ops.caps as c where c.enabled and ops.cap_applies(c, v_lane)),
    coalesce(v_estimate, (select p.estimate from ops.pipelines as p where p.environment_id = p_environment and p.name = p_pipeline)), ops.now());
  return jsonb_build_object('allowed', v_reason is null, 'reason', v_reason);
end
$$;
comment on function ops.cap_allow is
  'Dry run of the caps for one more run of a pipeline: {"allowed", "reason"}; changes nothing. Raises NOT_FOUND, INVALID_INPUT. Callers: CLI, control room.';

create function ops.lane_of(p_environment uuid, p_pipeline text, p_labels text[]) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_lane integer;
begin
  for _ in 1..2 loop
    select l.id into v_lane
      from ops.pipelines as p
      join ops.lanes as l
        on l.environment_id = p.environment_id and l.pipeline = p.name and l.requires = p.requires and l.prefers = p.prefers
       and l.labels = array(select distinct x from unnest(p.labels || p_labels) as x order by x)
     where p.environment_id = p_environment and p.name = p_pipeline;
    exit when found;
    insert into ops.lanes (environment_id, project_id, organization_id, pipeline, labels, requires, prefers)
    select d.environment_id, d.project_id, d.organization_id, d.pipeline, d.labels, d.requires, d.prefers
      from ops.lane_draft(p_environment, p_pipeline, p_labels) as d where d.pipeline is not null
        on conflict do nothing;
  end loop;
  return v_lane;
end
$$;
comment on function ops.lane_of is 'The lane of a pipeline''s runs with these labels, made when it is new; null for an unknown pipeline. Callers: functions here.';

create function ops.find_lane() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.runs as r set lane_id = ops.lane_of(r.environment_id, r.pipeline, '{}') where r.id = new.run_id returning r.lane_id into new.lane_id;
  new.rank := new.due_at - new.priority * interval '5 minutes';
  return new;
end
$$;
comment on function ops.find_lane is 'Puts a run into its lane that a call from before this file opens behind it; a later file drops it. Callers: triggers.';

-- ---------------------------------------------------------------------------------------------------------------
-- Leasing by lane
-- ---------------------------------------------------------------------------------------------------------------
drop function ops.lease_capped(integer, uuid, timestamptz);
drop function ops.charge_caps(uuid, uuid, text, integer, timestamptz);

create function ops.cap_rooms(p_caps uuid[], p_now timestamptz) returns numeric[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
  return (
    with leased as materialized (  -- one pass for all caps on concurrency
      select q.lane_id, count(*) as runs from ops.open_runs as q where q.executor_id is not null group by q.lane_id
    )
    select array(
      select ops.ceiling(c, p_now) - case when c.kind = 'concurrency' and c.scope <> 'executor' then (
               select coalesce(sum(l.runs), 0) from ops.lane_caps as m join leased as l on l.lane_id = m.lane_id where m.cap_id = c.id)
             else ops.cap_used(c, p_now) end
        from unnest(p_caps) with ordinality as x (id, n) left join ops.caps as c on c.id = x.id order by x.n)
  );
end
$$;
comment on function ops.cap_rooms is 'What is left under each cap, in the order they are given. Callers: ops.lease_due.';

create function ops.waiting_lanes() returns integer[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
begin
  return (
    -- a loose scan of open_runs_waiting: one step per lane that has runs waiting, however long its queue is
    with recursive lane as (
      (select q.lane_id as id from ops.open_runs as q where q.executor_id is null and not q.recovering order by q.lane_id limit 1)
      union all
      select (select q.lane_id from ops.open_runs as q
               where q.executor_id is null and not q.recovering and q.lane_id > l.id order by q.lane_id limit 1)
        from lane as l where l.id is not null
    )
    select array(
      select l.id from lane as l where l.id is not null
      union
      select distinct q.lane_id from ops.open_runs as q where q.executor_id is null and q.recovering)
  );
end
$$;
comment on function ops.waiting_lanes is 'Lanes with a run that no executor holds. Callers: functions here.';

create function ops.none_waits(p_now timestamptz, p_within_ms bigint default 10000, p_but uuid[] default '{}') returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
  v_at bigint;
begin
  if pg_sequence_last_value('ops.work_none'::regclass) is distinct from coalesce(pg_sequence_last_value('ops.work_left'::regclass), 0) + 1 then
    return false;
  end if;
  v_at := pg_sequence_last_value('ops.work_none_at'::regclass);
  return v_at is not null and extract(epoch from p_now) * 1000 - v_at between 0 and p_within_ms  -- were a note ever missing, the queue itself is asked so soon
    and not exists (
      select 1 from ops.open_runs as q
       where q.executor_id is null and q.due_at > to_timestamp(v_at / 1000.0) and q.due_at <= p_now and q.run_id <> all (p_but));
end
$$;
comment on function ops.none_waits is
  'Whether no run waits, as far as a look of the last ten seconds found, nobody has left work since and nothing fell due since. Saves walking over '
  'what an old snapshot keeps of runs long gone. p_but: runs that are not asked about. False: unknown. Callers: ops.lease_due, ops.next_due_in_ms, ops.hand_over.';

create function ops.free_executors(p_only uuid, p_now timestamptz) returns table (id uuid, capabilities text[], slots integer, held integer)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan  -- planning costs ten times what the statement does
set jit = off
as $$
begin
  return query
  with free as materialized (
    select e.id, e.capabilities, e.slots, (select count(*) from ops.open_runs as h where h.executor_id = e.id)::integer as held
      from ops.executors as e
     where (e.id = p_only
            or p_only is null and (e.pulling_until is null or e.pulling_until < p_now)
               -- what one executor may do is a matter of its own leases: see ops.lease_runs
               and not exists (select 1 from ops.caps as c where c.enabled and c.scope = 'executor' and c.subject = e.name))
       and not e.draining and e.lost_at is null
       and e.last_seen_at > p_now - (select make_interval(secs => s.executor_ttl_ms / 1000.0) from ops.settings as s)
  )
  select f.id, f.capabilities, f.slots - f.held, f.held from free as f where f.slots > f.held;
end
$$;
comment on function ops.free_executors is
  'Executors that can take work now, or the one that pulls, with their free slots and the runs they hold. Callers: functions here.';

create function ops.free_slots(p_needs text[], p_prefers text, p_limit integer, p_only uuid, p_now timestamptz) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_only is not null then
    return coalesce((
      select array_fill(f.id, array[least(f.slots, p_limit)]) from ops.free_executors(p_only, p_now) as f where f.capabilities @> p_needs), '{}');
  end if;
  return array(
    -- preferred executors first, then those that would hold fewest, so that work spreads before it piles up on one
    select f.id from ops.free_executors(p_only, p_now) as f cross join lateral generate_series(1, least(f.slots, p_limit)) as s (depth)
     where f.capabilities @> p_needs
     order by f.capabilities @> array[p_prefers] desc, f.held + s.depth, f.id limit p_limit);
end
$$;
comment on function ops.free_slots is 'Executors that can take work with these needs, each as often as it has free slots, in the order of use. Callers: functions here.';

create function ops.choose_in_lane(p_lane integer, p_slots integer, p_room integer, p_now timestamptz) returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_runs uuid[];
begin
  with recovering as materialized (
    select q.run_id from ops.open_runs as q
     where q.executor_id is null and q.recovering and q.due_at <= p_now and q.lane_id = p_lane
     order by q.due_at limit p_slots for update of q skip locked
  )
  select array(
    select r.run_id from recovering as r
    union all
    select w.run_id from (
      select q.run_id from ops.open_runs as q
       where q.lane_id = p_lane and q.executor_id is null and not q.recovering and q.due_at <= p_now
       order by q.rank, q.run_id limit (select greatest(least(p_slots, p_room) - count(*), 0) from recovering) for update of q skip locked
    ) as w
  )
    into v_runs;
  return v_runs;
end
$$;
comment on function ops.choose_in_lane is
  'Locks the next runs of the only lane that waits: recovering ones first, whatever the room under its caps. Callers: ops.lease_due.';

create function ops.choose_fairly(p_lanes integer[], p_most integer[], p_limit integer, p_caps uuid[], p_rooms numeric[], p_now timestamptz)
returns table (run_id uuid, lane_id integer, n bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_shares boolean := (select count(distinct l.project_id) > 1 from ops.lanes as l where l.id = any (p_lanes));
  v_each integer := greatest(20000, p_limit) / cardinality(p_lanes) + 1;  -- so many lanes at once that the order may suffer stay affordable
begin
  return query
  with rule as materialized (
    select c.id, c.kind, c.scope, c.kind in ('concurrency', 'runs') as counts, ops.ceiling(c, p_now) as ceiling, x.room
      from unnest(p_caps, p_rooms) as x (id, room) join ops.caps as c on c.id = x.id
  ),
  applies as materialized (
    select m.lane_id, k.* from rule as k join ops.lane_caps as m on m.cap_id = k.id where m.lane_id = any (p_lanes)
    union all
    select l.id, k.* from rule as k cross join unnest(p_lanes) as l (id) where k.scope = 'executor'
  ),
  busy as materialized (
    select m.project_id, count(*) as runs from ops.open_runs as h join ops.lanes as m on m.id = h.lane_id
     where v_shares and h.executor_id is not null group by m.project_id
  ),
  lane as materialized (
    select l.id, l.project_id, coalesce(b.runs, 0) as busy, case when v_shares then p.weight else 1 end as weight,
           (select bool_or(not a.counts) from applies as a where a.lane_id = l.id) as metered,
           greatest(least(v_each, x.most, p_limit, (
             select min(floor(a.room)) from applies as a where a.lane_id = l.id and (a.counts or a.room <= 0))), 0)::bigint as at_most
      from unnest(p_lanes, p_most) as x (id, most)
      join ops.lanes as l on l.id = x.id
      join ops.projects as p on p.id = l.project_id
      left join busy as b on b.project_id = l.project_id
  ),
  candidates as materialized (
    select d.run_id, d.rank, d.estimate, l.id as lane_id, l.project_id, l.busy, l.weight, false as recovering
      from lane as l
      cross join lateral (
        select q.run_id, q.rank, q.estimate from ops.open_runs as q
         where q.lane_id = l.id and q.executor_id is null and not q.recovering and q.due_at <= p_now
           -- what asks for more than a cap ever allows must not stand in the way of what is behind it
           and not (q.estimate is not null and l.metered and exists (
             select 1 from applies as a where a.lane_id = l.id and not a.counts and (q.estimate ->> a.kind)::numeric > a.ceiling))
         order by q.rank, q.run_id limit l.at_most
      ) as d
    union all
    select d.run_id, d.rank, d.estimate, d.lane_id, null, 0, 1, true
      from (
        select q.run_id, q.rank, q.estimate, q.lane_id from ops.open_runs as q
         where q.executor_id is null and q.recovering and q.due_at <= p_now and q.lane_id = any (p_lanes)
         order by q.due_at limit p_limit
      ) as d
  ),
  -- Fairness: the n-th run of a project stands behind what that project holds already, in steps of its weight.
  due as materialized (
    select c.run_id, c.lane_id, c.estimate, c.recovering,
           row_number() over (
             order by c.recovering desc, case when v_shares then (c.busy + c.of_project) / c.weight end, c.rank, c.run_id) as n
      from (select x.*, row_number() over (partition by x.recovering, x.project_id order by x.rank, x.run_id) as of_project
              from candidates as x) as c
  ),
  -- A run is over a cap when those before it use the room up; one that another cap turns away still counts, so never too many pass.
  over as materialized (
    select w.run_id
      from (
        select d.run_id, d.recovering, a.room,
               sum(case when a.counts then 1 else coalesce((d.estimate ->> a.kind)::numeric, 0) end) over (partition by a.id order by d.n) as wanted
          from due as d join applies as a on a.lane_id = d.lane_id
      ) as w
     where not w.recovering and (w.wanted > w.room or w.room <= 0)
  ),
  chosen as materialized (
    select d.run_id, d.lane_id, d.n from due as d where d.run_id not in (select o.run_id from over as o) order by d.n limit p_limit
  )
  select k.run_id, k.lane_id, k.n
    from (select c.* from chosen as c join ops.open_runs as q on q.run_id = c.run_id
           where q.run_id = any (array(select x.run_id from chosen as x)) and q.executor_id is null for update of q skip locked) as k
   order by k.n;
end
$$;
comment on function ops.choose_fairly is
  'Locks the next runs of several lanes, or of lanes under caps, in order: recovering runs first, then fair between projects, then by rank, within '
  'the room under each cap. p_most: free slots for each lane''s needs; p_rooms: what is left under each of p_caps. The caller holds the lock on '
  'leases. Callers: ops.lease_due.';

create function ops.lease_chosen(
  p_runs uuid[], p_executors uuid[], p_only uuid, p_start boolean, p_caps uuid[], p_now timestamptz, p_session uuid default null
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_settings ops.settings;
  v_by jsonb := jsonb_build_object('executor', p_only);
begin
  select * into v_settings from ops.settings;
  with matched as materialized (
    select m.run_id, m.executor_id from unnest(p_runs, p_executors) as m (run_id, executor_id) where m.run_id is not null
  ),
  marked as (
    update ops.open_runs as q set executor_id = m.executor_id, held = false, recovering = false, session = p_session
      from matched as m
     where q.run_id = m.run_id
       and q.run_id = any (p_runs)  -- keeps the plan on the primary key
  ),
  leased as (
    update ops.runs as r
       set state = case when p_start then 'running' else 'claimed' end::ops.run_state,
           executor_id = m.executor_id, lease_token = gen_random_uuid(), attempt = r.attempt + 1, wait_reason = null,
           lane_id = coalesce(r.lane_id, (select q.lane_id from ops.open_runs as q where q.run_id = r.id)),
           lease_expires_at = p_now + make_interval(secs => case when p_start then v_settings.lease_ms else v_settings.start_timeout_ms end / 1000.0),
           started_at = case when p_start then coalesce(r.started_at, p_now) else r.started_at end,
           phase = case when not p_start then r.phase when r.checkpoint = '{}' then r.phases[1] else ops.next_phase(r.phases, r.checkpoint) end,
           event_seq = r.event_seq + case when p_start then 2 else 1 end
      from matched as m
     where r.id = m.run_id
       and r.id = any (p_runs)
    returning r.id, r.executor_id, r.event_seq, r.attempt, r.phase
  )
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select l.id, l.event_seq - p_start::integer, l.attempt, 'PHASE_CLAIMED', p_now,
         case when p_only is null then jsonb_build_object('executor', l.executor_id) else v_by end
    from leased as l
  union all
  select l.id, l.event_seq, l.attempt, 'PHASE_STARTED', p_now, jsonb_build_object('phase', l.phase) from leased as l where p_start;

  if cardinality(p_caps) > 0 then
    with marked as materialized (
      select q.run_id, q.lane_id from ops.open_runs as q where q.run_id = any (p_runs)
    ),
    taken as (
      select k.lane_id, count(*) as runs from marked as k group by k.lane_id
    )
    insert into ops.cap_usage as u (cap_id, at, amount, run_ids)
    select c.id, ops.ledger_row(c, p_now), sum(t.runs),
           array(select k.run_id from marked as k where k.lane_id in (select x.lane_id from ops.lane_caps as x where x.cap_id = c.id) limit 5)
      from taken as t
      join ops.lane_caps as a on a.lane_id = t.lane_id
      join ops.caps as c on c.id = a.cap_id and c.kind = 'runs'
     group by c.id
    union all
    select c.id, ops.ledger_row(c, p_now), cardinality(p_runs), p_runs[1:5]
      from ops.executors as e
      join ops.caps as c on c.enabled and c.scope = 'executor' and c.subject = e.name and c.kind = 'runs'
     where e.id = p_only
        on conflict (cap_id, at) do update set amount = u.amount + excluded.amount, run_ids = (excluded.run_ids || u.run_ids)[1:5];
  end if;
end
$$;
comment on function ops.lease_chosen is 'Leases each run to the executor beside it, with its events and what caps count. The caller holds the runs'' locks. Callers: ops.lease_due, ops.hand_over.';

create or replace function ops.lease_due(p_limit integer, p_only uuid, p_start boolean default false)
returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set plan_cache_mode = force_generic_plan  -- planning costs more than these statements
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_now timestamptz := ops.now();
  v_counted bigint;
  v_waiting integer[];
  v_some_wait boolean := true;
  v_lanes integer[];
  v_most integer[];
  v_caps uuid[];
  v_rooms numeric[];
  v_metered boolean;
  v_left integer := p_limit;
  v_wanted integer;
  v_leased integer := 0;
  v_group record;
  v_runs uuid[];
  v_runs_lanes integer[];
  v_slots uuid[];
begin
  if (select s.paused_at is not null from ops.settings as s) or ops.none_waits(v_now) then
    return;
  end if;
  v_counted := ops.work_left_before_look();
  v_waiting := ops.waiting_lanes();
  if cardinality(v_waiting) = 0 then
    perform ops.found_no_work(v_counted, v_now);
    return;
  end if;
  select coalesce(array_agg(c.id), '{}'), coalesce(bool_or(c.kind not in ('concurrency', 'runs')), false) into v_caps, v_metered
    from (
      select c.id, c.kind from ops.caps as c where c.id in (select m.cap_id from ops.lane_caps as m where m.lane_id = any (v_waiting))
      union all
      select c.id, c.kind from ops.executors as e join ops.caps as c on c.enabled and c.scope = 'executor' and c.subject = e.name where e.id = p_only
    ) as c;
  if cardinality(v_waiting) > 1 or cardinality(v_caps) > 0 then
    -- one at a time: room and shares are counted in statements of their own behind the lock, which see what its last holder leased
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.leases', 0));
  end if;

  while v_left > 0 loop
    v_rooms := case when cardinality(v_caps) > 0 then ops.cap_rooms(v_caps, v_now) end;
    v_leased := 0;
    if cardinality(v_waiting) = 1 and not v_metered then
      select l.requires, l.prefers into v_group from ops.lanes as l where l.id = v_waiting[1];
      v_slots := ops.free_slots(v_group.requires, v_group.prefers, v_left, p_only, v_now);
      v_leased := cardinality(v_slots);
      exit when v_leased = 0;
      v_wanted := case when v_rooms is null then v_leased else least(v_leased, (select floor(min(r.room)) from unnest(v_rooms) as r (room)))::integer end;
      v_runs := ops.choose_in_lane(v_waiting[1], v_leased, v_wanted, v_now);
      v_leased := cardinality(v_runs);
      v_some_wait := v_leased >= v_wanted;
      exit when v_leased = 0;
      perform ops.lease_chosen(v_runs, v_slots[1:v_leased], p_only, p_start, v_caps, v_now);
      return query select x.run_id, x.executor_id from unnest(v_runs, v_slots[1:v_leased]) as x (run_id, executor_id);
      exit;
    end if;

    with free as materialized (select f.capabilities, f.slots from ops.free_executors(p_only, v_now) as f)
    select array_agg(x.id order by x.id), array_agg(x.slots order by x.id), least(v_left, (select sum(f.slots) from free as f))
      into v_lanes, v_most, v_wanted
      from (
        select l.id, least(v_left, (select coalesce(sum(f.slots), 0) from free as f where f.capabilities @> l.requires)) as slots
          from ops.lanes as l where l.id = any (v_waiting)
      ) as x
     where x.slots > 0;
    exit when v_lanes is null;
    select array_agg(f.run_id order by f.n), array_agg(f.lane_id order by f.n) into v_runs, v_runs_lanes
      from ops.choose_fairly(v_lanes, v_most, v_wanted, v_caps, v_rooms, v_now) as f;
    -- a lane that got all it could take, or that nobody could take from, may have more
    v_some_wait := cardinality(v_caps) > 0 or cardinality(v_lanes) < cardinality(v_waiting) or coalesce(cardinality(v_runs), 0) = v_wanted
      or exists (select 1 from unnest(v_lanes, v_most) as x (id, most)
                  where x.most <= (select count(*) from unnest(v_runs_lanes) as r (id) where r.id = x.id));
    exit when v_runs is null;
    for v_group in
      select l.requires, l.prefers, array_agg(x.run_id order by x.n) as runs
        from unnest(v_runs, v_runs_lanes) with ordinality as x (run_id, lane_id, n) join ops.lanes as l on l.id = x.lane_id
       group by l.requires, l.prefers order by min(x.n)
    loop
      v_slots := ops.free_slots(v_group.requires, v_group.prefers, cardinality(v_group.runs), p_only, v_now);
      continue when cardinality(v_slots) = 0;
      v_group.runs := v_group.runs[1:cardinality(v_slots)];
      perform ops.lease_chosen(v_group.runs, v_slots, p_only, p_start, v_caps, v_now);
      v_leased := v_leased + cardinality(v_slots);
      return query select x.run_id, x.executor_id from unnest(v_group.runs, v_slots) as x (run_id, executor_id);
    end loop;
    v_left := v_left - v_leased;
    v_some_wait := v_some_wait or v_leased < cardinality(v_runs);
    exit when v_leased = 0 or cardinality(v_runs) < v_wanted and v_wanted * cardinality(v_lanes) <= 20000;
  end loop;

  if v_metered or v_rooms is not null and (select min(r.room) - v_leased < 1 from unnest(v_rooms) as r (room)) then
    perform ops.meet_full_caps(v_waiting, p_limit);
  end if;
  if v_some_wait then
    perform ops.leave_work();
  elsif p_only is null then  -- who pulls for itself sees only what it can do
    perform ops.found_no_work(v_counted, v_now);
  end if;
end
$$;
comment on function ops.lease_due is
  'Matches due runs to free slots, lane by lane; with p_start they begin at once. Callers: ops.lease_runs, ops.claim_work, ops.claim_run.';

create or replace function ops.lease_runs(p_limit integer default 100) returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_leased integer;
  v_left integer := p_limit;
  v_executor uuid;
begin
  return query select l.run_id, l.executor_id from ops.lease_due(p_limit, null) as l;
  get diagnostics v_leased = row_count;
  v_left := v_left - v_leased;
  for v_executor in  -- those under caps of their own one by one: each run is held against the caps of the executor it goes to
    select e.id from ops.executors as e
     where (e.pulling_until is null or e.pulling_until < ops.now())
       and exists (select 1 from ops.caps as c where c.enabled and c.scope = 'executor' and c.subject = e.name)
     order by e.id
  loop
    exit when v_left <= 0;
    return query select l.run_id, l.executor_id from ops.lease_due(v_left, v_executor) as l;
    get diagnostics v_leased = row_count;
    v_left := v_left - v_leased;
  end loop;
  if v_left < p_limit then
    perform pg_catalog.pg_notify('lakehouse_executor', '');
  end if;
end
$$;

create function ops.meet_full_caps(p_lanes integer[], p_limit integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_front record;
  v_reason jsonb;
begin
  for v_front in
    select l.id as lane_id, f.estimate
      from (select distinct m.lane_id as id from ops.lane_caps as m where m.lane_id = any (p_lanes)) as l
      cross join lateral (
        select q.estimate from ops.open_runs as q
         where q.lane_id = l.id and q.executor_id is null and not q.recovering and q.due_at <= v_now order by q.rank, q.run_id limit 1) as f
     order by l.id
  loop
    v_reason := ops.lane_block(v_front.lane_id, v_front.estimate, v_now);
    continue when v_reason is null;
    -- a run that asks for more than the cap ever allows costs no other run its life
    if (v_reason ->> 'needs')::numeric <= (v_reason ->> 'limit')::numeric then
      if v_reason ->> 'behaviour' = 'cancel_newest' then
        perform ops.cancel_waiting(v_front.lane_id, v_reason ->> 'cap', 'the cap was full and cancels the newest run', 0, p_limit);
      elsif v_reason ->> 'behaviour' = 'cancel_oldest' and v_reason ->> 'kind' = 'concurrency' then
        perform ops.cancel_oldest((v_reason ->> 'cap_id')::uuid, v_front.lane_id, p_limit);
      elsif v_reason ->> 'behaviour' = 'cancel_oldest' then
        perform ops.cancel_waiting(v_front.lane_id, v_reason ->> 'cap', 'the cap was full and cancels the oldest run', 1, p_limit);
      end if;
    end if;
    perform ops.hold_front(v_front.lane_id, v_reason, v_now);
  end loop;
end
$$;
comment on function ops.meet_full_caps is
  'What becomes of runs that wait before a full cap, by its behaviour. Under a window nothing that runs can make room, so that oldest there means '
  'the oldest that wait: the newest stays. Callers: ops.lease_due.';

create function ops.cancel_waiting(p_lane integer, p_cap text, p_reason text, p_keep integer, p_limit integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
  v_run uuid;
begin
  for v_run in
    select q.run_id from ops.open_runs as q
     where q.lane_id = p_lane and q.executor_id is null and not q.recovering and q.due_at <= ops.now()
     order by q.rank desc, q.run_id desc offset p_keep limit p_limit for update of q skip locked
  loop
    perform ops.cancel_run(v_run, 'cap ' || p_cap, p_reason);
  end loop;
end
$$;
comment on function ops.cancel_waiting is 'Cancels due runs of a lane that wait, the newest first, but for the p_keep newest. Callers: ops.meet_full_caps.';

create function ops.cancel_oldest(p_cap uuid, p_lane integer, p_limit integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_run uuid;
begin
  for v_run in
    select r.id
      from ops.runs as r
     where r.id in (
       select h.id
         from (
           select x.id, x.cancel_requested_at,
                  row_number() over (order by x.cancel_requested_at nulls last, x.started_at nulls last, x.created_at, x.id) as n
             from ops.lane_caps as m
             join ops.open_runs as q on q.lane_id = m.lane_id and q.executor_id is not null
             join ops.runs as x on x.id = q.run_id
            where m.cap_id = p_cap
         ) as h
        where h.cancel_requested_at is null and h.n <= (  -- those asked to stop already make room too
          select count(*) from (
            select 1 from ops.open_runs as q
             where q.lane_id = p_lane and q.executor_id is null and not q.recovering and q.due_at <= ops.now() limit p_limit) as w))
       and r.lease_token is not null  -- asked again of the locked row: one that went back to wait meanwhile is for others to lock
       for update of r skip locked  -- one that is being written just now may be ending by itself
  loop
    perform ops.cancel_run(v_run, 'cap ' || (select c.name from ops.caps as c where c.id = p_cap), 'the cap was full and cancels the oldest run');
  end loop;
end
$$;
comment on function ops.cancel_oldest is 'Asks as many of a cap''s oldest runs to stop as runs of a lane wait. Callers: ops.meet_full_caps.';

create function ops.hold_front(p_lane integer, p_reason jsonb, p_now timestamptz) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
begin
  with picked as materialized (
    -- only the front of the queue says why: marking a million runs would cost more than running them
    select q.run_id from ops.open_runs as q
     where q.lane_id = p_lane and q.executor_id is null and not q.recovering and not q.held and q.due_at <= p_now
     order by q.rank, q.run_id
     limit greatest(50 - (select count(*) from ops.open_runs as h where h.lane_id = p_lane and h.held), 0)
       for update of q skip locked
  ),
  marked as (
    update ops.open_runs as q set held = true where q.run_id = any (array(select p.run_id from picked as p))
  ),
  held as (
    update ops.runs as r set state = 'held', wait_reason = p_reason, event_seq = r.event_seq + 1
     where r.id = any (array(select p.run_id from picked as p))
    returning r.id, r.event_seq, r.attempt
  )
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select h.id, h.event_seq, h.attempt, 'RUN_HELD', p_now, p_reason from held as h;
end
$$;
comment on function ops.hold_front is 'Marks the first runs of a lane as held, with the reason. Callers: ops.meet_full_caps.';

drop function ops.cap_block(uuid, text, timestamptz);
drop function ops.cap_room(uuid, text, timestamptz);

create or replace function ops.release_runs(p_limit integer default 100) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_lane record;
  v_reason jsonb;
  v_room numeric;
  v_got integer;
  v_released integer := 0;
begin
  for v_lane in
    select l.id as lane_id, f.estimate
      from (select distinct q.lane_id as id from ops.open_runs as q where q.held) as l
      cross join lateral (select q.estimate from ops.open_runs as q where q.lane_id = l.id and q.held order by q.rank, q.run_id limit 1) as f
     order by l.id
  loop
    v_reason := ops.lane_block(v_lane.lane_id, v_lane.estimate, v_now);
    if v_reason is not null then
      -- use and holders change with every run and are shown live; what is kept is which cap it is
      update ops.runs as r set wait_reason = v_reason
       where r.id = any (array(select q.run_id from ops.open_runs as q where q.lane_id = v_lane.lane_id and q.held for update of q skip locked))
         and (r.wait_reason ->> 'cap', r.wait_reason ->> 'limit') is distinct from (v_reason ->> 'cap', v_reason ->> 'limit');
      continue;
    end if;
    -- Leases take held runs as they are; what is released only waits for something else. Of those that ask for amounts, one at a time.
    select least(min(case when c.kind in ('concurrency', 'runs') then floor(ops.ceiling(c, v_now) - ops.cap_used(c, v_now)) else 1 end), p_limit - v_released)
      into v_room
      from ops.lane_caps as m join ops.caps as c on c.id = m.cap_id
     where m.lane_id = v_lane.lane_id;
    with picked as materialized (
      select q.run_id from ops.open_runs as q
       where q.lane_id = v_lane.lane_id and q.held
       order by q.rank, q.run_id
       limit greatest(v_room - (
         select count(*) from (select 1 from ops.open_runs as w
           where w.lane_id = v_lane.lane_id and w.executor_id is null and not w.held and w.due_at <= v_now limit p_limit) as x), 0)
         for update of q skip locked
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
  end loop;
  return v_released;
end
$$;
comment on function ops.release_runs is 'Returns held runs to the queue when their caps have room, and keeps the others'' reason true. Callers: dispatcher.';

-- ---------------------------------------------------------------------------------------------------------------
-- Enqueue, finish and rescue, by lane
-- ---------------------------------------------------------------------------------------------------------------
create or replace function ops.apply_pipeline(p_environment uuid, p_bundle jsonb) returns table (name text, bundle text, changed boolean)
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
    environment_id, name, bundle, layer, owner, description, schedule, phases, requires, after, max_attempts, max_losses, updated_at,
    labels, prefers, writes, estimate
  )
  select p_environment, v_name, v_digest, v_spec ->> 'layer', v_spec ->> 'owner', v_spec ->> 'description',
         nullif(v_spec -> 'schedule', 'null'::jsonb),
         array(select f.value::ops.phase from jsonb_array_elements_text(p_bundle -> 'phases') with ordinality as f (value, n) order by f.n),
         array(select f.value from jsonb_array_elements_text(coalesce(v_spec -> 'requires', '[]')) as f (value) order by f.value),
         array(select f.value from jsonb_array_elements_text(coalesce(v_spec -> 'after', '[]')) as f (value)),
         coalesce((v_spec -> 'retries' ->> 'max_attempts')::smallint, 3),
         coalesce((v_spec -> 'retries' ->> 'max_losses')::smallint, 10),
         ops.now(),
         array(select distinct f.value from jsonb_array_elements_text(coalesce(v_spec -> 'labels', '[]')) as f (value) order by f.value),
         coalesce(v_spec ->> 'prefers', ''),
         array(select distinct f.value from jsonb_array_elements_text(coalesce(p_bundle -> 'writes', '[]')) as f (value) order by f.value),
         coalesce(ops.amounts(v_spec -> 'estimate', 'estimate'), '{}')
      on conflict on constraint pipelines_pkey do update
     set bundle = excluded.bundle, layer = excluded.layer, owner = excluded.owner, description = excluded.description,
         schedule = excluded.schedule, phases = excluded.phases, requires = excluded.requires, after = excluded.after,
         max_attempts = excluded.max_attempts, max_losses = excluded.max_losses, updated_at = excluded.updated_at,
         labels = excluded.labels, prefers = excluded.prefers, writes = excluded.writes, estimate = excluded.estimate;
  if v_before is distinct from v_digest then
    insert into ops.pipeline_versions (environment_id, name, bundle) values (p_environment, v_name, v_digest);
  end if;
  delete from ops.caps as c
   where c.environment_id = p_environment and c.scope = 'pipeline' and c.subject = v_name and c.name like 'spec:%'
     and not exists (
       select 1 from jsonb_array_elements(coalesce(v_spec -> 'caps', '[]')) as k where c.name = 'spec:' || v_name || ':' || (k ->> 'kind'));
  insert into ops.caps as c (environment_id, name, kind, scope, subject, ceiling, window_seconds, behaviour, max_waiting)
  select p_environment, 'spec:' || v_name || ':' || (k ->> 'kind'), k ->> 'kind', 'pipeline', v_name,
         (k ->> 'limit')::numeric, (k ->> 'window_seconds')::integer, coalesce(k ->> 'behaviour', 'hold'), (k ->> 'max_waiting')::integer
    from jsonb_array_elements(coalesce(v_spec -> 'caps', '[]')) as k
      on conflict on constraint caps_environment_id_name_key do update
     set ceiling = excluded.ceiling, window_seconds = excluded.window_seconds, behaviour = excluded.behaviour,
         max_waiting = excluded.max_waiting, updated_at = ops.now();
  perform ops.ring_for_work();
  perform ops.lane_of(p_environment, v_name, '{}');  -- here, so that no enqueue waits for another that makes it
  return query select v_name, v_digest, v_before is distinct from v_digest;
end
$$;

create function ops.refuse_what_may_not_wait(p_runs uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_caps uuid[];
  v_cap ops.caps;
  v_waiting bigint;
  v_wanted numeric;
  v_used numeric;
  v_limit numeric;
begin
  if not exists (select 1 from ops.caps as c where c.enabled and (c.behaviour = 'reject' or c.max_waiting is not null)) then
    return;
  end if;
  select array_agg(c.id) into v_caps
    from ops.caps as c
   where c.enabled and (c.behaviour = 'reject' or c.max_waiting is not null)
     and c.id in (
       select m.cap_id from ops.lane_caps as m
        where m.lane_id in (select q.lane_id from ops.open_runs as q where q.run_id = any (p_runs)));
  if v_caps is null then
    return;
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.leases', 0));
  for v_cap in
    select c.* from ops.caps as c where c.id = any (v_caps) order by c.name
  loop
    -- reject: what waits for a later time asks for nothing yet
    select count(*), coalesce(sum(ops.needs_of(v_cap, q.estimate)) filter (where q.due_at <= ops.now() or q.run_id = any (p_runs)), 0)
      into v_waiting, v_wanted
      from ops.lane_caps as m join ops.open_runs as q on q.lane_id = m.lane_id and q.executor_id is null
     where m.cap_id = v_cap.id;
    if v_waiting > v_cap.max_waiting then
      perform ops.refuse('CAP_EXCEEDED', 429,
        format('%s runs would wait under cap %s, which lets %s wait', v_waiting, v_cap.name, v_cap.max_waiting),
        'Nothing was enqueued. Try again when fewer wait, or raise what the cap lets wait (`lakehouse cap set --max-waiting`).');
    end if;
    v_used := ops.cap_used(v_cap, ops.now());
    v_limit := ops.ceiling(v_cap, ops.now());
    if v_cap.behaviour = 'reject' and (v_used + v_wanted > v_limit or v_used >= v_limit) then
      perform ops.refuse('CAP_EXCEEDED', 429,
        format('cap %s is full: %s of %s %s in use, %s asked for by what waits and this', v_cap.name, trim_scale(v_used), trim_scale(v_limit),
               case v_cap.kind when 'concurrency' then 'concurrent runs' else v_cap.kind end, trim_scale(v_wanted)),
        'Nothing was enqueued. Wait, raise the cap (`lakehouse cap raise`), or cancel a run that holds it.');
    end if;
  end loop;
end
$$;
comment on function ops.refuse_what_may_not_wait is
  'Raises CAP_EXCEEDED when new runs meet a full cap that rejects, or one under which enough runs wait. Callers: ops.enqueue_runs.';

create function ops.refuse_other_content(p_runs jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off
as $$
declare
  v_bad record;
begin
  for v_bad in
    select o.value ->> 'idempotency_key' as idempotency_key,
           concat_ws(' and ',
             case when r.pipeline <> o.value ->> 'pipeline' then format('pipeline was %s, is %s', r.pipeline, o.value ->> 'pipeline') end,
             case when r.params <> coalesce(o.value -> 'params', '{}') then format('params were %s, are %s', left(r.params::text, 200),
               left(coalesce(o.value -> 'params', '{}')::text, 200)) end,
             case when r.priority <> x.priority then format('priority was %s, is %s', r.priority, x.priority) end,
             -- a lane has its pipeline's labels too
             case when not x.labels <@ l.labels then format('labels were %s, are %s', l.labels, x.labels) end,
             case when r.estimate is distinct from coalesce(x.estimate, r.estimate) then format('estimate was %s, is %s', r.estimate, x.estimate) end
           ) as difference
      from jsonb_array_elements(p_runs) as o (value)
      join ops.runs as r
        on r.environment_id = (o.value ->> 'environment_id')::uuid and r.idempotency_key = o.value ->> 'idempotency_key'
      left join ops.lanes as l on l.id = r.lane_id
      cross join lateral (
        select coalesce((o.value ->> 'priority')::smallint, 0) as priority, ops.amounts(o.value -> 'estimate', 'the estimate') as estimate,
               array(select distinct y.value from jsonb_array_elements_text(nullif(o.value -> 'labels', 'null')) as y (value) order by y.value) as labels) as x
     where r.pipeline <> o.value ->> 'pipeline' or r.params <> coalesce(o.value -> 'params', '{}') or r.priority <> x.priority
        or not x.labels <@ l.labels or r.estimate is distinct from coalesce(x.estimate, r.estimate)
     limit 1
  loop
    perform ops.refuse('IDEMPOTENCY_CONFLICT', 409,
                       format('idempotency key %L was used before with other content: %s', v_bad.idempotency_key, v_bad.difference),
                       'Use a new key for a new request.');
  end loop;
end
$$;
comment on function ops.refuse_other_content is
  'Raises IDEMPOTENCY_CONFLICT when a run was added under one of these keys with other content. Callers: ops.enqueue_runs.';

create or replace function ops.enqueue_runs(p_runs jsonb) returns table (ordinal integer, run_id uuid, state ops.run_state, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set plan_cache_mode = force_generic_plan  -- planning costs more than these statements
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_bad record;
  v_ids uuid[] := array(select gen_random_uuid() from generate_series(1, jsonb_array_length(p_runs)));
  v_added uuid[];
  v_lane integer;
begin
  if octet_length(p_runs::text) > 1000000 then
    for v_bad in
      select o.value ->> 'pipeline' as pipeline, octet_length((o.value -> 'params')::text) as bytes
        from jsonb_array_elements(p_runs) as o (value) where octet_length((o.value -> 'params')::text) > 1000000 limit 1
    loop
      perform ops.refuse('INVALID_INPUT', 400, format('parameters of pipeline %s have %s bytes; 1000000 are allowed', v_bad.pipeline, v_bad.bytes),
                         'Put large inputs into a table or a file and pass its name.');
    end loop;
  end if;

  if jsonb_path_exists(p_runs, '$[*].labels') then
    for v_bad in
      select left((o.value -> 'labels')::text, 200) as labels
        from jsonb_array_elements(p_runs) as o (value)
       where o.value ? 'labels' and o.value -> 'labels' <> 'null' and case when jsonb_typeof(o.value -> 'labels') <> 'array' then true else
               jsonb_array_length(o.value -> 'labels') > 16
               or exists (select 1 from jsonb_array_elements(o.value -> 'labels') as x (value)
                           where jsonb_typeof(x.value) <> 'string' or x.value #>> '{}' !~ '^[a-z0-9][a-z0-9_.:/-]{0,62}$') end
       limit 1
    loop
      perform ops.refuse('INVALID_INPUT', 400, format('labels are %s', v_bad.labels),
                         'At most 16 labels, each of at most 63 of a-z, 0-9 and _.:/- and beginning with a letter or digit.');
    end loop;
  end if;

  with offered as materialized (
    select o.n::integer as n, v_ids[o.n] as id, (o.value ->> 'environment_id')::uuid as environment_id,
           o.value ->> 'pipeline' as pipeline, coalesce(o.value -> 'params', '{}') as params,
           o.value ->> 'idempotency_key' as idempotency_key, coalesce((o.value ->> 'priority')::smallint, 0) as priority,
           coalesce((o.value ->> 'due_at')::timestamptz, v_now) as due_at, (o.value ->> 'parent_run_id')::uuid as parent_run_id,
           coalesce(o.value ->> 'trigger', 'manual') as trigger, case when o.value ? 'estimate' then ops.amounts(o.value -> 'estimate', 'the estimate') end as estimate,
           array(select distinct x.value from jsonb_array_elements_text(nullif(o.value -> 'labels', 'null')) as x (value) order by x.value) as labels
      from jsonb_array_elements(p_runs) with ordinality as o (value, n)
  ),
  laned as materialized (
    select k.environment_id, k.pipeline, k.labels, ops.lane_of(k.environment_id, k.pipeline, k.labels) as lane_id
      from (select distinct o.environment_id, o.pipeline, o.labels from offered as o) as k
  ),
  added as (
    insert into ops.runs as r (
      id, environment_id, pipeline, bundle, params, phases, requires, priority, max_attempts, max_losses,
      due_at, created_at, idempotency_key, parent_run_id, trigger, lane_id, estimate, event_seq
    )
    select o.id, o.environment_id, o.pipeline, p.bundle, o.params, p.phases, p.requires, o.priority, p.max_attempts, p.max_losses,
           o.due_at, v_now, o.idempotency_key, o.parent_run_id, o.trigger, l.lane_id, coalesce(o.estimate, nullif(p.estimate, '{}')), 1
      from offered as o
      join ops.pipelines as p on p.environment_id = o.environment_id and p.name = o.pipeline
      join laned as l on l.environment_id = o.environment_id and l.pipeline = o.pipeline and l.labels = o.labels
     order by o.n
        on conflict (environment_id, idempotency_key) where idempotency_key is not null do nothing
    returning r.id, r.pipeline, r.trigger, r.lane_id, r.estimate, r.priority, r.due_at
  ),
  opened as (
    insert into ops.open_runs (run_id, lane_id, rank, due_at, estimate)
    select a.id, a.lane_id, a.due_at - a.priority * interval '5 minutes', a.due_at, a.estimate from added as a
  ),
  recorded as (
    insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
    select a.id, 1, 0, 'RUN_CREATED', v_now, jsonb_build_object('pipeline', a.pipeline, 'trigger', a.trigger) from added as a
  )
  select coalesce(array_agg(a.id order by a.due_at - a.priority * interval '5 minutes', a.id), '{}'),
         case when count(*) <= 10 and min(a.lane_id) = max(a.lane_id) and max(a.due_at) <= v_now then min(a.lane_id) end
    into v_added, v_lane from added as a;

  if cardinality(v_added) = cardinality(v_ids) then
    return query select a.n::integer, a.id, 'queued'::ops.run_state, true from unnest(v_ids) with ordinality as a (id, n);
  else
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
    perform ops.refuse_other_content(p_runs);
    -- A statement of its own: only a later snapshot sees the run that another caller added under the same key meanwhile.
    return query
    select o.n::integer, coalesce(a.id, r.id), coalesce(case when a.id is not null then 'queued'::ops.run_state end, r.state), a.id is not null
      from jsonb_array_elements(p_runs) with ordinality as o (value, n)
      left join unnest(v_added) as a (id) on a.id = v_ids[o.n]
      left join ops.runs as r
             on a.id is null and r.environment_id = (o.value ->> 'environment_id')::uuid and r.idempotency_key = o.value ->> 'idempotency_key'
     order by o.n;
  end if;

  perform ops.refuse_what_may_not_wait(v_added);
  perform ops.ring_for_work(v_lane, v_added);
end
$$;
comment on function ops.enqueue_runs is
  'Adds runs [{environment_id, pipeline, params, idempotency_key, priority, due_at, parent_run_id, trigger, labels, estimate}] with their first '
  'event and rings the dispatcher. A repeated idempotency key answers the first run; other content under it is refused (IDEMPOTENCY_CONFLICT), '
  'and so is what meets a full cap that rejects (CAP_EXCEEDED). Callers: CLI, control room, publish, schedules, backfills.';

create or replace function ops.retry_run(p_run uuid, p_by text) returns text
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
  insert into ops.open_runs (run_id, lane_id, rank, due_at, estimate)
  select r.id, coalesce(r.lane_id, ops.lane_of(r.environment_id, r.pipeline, '{}')), r.due_at - r.priority * interval '5 minutes', r.due_at, r.estimate
    from ops.runs as r where r.id = p_run;
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select r.id, r.event_seq, r.attempt, 'RUN_RETRIED', v_now, jsonb_build_object('by', p_by) from ops.runs as r where r.id = p_run;
  perform ops.ring_for_work();
  return 'queued';
end
$$;

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
    returning r.id, r.state, r.attempt, r.event_seq, r.pipeline, r.error, r.cancel, r.executor_id, r.priority, r.losses
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

create function ops.settle_caps(p_outcomes jsonb, p_tokens uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
begin
  if not exists (select 1 from ops.caps as c where c.enabled and c.kind not in ('concurrency', 'runs')) then
    return;
  end if;
  insert into ops.cap_usage as u (cap_id, at, amount, run_ids)
  select c.id, ops.ledger_row(c, v_now), sum(a.amount), (array_agg(r.id))[1:5]
    from jsonb_array_elements(p_outcomes) as o (value)
    join ops.runs as r on r.id = (o.value ->> 'run_id')::uuid
    join ops.caps as c
      on c.enabled and c.kind not in ('concurrency', 'runs')
     and (exists (select 1 from ops.lane_caps as m where m.lane_id = r.lane_id and m.cap_id = c.id)
       or c.scope = 'executor' and c.subject = (select e.name from ops.executors as e where e.id = r.executor_id))
    cross join lateral (
      select coalesce(ops.sum_amounts(o.value -> 'usage', '{}') ->> c.kind, ops.usage_seen(r, c.kind, v_now)::text, r.estimate ->> c.kind)::numeric as amount
    ) as a
   where (o.value ->> 'token')::uuid = any (p_tokens) and a.amount > 0
   group by c.id
   order by c.id  -- two batches that end at once must not wait for each other
      on conflict (cap_id, at) do update set amount = u.amount + excluded.amount, run_ids = (excluded.run_ids || u.run_ids)[1:5];
end
$$;
comment on function ops.settle_caps is
  'Writes what ended attempts used to the ledger of metered caps: as their executor says, else as the control plane saw it, else as estimated. '
  'Callers: ops.finish_runs.';

create function ops.usage_seen(p_run ops.runs, p_kind text, p_now timestamptz) returns numeric
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  select case p_kind
    when 'rows' then (select sum(t.rows_added) from ops.run_tables as t where t.run_id = p_run.id)
    when 'compute_seconds' then (
      select extract(epoch from p_now - max(e.at)) from ops.run_events as e
       where e.run_id = p_run.id and e.attempt = p_run.attempt and e.type = 'PHASE_CLAIMED')
    when 'queries' then (select count(*) from unnest(p_run.phases) as x (phase) where x.phase = 'query')
  end
$$;
comment on function ops.usage_seen is 'What the control plane itself knows of a run''s use: rows published, seconds under lease, statements. Callers: ops.settle_caps.';

create or replace function ops.finish_runs(p_outcomes jsonb) returns table (run_id uuid, accepted boolean, state text)
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
           coalesce(nullif(o -> 'events', 'null'::jsonb), '[]') as events, o ->> 'manifest_sha256' as manifest_sha256,
           nullif(o -> 'usage', 'null'::jsonb) as usage
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
           manifest_sha256 = coalesce(o.manifest_sha256, r.manifest_sha256), usage = case when o.usage is null then r.usage else ops.sum_amounts(o.usage, coalesce(r.usage, '{}')) end,
           progress = case when o.outcome = 'succeeded' then null else r.progress end,
           lease_token = null, lease_expires_at = null,
           event_seq = r.event_seq + jsonb_array_length(o.events) + 1
      from offered as o
     where r.id = o.run_id
       and r.lease_token = o.token  -- the fence: a stale attempt matches nothing
       and r.id = any (array(select x.run_id from offered as x))
    returning r.id, o.token, r.state, r.attempt, r.event_seq, r.error, r.due_at, r.cancel, r.pipeline, r.priority, o.events, o.outcome
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
  perform ops.settle_caps(p_outcomes, v_tokens);
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  -- A freed slot is its executor's own to fill (ops.claim_work); the dispatcher is needed for caps with room and for retries.
  if 'queued' = any (v_states) or exists (select 1 from ops.open_runs as q where q.held) then
    perform ops.ring_for_work();
  end if;

  return query
  select (o ->> 'run_id')::uuid, e.state is not null, e.state::text
    from jsonb_array_elements(p_outcomes) as o
    left join unnest(v_tokens, v_states) as e (token, state) on e.token = (o ->> 'token')::uuid;
end
$$;
comment on function ops.finish_runs is
  'Ends leased runs in a batch: [{run_id, token, outcome, error, retry_in_ms, clear_checkpoint, events, manifest_sha256, usage}]. '
  'Refuses, by accepted = false, any run whose lease token is not current. Callers: executors.';

create or replace function ops.next_due_in_ms() returns integer
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
  if ops.none_waits(v_now) or not exists (select 1 from ops.open_runs as q where q.executor_id is null and not q.held and q.due_at <= v_now) then
    select min(q.due_at) into v_due from ops.open_runs as q where q.executor_id is null and not q.held and q.due_at > v_now;
  end if;
  -- run by run of those that are held: a join might read the whole history instead
  select min((select r.lease_expires_at from ops.runs as r where r.id = q.run_id)) into v_lease
    from ops.open_runs as q where q.executor_id = any (array(select e.id from ops.executors as e));
  if exists (select 1 from ops.open_runs as q where q.held) then
    v_due := least(v_due, v_now + interval '1 second');  -- a window frees room without anybody's doing
  end if;
  return least(extract(epoch from v_due - v_now) * 1000, extract(epoch from v_lease - v_now) * 1000, 3600000)::integer;
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Caps as people change them, and why a run waits
-- ---------------------------------------------------------------------------------------------------------------
create function ops.check_cap(p_environment uuid, p_cap jsonb) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope text := coalesce(p_cap ->> 'scope', 'environment');
  v_subject text := p_cap ->> 'subject';
  v_name text := coalesce(p_cap ->> 'name', '');
  v_fault text;
  v_hint text;
begin
  select f.fault, f.hint into v_fault, v_hint
    from (values
      (v_name !~ '^[a-z0-9][a-z0-9_.-]{0,62}$', format('%L is no name for a cap', left(v_name, 80)),
       'A name has at most 63 of a-z, 0-9 and _.- and begins with a letter or digit; names of the form spec:... belong to pipelines'' specs.'),
      (coalesce(p_cap ->> 'kind', '') not in ('concurrency', 'runs', 'rows', 'bytes', 'queries', 'compute_seconds', 'cost'),
       format('%L is no kind of cap', left(p_cap ->> 'kind', 60)), 'Kinds are concurrency, runs, rows, bytes, queries, compute_seconds and cost.'),
      (v_scope not in ('organization', 'project', 'environment', 'pipeline', 'table', 'executor', 'label'),
       format('%L is no scope of a cap', left(v_scope, 60)), 'Scopes are organization, project, environment, pipeline, table, executor and label.'),
      ((v_scope in ('pipeline', 'table', 'executor', 'label')) <> (coalesce(v_subject, '') <> ''),
       format(case when coalesce(v_subject, '') = '' then 'a cap of scope %s must say which %1$s' else 'a cap of scope %s applies to all of it and names nothing' end, v_scope),
       'Give the subject for scopes pipeline, table, executor and label, and for those only.'),
      (coalesce(p_cap ->> 'behaviour', 'hold') not in ('hold', 'reject', 'cancel_oldest', 'cancel_newest'),
       format('%L is nothing a cap can do when it is full', left(p_cap ->> 'behaviour', 60)), 'Behaviours are hold, reject, cancel_oldest and cancel_newest.'),
      (coalesce(p_cap ->> 'limit', '') !~ '^[0-9]{1,18}([.][0-9]{1,18})?$', format('the limit is %s', coalesce(left(p_cap ->> 'limit', 40), 'missing')),
       'The limit is a number from 0 to 10^18.'),
      ((p_cap ->> 'kind' = 'concurrency') <> (p_cap ->> 'window_seconds' is null),
       format(case when p_cap ->> 'window_seconds' is null then 'a cap on %s needs a window' else 'a cap on %s has no window: it counts what runs at one moment' end, p_cap ->> 'kind'),
       'Every kind but concurrency counts within a window, for example an hour.'),
      (case when p_cap ->> 'window_seconds' ~ '^[1-9][0-9]{0,7}$' then (p_cap ->> 'window_seconds')::integer > 31622400
            else p_cap ->> 'window_seconds' is not null end,
       format('a window of %s seconds', left(p_cap ->> 'window_seconds', 40)), 'A window lasts from 1 second to 366 days.'),
      (p_cap ->> 'max_waiting' !~ '^[0-9]{1,9}$', format('%s runs that may wait', left(p_cap ->> 'max_waiting', 40)), 'How many runs may wait is a whole number.'),
      (v_scope = 'executor' and (coalesce(p_cap ->> 'behaviour', 'hold') <> 'hold' or p_cap ->> 'max_waiting' is not null),
       'a cap of scope executor can only hold work back', 'Which executor gets a run is not known while it waits: leave behaviour and max_waiting out.')
    ) as f (broken, fault, hint)
   where f.broken limit 1;
  if found then
    perform ops.refuse('INVALID_INPUT', 400, v_fault, v_hint);
  end if;
  if v_scope = 'pipeline' and not exists (select 1 from ops.pipelines as p where p.environment_id = p_environment and p.name = v_subject) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no pipeline %L', v_subject), '`lakehouse pipeline list` shows what there is.');
  end if;
end
$$;
comment on function ops.check_cap is 'Raises INVALID_INPUT or NOT_FOUND for what is no cap. Callers: ops.set_cap.';

create function ops.set_cap(p_environment uuid, p_cap jsonb) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  perform ops.check_cap(p_environment, p_cap);
  insert into ops.caps as c (environment_id, name, kind, scope, subject, ceiling, window_seconds, behaviour, max_waiting, enabled)
  values (p_environment, p_cap ->> 'name', p_cap ->> 'kind', coalesce(p_cap ->> 'scope', 'environment'), p_cap ->> 'subject', (p_cap ->> 'limit')::numeric,
          (p_cap ->> 'window_seconds')::integer, coalesce(p_cap ->> 'behaviour', 'hold'), (p_cap ->> 'max_waiting')::integer,
          coalesce((p_cap ->> 'enabled')::boolean, true))
      on conflict on constraint caps_environment_id_name_key do update
     set kind = excluded.kind, scope = excluded.scope, subject = excluded.subject, ceiling = excluded.ceiling, window_seconds = excluded.window_seconds,
         behaviour = excluded.behaviour, max_waiting = excluded.max_waiting, enabled = excluded.enabled, updated_at = ops.now()
  returning c.id into v_id;
  perform ops.ring_for_work();
  return v_id;
end
$$;
comment on function ops.set_cap is
  'Makes or replaces a cap {name, kind, scope, subject, limit, window_seconds, behaviour, max_waiting, enabled}. A ceiling below what is in use '
  'stops nothing that runs: it only lets nothing new start. Raises INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.raise_cap(p_environment uuid, p_name text, p_to numeric, p_for interval, p_by text, p_reason text) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_until timestamptz := ops.now() + p_for;
  v_ceiling numeric;
begin
  if p_for is null or p_for <= interval '0' or p_for > interval '31 days' or coalesce(btrim(p_reason), '') = '' or coalesce(p_by, '') = '' then
    perform ops.refuse('INVALID_INPUT', 400, 'a raise says who and why, and ends within 31 days', 'Change the cap itself for longer than that.');
  end if;
  select c.ceiling into v_ceiling from ops.caps as c where c.environment_id = p_environment and c.name = p_name for update;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no cap %L', p_name), '`lakehouse cap list` shows what there is.');
  elsif p_to is null or p_to <= v_ceiling or p_to >= 1e18 then
    perform ops.refuse('INVALID_INPUT', 400, format('%s is no raise: the cap allows %s', coalesce(p_to::text, 'nothing'), trim_scale(v_ceiling)),
                       'Name a number above what it allows, below 10^18; `lakehouse cap set` changes the cap itself.');
  end if;
  update ops.caps as c set raised_to = p_to, raised_until = v_until, raised_by = p_by, raised_reason = p_reason
   where c.environment_id = p_environment and c.name = p_name;
  perform ops.ring_for_work();
  return v_until;
end
$$;
comment on function ops.raise_cap is
  'A higher ceiling for a while, with who and why; it ends by itself, a later raise replaces it. Raises INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.remove_cap(p_environment uuid, p_name text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select 1 from ops.caps as c where c.environment_id = p_environment and c.name = p_name and p_name like 'spec:%') then
    perform ops.refuse('CONFLICT', 409, format('cap %L stands in its pipeline''s spec', p_name), 'Remove it from `caps` there and apply the pipeline.');
  end if;
  delete from ops.caps as c where c.environment_id = p_environment and c.name = p_name;
  if found then
    perform ops.ring_for_work();
    return true;
  end if;
  return false;
end
$$;
comment on function ops.remove_cap is 'Removes a cap with its ledger; false when there is none of that name. Raises CONFLICT for caps of specs. Callers: CLI, control room.';

create function ops.caps_in_use(p_environment uuid, p_name text default null) returns setof jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  select jsonb_build_object(
    'name', c.name, 'kind', c.kind, 'scope', c.scope, 'subject', c.subject, 'pipeline', c.pipeline, 'limit', f.facts -> 'limit', 'used', f.facts -> 'used',
    'unit', f.facts -> 'unit', 'window_seconds', c.window_seconds, 'behaviour', c.behaviour, 'max_waiting', c.max_waiting, 'enabled', c.enabled,
    'waiting', w.waiting, 'held', w.held, 'holders', coalesce(f.facts -> 'holders', '[]'), 'frees_at', f.facts -> 'frees_at',
    'standing_limit', trim_scale(c.ceiling),
    'raised', case when c.raised_until > f.now then
      jsonb_build_object('to', trim_scale(c.raised_to), 'until', c.raised_until, 'by', c.raised_by, 'reason', c.raised_reason) end)
    from ops.caps as c
    cross join lateral (select t.now, ops.cap_facts(c, t.now) as facts from (select ops.now() as now) as t offset 0) as f
    cross join lateral (
      select count(*) as waiting, count(*) filter (where x.held) as held
        from (select q.held from ops.lane_caps as m join ops.open_runs as q on q.lane_id = m.lane_id
               where m.cap_id = c.id and q.executor_id is null limit 10000) as x) as w
   where c.environment_id = p_environment and (p_name is null or c.name = p_name)
   order by c.name
$$;
comment on function ops.caps_in_use is
  'Caps with what is in use now, who holds it, who waits (counted up to 10000), and the raise in force; by name. Callers: CLI, control room.';

create function ops.wait_reason(p_run uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
  v_wait ops.open_runs;
  v_lane ops.lanes;
  v_block jsonb;
  v_place jsonb;
begin
  select q.* into v_wait from ops.open_runs as q where q.run_id = p_run and q.executor_id is null;
  if not found then
    return null;
  end if;
  if v_wait.due_at > v_now then
    return jsonb_build_object('why', 'not_due', 'due_at', v_wait.due_at);
  end if;
  select jsonb_build_object('position', count(*) filter (where (a.rank, a.run_id) <= (v_wait.rank, v_wait.run_id)), 'waiting', count(*)) into v_place
    from (select q.rank, q.run_id from ops.open_runs as q
           where q.lane_id = v_wait.lane_id and q.executor_id is null and not q.recovering order by q.rank, q.run_id limit 1000) as a;
  if (v_place ->> 'waiting')::integer = 1000 then  -- who needs the exact place behind so many?
    v_place := case when (v_place ->> 'position')::integer = 1000 then '{"position": 1000}' else v_place - 'waiting' end;
  end if;
  select l.* into v_lane from ops.lanes as l where l.id = v_wait.lane_id;
  v_block := case when not v_wait.recovering then ops.lane_block(v_wait.lane_id, v_wait.estimate, v_now) end;
  if v_block is not null then
    return v_block || v_place || '{"why": "cap"}';
  elsif v_wait.held then
    return (select r.wait_reason from ops.runs as r where r.id = p_run) || v_place || '{"why": "cap"}';
  elsif (select s.paused_at is not null from ops.settings as s) then
    return (select jsonb_build_object('why', 'paused', 'by', s.paused_by, 'reason', s.paused_reason, 'since', s.paused_at) from ops.settings as s);
  end if;
  return v_place || ops.executor_block(v_lane, v_wait.estimate, v_now);
end
$$;
comment on function ops.wait_reason is
  'Why a run does not run yet, as of now: {"why": cap, not_due, paused, no_executor or slots, ...}; for cap the facts of ops.cap_facts. position and '
  'waiting count the runs of its lane up to 1000; null when it does not wait. Callers: api.runs.';

create function ops.executor_block(p_lane ops.lanes, p_estimate jsonb, p_now timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alive integer;
  v_full jsonb;
  v_capped integer;
begin
  select count(*), count(*) filter (where b.block is not null), (array_agg(b.block) filter (where b.block is not null))[1] into v_alive, v_capped, v_full
    from ops.executors as e
    cross join lateral (
      select ops.first_full(array(select c.id from ops.caps as c where c.enabled and c.scope = 'executor' and c.subject = e.name), p_estimate, p_now) as block
      offset 0) as b
   where not e.draining and e.lost_at is null and e.capabilities @> p_lane.requires
     and e.last_seen_at > p_now - (select make_interval(secs => s.executor_ttl_ms / 1000.0) from ops.settings as s);
  if v_alive = 0 then
    return (
      select jsonb_build_object('why', 'no_executor', 'requires', p_lane.requires, 'alive', count(*),
               'draining', coalesce(jsonb_agg(e.name order by e.name) filter (where e.draining and e.capabilities @> p_lane.requires), '[]'))
        from ops.executors as e
       where e.lost_at is null and e.last_seen_at > p_now - (select make_interval(secs => s.executor_ttl_ms / 1000.0) from ops.settings as s));
  end if;
  return case
              when v_alive = v_capped then v_full || '{"why": "cap"}'
              else '{"why": "slots"}' end;
end
$$;
comment on function ops.executor_block is
  'What a run without a full cap of its own waits for: an executor that can do it (no_executor: how many are alive, which would do but drain), a cap of every such executor (cap), or a slot (slots). '
  'Callers: ops.wait_reason.';

-- ---------------------------------------------------------------------------------------------------------------
-- From here on others wait
-- ---------------------------------------------------------------------------------------------------------------
-- Every call asks this table for the time before it touches another, so that from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

-- ---------------------------------------------------------------------------------------------------------------
-- What pipelines, runs and projects say about placement, limits and shares
-- ---------------------------------------------------------------------------------------------------------------
alter table ops.projects add column weight numeric not null default 1 check (weight > 0 and weight <= 1000);
comment on column ops.projects.weight is 'Share of the executors'' slots against other projects while both have work waiting.';

alter table ops.pipelines
  add column labels text[] not null default '{}',
  add column prefers text not null default '' check (prefers in ('', 'edge', 'container')),
  add column writes text[] not null default '{}',
  add column estimate jsonb not null default '{}' check (jsonb_typeof(estimate) = 'object');
comment on column ops.pipelines.prefers is 'The kind of executor that gets its runs first when several are free.';
comment on column ops.pipelines.writes is 'Tables it publishes: caps of scope table apply to their writers.';
comment on column ops.pipelines.estimate is 'What one run is expected to use: {"rows", "bytes", "queries", "compute_seconds", "cost"}. Reserved while it runs.';

alter table ops.runs
  add column lane_id integer,
  add column estimate jsonb,
  add column usage jsonb;
comment on column ops.runs.lane_id is 'Its lane (ops.lanes); null on runs from before there were lanes until they are leased.';
comment on column ops.runs.usage is 'What its finished attempts used, by metered kind: {"rows", "bytes", "queries", "compute_seconds", "cost"}.';

lock table ops.open_runs in access exclusive mode;
delete from ops.open_runs_laned as n
 where not exists (
   select 1 from ops.open_runs as q
    where q.run_id = n.run_id and q.due_at = n.due_at and q.held = n.held and q.executor_id is not distinct from n.executor_id);
select ops.copy_open_runs();
drop function ops.copy_open_runs();
drop table ops.open_runs;
alter table ops.open_runs_laned rename to open_runs;
alter table ops.open_runs rename constraint open_runs_laned_pkey to open_runs_pkey;
alter index ops.open_runs_of_a_lane_held rename to open_runs_held;
alter index ops.open_runs_by_holder_and_lane rename to open_runs_by_holder;
create trigger open_runs_find_their_lane before insert on ops.open_runs for each row when (new.lane_id is null) execute function ops.find_lane();

-- ---------------------------------------------------------------------------------------------------------------
-- Caps
-- ---------------------------------------------------------------------------------------------------------------
alter table ops.caps drop constraint caps_kind_check, drop constraint caps_scope_check, drop constraint pipeline_caps_name_a_pipeline,
  drop constraint run_caps_have_a_window, drop constraint caps_ceiling_check;
alter table ops.caps rename column pipeline to subject;
-- release 0.1 lists caps by this name
alter table ops.caps add column pipeline text generated always as (case scope when 'pipeline' then subject end) stored;
alter table ops.caps alter column ceiling type numeric;
alter table ops.caps
  add column behaviour text not null default 'hold' check (behaviour in ('hold', 'reject', 'cancel_oldest', 'cancel_newest')),
  add column max_waiting integer check (max_waiting >= 0),
  add column raised_to numeric,
  add column raised_until timestamptz,
  add column raised_by text,
  add column raised_reason text,
  add constraint caps_are_of_a_known_kind check (kind in ('concurrency', 'runs', 'rows', 'bytes', 'queries', 'compute_seconds', 'cost')),
  add constraint caps_have_a_known_scope
    check (scope in ('organization', 'project', 'environment', 'pipeline', 'table', 'executor', 'label')),
  add constraint caps_name_what_they_apply_to check ((scope in ('pipeline', 'table', 'executor', 'label')) = (subject is not null)),
  add constraint caps_over_time_have_a_window check ((kind = 'concurrency') = (window_seconds is null)),
  add constraint ceilings_are_numbers check (ceiling >= 0 and ceiling < 1e18),
  add constraint raises_are_complete check (
    num_nulls(raised_to, raised_until, raised_by, raised_reason) in (0, 4) and (raised_to is null or (raised_to >= 0 and raised_to < 1e18))
  );
comment on table ops.caps is
  'Ceilings. concurrency: runs under lease at one moment; the other kinds: amounts within the window. scope and subject say whose; '
  'behaviour says what becomes of a run that meets a full cap; a raise replaces the ceiling until it ends.';
comment on column ops.caps.max_waiting is 'How many runs may wait under the cap; more are refused when they are enqueued.';

create temporary table cap_usage_before as select u.cap_id, u.at, u.amount, u.run_id from ops.cap_usage as u;
drop table ops.cap_usage;
create table ops.cap_usage (
  id bigint primary key generated always as identity,
  cap_id uuid not null references ops.caps (id) on delete cascade,
  at timestamptz not null,
  amount numeric not null check (amount > 0),
  run_ids uuid[] not null check (cardinality(run_ids) > 0),
  unique (cap_id, at)
) with (fillfactor = 50);
comment on table ops.cap_usage is
  'Ledger of what was used under caps with a window: one row per sixtieth of the window (at: its end), added to, never taken from; run_ids: some of '
  'those that used it last. What running runs reserve is derived from their leases instead, and so is concurrency: nothing has to be given back '
  'after a crash, so nothing can drift.';
alter table ops.cap_usage enable row level security;
create policy "The control room sees all rows" on ops.cap_usage for select to lakehouse_controlroom using (true);
grant select on ops.cap_usage to lakehouse_controlroom;

create function ops.ceiling(p_cap ops.caps, p_now timestamptz) returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_cap.raised_until > p_now then p_cap.raised_to else p_cap.ceiling end;
end
$$;
comment on function ops.ceiling is 'What a cap allows now, a raise in force included. Callers: functions here.';

create function ops.cap_applies(p_cap ops.caps, p_lane ops.lanes) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case p_cap.scope
    when 'organization' then p_lane.organization_id = (
      select p.organization_id from ops.environments as e join ops.projects as p on p.id = e.project_id where e.id = p_cap.environment_id)
    when 'project' then p_lane.project_id = (select e.project_id from ops.environments as e where e.id = p_cap.environment_id)
    when 'environment' then p_lane.environment_id = p_cap.environment_id
    when 'pipeline' then p_lane.environment_id = p_cap.environment_id and p_lane.pipeline = p_cap.subject
    when 'label' then p_lane.environment_id = p_cap.environment_id and p_cap.subject = any (p_lane.labels)
    when 'table' then p_lane.environment_id = p_cap.environment_id and exists (
      select 1 from ops.pipelines as w cross join unnest(w.writes) as x (name)
       where w.environment_id = p_lane.environment_id and w.name = p_lane.pipeline
         and (x.name = p_cap.subject or x.name = split_part(p_cap.subject, '.', 1) || '.*' or p_cap.subject = split_part(x.name, '.', 1) || '.*'))
    else false
  end
$$;
comment on function ops.cap_applies is
  'Whether a cap is about the runs of a lane. Caps of scope executor are about executors, not lanes. Callers: functions here.';

create table ops.lane_caps (
  lane_id integer not null references ops.lanes (id) on delete cascade,
  cap_id uuid not null references ops.caps (id) on delete cascade,
  primary key (lane_id, cap_id)
);
create index lane_caps_of_a_cap on ops.lane_caps (cap_id);
comment on table ops.lane_caps is 'Which enabled caps apply to which lane: ops.cap_applies, worked out when a lane or a cap changes and not whenever a run is leased.';
alter table ops.lane_caps enable row level security;
create policy "The control room sees all rows" on ops.lane_caps for select to lakehouse_controlroom using (true);
grant select on ops.lane_caps to lakehouse_controlroom;

create function ops.bind_cap(p_cap ops.caps) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- a new lane and a new cap must not miss each other
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.lanes', 0));
  delete from ops.lane_caps as m where m.cap_id = p_cap.id;
  insert into ops.lane_caps (lane_id, cap_id) select l.id, p_cap.id from ops.lanes as l where p_cap.enabled and ops.cap_applies(p_cap, l);
end
$$;
comment on function ops.bind_cap is 'Finds the lanes a cap applies to. Callers: triggers here.';

create function ops.cap_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.bind_cap(new);
  return null;
end
$$;
comment on function ops.cap_changed is 'Trigger of ops.caps.';
create trigger caps_find_their_lanes after insert or update of environment_id, scope, subject, enabled on ops.caps
  for each row execute function ops.cap_changed();

create function ops.lane_made() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.lanes', 0));
  insert into ops.lane_caps (lane_id, cap_id) select new.id, c.id from ops.caps as c where c.enabled and ops.cap_applies(c, new);
  return null;
end
$$;
comment on function ops.lane_made is 'Trigger of ops.lanes.';
create trigger lanes_find_their_caps after insert on ops.lanes for each row execute function ops.lane_made();

create function ops.writes_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.bind_cap(c) from ops.caps as c where c.environment_id = new.environment_id and c.scope = 'table' order by c.id;
  return null;
end
$$;
comment on function ops.writes_changed is 'Trigger of ops.pipelines: caps of scope table follow what pipelines write.';
create trigger caps_follow_new_writers after insert on ops.pipelines
  for each row when (new.writes <> '{}') execute function ops.writes_changed();
create trigger caps_follow_what_is_written after update of writes on ops.pipelines
  for each row when (new.writes is distinct from old.writes) execute function ops.writes_changed();

insert into ops.lane_caps (lane_id, cap_id)
select l.id, c.id from ops.lanes as l cross join ops.caps as c where c.enabled and ops.cap_applies(c, l);

create function ops.ledger_row(p_cap ops.caps, p_now timestamptz) returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return date_bin(make_interval(secs => p_cap.window_seconds / 60.0), p_now, 'epoch') + make_interval(secs => p_cap.window_seconds / 60.0);
end
$$;
insert into ops.cap_usage (cap_id, at, amount, run_ids)
select c.id, ops.ledger_row(c, u.at), sum(u.amount), (array_agg(u.run_id order by u.at desc))[1:5]
  from cap_usage_before as u join ops.caps as c on c.id = u.cap_id
 group by c.id, ops.ledger_row(c, u.at);
drop table cap_usage_before;
comment on function ops.ledger_row is
  'The end of the sixtieth of a cap''s window that a moment lies in: what is used counts until that end has left the window. Callers: functions here.';

create or replace view api.runs with (security_invoker = true) as
select r.id, r.environment_id, r.pipeline, r.state, r.phase, r.attempt, r.params, r.priority, r.trigger, r.parent_run_id, r.bundle,
       r.created_at, r.due_at, r.started_at, r.finished_at, r.published_at, r.rolled_back_at, 
       case when r.state in ('queued', 'held') then coalesce(ops.wait_reason(r.id), r.wait_reason) end as wait_reason, r.error, r.progress,
       r.cancel, r.quarantined, r.failures, r.losses, r.interruptions, r.manifest_sha256, r.executor_id, r.lease_expires_at, r.event_seq,
       (select s.score from ops.run_scores as s where s.run_id = r.id) as score,
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'name', c.name, 'dataset', c.dataset, 'column', c.column_name, 'action', c.action, 'result', c.result, 'value', c.value,
                 'threshold', c.threshold, 'sample_keys', c.sample_keys, 'message', c.message) order by c.ordinal), '[]')
          from ops.run_checks as c
         where c.run_id = r.id and c.attempt = (select max(m.attempt) from ops.run_checks as m where m.run_id = r.id)) as checks,
       (select coalesce(jsonb_agg(jsonb_build_object(
                 'name', t.name, 'snapshot_id', t.snapshot_id::text, 'rows_added', t.rows_added) order by t.name), '[]')
          from ops.run_tables as t where t.run_id = r.id) as tables,
       r.estimate, r.usage,
       (select l.labels from ops.lanes as l where l.id = r.lane_id) as labels
  from ops.runs as r;

select ops.lane_of(p.environment_id, p.name, '{}') from ops.pipelines as p;

-- ---------------------------------------------------------------------------------------------------------------
-- Grants
-- ---------------------------------------------------------------------------------------------------------------
revoke all on ops.lanes, ops.cap_usage, ops.lane_caps from public;
revoke execute on all functions in schema ops from public;
grant execute on function ops.cap_allow, ops.caps_in_use, ops.set_cap, ops.raise_cap, ops.remove_cap to lakehouse_controlroom;
grant execute on function ops.wait_reason to authenticated, lakehouse_controlroom;
grant select (lane_id, estimate, usage) on ops.runs to authenticated, lakehouse_controlroom;
