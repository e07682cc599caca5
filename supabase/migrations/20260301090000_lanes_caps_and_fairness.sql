-- Lanes, caps of every kind, and fairness between projects.
--
-- A lane is what all waiting runs of one pipeline with the same labels share: their project, their needs and their caps. Leasing looks
-- at lanes, never at every run: the room under a lane's caps and its project's share become the LIMIT of one index scan per lane.
--
-- The tables it changes in place are small (caps, projects, pipelines, and the runs that wait), so their locks are short; what release 0.1
-- calls keeps its names and columns. The functions dropped here are called by functions here alone.
-- squawk-ignore-file require-concurrent-index-deletion, adding-foreign-key-constraint, adding-not-nullable-field, ban-drop-column
-- squawk-ignore-file ban-drop-constraint, renaming-column, adding-field-with-default, changing-column-type, constraint-missing-not-valid
-- squawk-ignore-file ban-drop-table, ban-drop-function

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
comment on column ops.runs.lane_id is 'Its lane (ops.lanes); null on runs that ended before there were lanes.';
comment on column ops.runs.usage is 'What its finished attempts used, by metered kind: {"rows", "bytes", "queries", "compute_seconds", "cost"}.';

-- ---------------------------------------------------------------------------------------------------------------
-- Lanes
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

insert into ops.lanes (environment_id, project_id, organization_id, pipeline, labels, requires, prefers)
select distinct r.environment_id, e.project_id, p.organization_id, r.pipeline, '{}'::text[], q.requires, ''
  from ops.open_runs as q
  join ops.runs as r on r.id = q.run_id
  join ops.environments as e on e.id = r.environment_id
  join ops.projects as p on p.id = e.project_id;

drop index ops.open_runs_due;
drop index ops.open_runs_held;
alter table ops.open_runs
  add column lane_id integer references ops.lanes (id),
  add column rank timestamptz,
  add column recovering boolean not null default false,
  add column estimate jsonb;
update ops.open_runs as q
   set lane_id = l.id, rank = q.due_at - q.priority * interval '5 minutes', recovering = r.losses > 0
  from ops.runs as r
  join ops.lanes as l on l.environment_id = r.environment_id and l.pipeline = r.pipeline
 where r.id = q.run_id and l.labels = '{}' and l.requires = q.requires and l.prefers = '';
update ops.runs as r set lane_id = q.lane_id from ops.open_runs as q where q.run_id = r.id;
alter table ops.open_runs alter column lane_id set not null, alter column rank set not null;
alter table ops.open_runs drop column requires, drop column priority;
create index open_runs_waiting on ops.open_runs (lane_id, rank, run_id) where executor_id is null and not recovering;
create index open_runs_by_due_time on ops.open_runs (due_at) where executor_id is null;
create index open_runs_recovering on ops.open_runs (due_at) where executor_id is null and recovering;
create index open_runs_held on ops.open_runs (lane_id, rank) where held;
drop index ops.open_runs_by_holder;
create index open_runs_by_holder on ops.open_runs (executor_id, lane_id) where executor_id is not null;
comment on column ops.open_runs.rank is
  'Place in the lane: due_at moved ahead by five minutes for each step of priority, so that whatever waits long enough goes first.';
comment on column ops.open_runs.recovering is 'Its executor was lost: it is leased again whatever the caps say, or recovery could wait for itself.';
comment on column ops.open_runs.estimate is 'What the run reserves under metered caps while it is leased.';

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

drop table ops.cap_usage;
create table ops.cap_usage (
  id bigint primary key generated always as identity,
  cap_id uuid not null references ops.caps (id) on delete cascade,
  at timestamptz not null,
  amount numeric not null check (amount > 0),
  run_ids uuid[] not null check (cardinality(run_ids) > 0)
);
create index cap_usage_by_time on ops.cap_usage (cap_id, at) include (amount);
comment on table ops.cap_usage is
  'Append-only ledger of what was used under caps with a window, one row per batch. What running runs reserve is derived from their leases '
  'instead, and so is concurrency: nothing has to be given back after a crash, so nothing can drift.';
alter table ops.cap_usage enable row level security;
create policy "The control room sees all rows" on ops.cap_usage for select to lakehouse_controlroom using (true);
grant select on ops.cap_usage to lakehouse_controlroom;

create function ops.ceiling(p_cap ops.caps, p_now timestamptz) returns numeric
language sql immutable
set search_path = pg_catalog, pg_temp
as $$ select case when p_cap.raised_until > p_now then p_cap.raised_to else p_cap.ceiling end $$;
comment on function ops.ceiling is 'What a cap allows now, a raise in force included. Callers: functions here.';

create view ops.lane_caps with (security_invoker = true) as
select l.id as lane_id, c.id as cap_id
  from ops.caps as c
  join ops.environments as e on e.id = c.environment_id
  join ops.projects as p on p.id = e.project_id
  join ops.lanes as l
    on case c.scope
         when 'organization' then l.organization_id = p.organization_id
         when 'project' then l.project_id = p.id
         when 'environment' then l.environment_id = c.environment_id
         when 'pipeline' then l.environment_id = c.environment_id and l.pipeline = c.subject
         when 'label' then l.environment_id = c.environment_id and c.subject = any (l.labels)
         when 'table' then l.environment_id = c.environment_id and exists (
           select 1 from ops.pipelines as w
            where w.environment_id = l.environment_id and w.name = l.pipeline and c.subject = any (w.writes))
         else false
       end
 where c.enabled;
comment on view ops.lane_caps is 'Which caps apply to which lane. Caps of scope executor apply to executors, not to lanes. Callers: functions here.';

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
     where u.cap_id = p_cap.id and u.at > p_now - make_interval(secs => p_cap.window_seconds);
  end if;
  if p_cap.scope = 'executor' then
    return v_used + (
      select coalesce(sum(case p_cap.kind when 'concurrency' then 1 when 'runs' then 0 else coalesce((q.estimate ->> p_cap.kind)::numeric, 0) end), 0)
        from ops.open_runs as q join ops.executors as e on e.id = q.executor_id where e.name = p_cap.subject);
  elsif p_cap.kind = 'concurrency' then
    return v_used + (
      select count(*) from ops.open_runs as q
       where q.executor_id is not null and q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id));
  elsif p_cap.kind <> 'runs' then
    return v_used + (
      select coalesce(sum((q.estimate ->> p_cap.kind)::numeric), 0)
        from ops.open_runs as q
       where q.executor_id is not null and q.estimate is not null
         and q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id));
  end if;
  return v_used;
end
$$;
comment on function ops.cap_used is 'What counts against a cap now: its ledger within the window, and what leased runs reserve. Callers: functions here.';

create function ops.cap_facts(p_cap ops.caps, p_now timestamptz) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'cap', p_cap.name, 'kind', p_cap.kind, 'scope', p_cap.scope, 'subject', p_cap.subject, 'behaviour', p_cap.behaviour,
    'limit', ops.ceiling(p_cap, p_now), 'used', ops.cap_used(p_cap, p_now),
    'unit', case p_cap.kind when 'concurrency' then 'runs' else p_cap.kind end, 'window_seconds', p_cap.window_seconds,
    'holders', coalesce(
      (select jsonb_agg(h.id) from (
         select r.id from ops.open_runs as q join ops.runs as r on r.id = q.run_id
          where q.executor_id is not null
            and (q.lane_id in (select m.lane_id from ops.lane_caps as m where m.cap_id = p_cap.id)
              or q.executor_id in (select e.id from ops.executors as e where p_cap.scope = 'executor' and e.name = p_cap.subject))
          order by r.created_at limit 5) as h),
      (select to_jsonb((array_agg(x.id order by u.at desc, u.id desc))[1:5]) from ops.cap_usage as u cross join lateral unnest(u.run_ids) as x (id)
        where p_cap.kind <> 'concurrency' and u.cap_id = p_cap.id and u.at > p_now - make_interval(secs => p_cap.window_seconds))),
    'frees_at', (select min(u.at) + make_interval(secs => p_cap.window_seconds) from ops.cap_usage as u
                  where u.cap_id = p_cap.id and u.at > p_now - make_interval(secs => p_cap.window_seconds))))
$$;
comment on function ops.cap_facts is 'A cap as a wait reason shows it: limit, use, who holds it, when its window frees something. Callers: functions here.';

create function ops.lane_block(p_lane integer, p_estimate jsonb, p_now timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap ops.caps;
  v_need numeric;
begin
  for v_cap in
    select c.* from ops.lane_caps as m join ops.caps as c on c.id = m.cap_id where m.lane_id = p_lane order by c.name
  loop
    v_need := case when v_cap.kind in ('concurrency', 'runs') then 1 else coalesce((p_estimate ->> v_cap.kind)::numeric, 0) end;
    if ops.cap_used(v_cap, p_now) + greatest(v_need, case when v_need = 0 then 1e-9 else 0 end) > ops.ceiling(v_cap, p_now) then
      return ops.cap_facts(v_cap, p_now) || jsonb_build_object('needs', v_need);
    end if;
  end loop;
  return null;
end
$$;
comment on function ops.lane_block is 'Why one more run of a lane may not start now: the facts of the first full cap, or null when it may. Callers: functions here.';

drop function ops.cap_allow(uuid, text);
create function ops.cap_allow(p_environment uuid, p_pipeline text, p_labels text[] default '{}', p_estimate jsonb default null) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_lane integer := (select ops.lane_of(p_environment, p_pipeline, p_labels));
  v_reason jsonb;
begin
  v_reason := ops.lane_block(
    v_lane, coalesce(p_estimate, (select p.estimate from ops.pipelines as p where p.environment_id = p_environment and p.name = p_pipeline)), ops.now());
  return jsonb_build_object('allowed', v_reason is null, 'reason', v_reason);
end
$$;
comment on function ops.cap_allow is 'Dry run of the caps for one more run of a pipeline: {"allowed", "reason"}. Callers: CLI, control room.';

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
    select p.environment_id, j.id, j.organization_id, p.name, array(select distinct x from unnest(p.labels || p_labels) as x order by x),
           p.requires, p.prefers
      from ops.pipelines as p
      join ops.environments as e on e.id = p.environment_id
      join ops.projects as j on j.id = e.project_id
     where p.environment_id = p_environment and p.name = p_pipeline
        on conflict do nothing;
  end loop;
  return v_lane;
end
$$;
comment on function ops.lane_of is 'The lane of a pipeline''s runs with these labels, made when it is new; null for an unknown pipeline. Callers: functions here.';

-- ---------------------------------------------------------------------------------------------------------------
-- Leasing by lane
-- ---------------------------------------------------------------------------------------------------------------
drop function ops.lease_capped(integer, uuid, timestamptz);
drop function ops.charge_caps(uuid, uuid, text, integer, timestamptz);

create function ops.cap_rooms(p_caps uuid[], p_now timestamptz) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(r.key, r.room), '{}')
    from (
      select case when c.scope = 'executor' then c.subject else c.id::text end as key,
             min(f.room) filter (where c.scope <> 'executor' or c.kind in ('concurrency', 'runs') or f.room <= 0) as room
        from ops.caps as c
        cross join lateral (select ops.ceiling(c, p_now) - ops.cap_used(c, p_now) as room offset 0) as f
       where c.id = any (p_caps) group by 1
    ) as r
$$;
comment on function ops.cap_rooms is 'What is left under each cap, by cap id, or by executor name for caps of that scope. Callers: ops.lease_due.';

create function ops.waiting_lanes() returns integer[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
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
$$;
comment on function ops.waiting_lanes is 'Lanes with a run that no executor holds. Callers: functions here.';

create function ops.free_slots(p_needs text[], p_prefers text, p_limit integer, p_only uuid, p_rooms jsonb, p_now timestamptz) returns uuid[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
as $$
  with free as materialized (
    select e.id, e.capabilities @> array[p_prefers] as preferred,
           least(e.slots - (select count(*) from ops.open_runs as h where h.executor_id = e.id), (p_rooms ->> e.name)::numeric)::integer as slots
      from ops.executors as e
     where (p_only is null or e.id = p_only) and (p_only is not null or e.pulling_until is null or e.pulling_until < p_now)
       and not e.draining and e.capabilities @> p_needs
       and e.lost_at is null and e.last_seen_at > p_now - (select make_interval(secs => s.executor_ttl_ms / 1000.0) from ops.settings as s)
  )
  -- preferred executors first, then by depth, so that work spreads over executors before it piles up on one
  select array(
    select f.id from free as f cross join lateral generate_series(1, least(f.slots, p_limit)) as s (depth)
     order by f.preferred desc, s.depth, f.id limit p_limit)
$$;
comment on function ops.free_slots is 'Executors that can take work with these needs, each as often as it has free slots, in the order of use. Callers: functions here.';

create function ops.choose_in_lane(p_lane integer, p_slots integer, p_now timestamptz) returns uuid[]
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
  select array(
    select r.run_id from (
      select q.run_id from ops.open_runs as q
       where q.executor_id is null and q.recovering and q.due_at <= p_now and q.lane_id = p_lane
       order by q.due_at limit p_slots for update of q skip locked
    ) as r
    union all
    select w.run_id from (
      select q.run_id from ops.open_runs as q
       where q.lane_id = p_lane and q.executor_id is null and not q.recovering and q.due_at <= p_now
       order by q.rank, q.run_id limit p_slots for update of q skip locked
    ) as w
  )
$$;
comment on function ops.choose_in_lane is 'Locks the next runs of a lane that no cap applies to, recovering ones first. Callers: ops.lease_due.';

create function ops.choose_fairly(p_lanes integer[], p_slots integer, p_caps uuid[], p_rooms jsonb, p_now timestamptz) returns uuid[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off  -- plain index scans mark dead entries on their way; bitmap scans read them for ever
set enable_seqscan = off  -- most of the table is history, whatever the statistics last said
set jit = off  -- compiling costs more than these statements ever take
as $$
declare
  v_shares boolean := (select count(distinct l.project_id) > 1 from ops.lanes as l where l.id = any (p_lanes));
  v_each integer := case when cardinality(p_lanes) = 1 then p_slots else p_slots / cardinality(p_lanes) + 16 end;
begin
  return array(
    with room as materialized (
      select c.lane_id,
             min(case when k.kind in ('concurrency', 'runs') or (p_rooms ->> c.cap_id::text)::numeric <= 0 then (p_rooms ->> c.cap_id::text)::numeric end) as runs
        from ops.lane_caps as c join ops.caps as k on k.id = c.cap_id
       where c.cap_id = any (p_caps) and c.lane_id = any (p_lanes) group by c.lane_id
    ),
    lane as materialized (
      select l.id, l.project_id, greatest(least(v_each, p_slots, coalesce(r.runs, p_slots)), 0)::bigint as at_most,
             case when v_shares then (
               select count(*) from ops.open_runs as h join ops.lanes as m on m.id = h.lane_id
                where h.executor_id is not null and m.project_id = l.project_id) else 0 end as busy,
             case when v_shares then (select p.weight from ops.projects as p where p.id = l.project_id) else 1 end as weight
        from ops.lanes as l left join room as r on r.lane_id = l.id
       where l.id = any (p_lanes)
    ),
    candidates as materialized (
      select d.run_id, d.rank, d.estimate, l.id as lane_id, l.project_id, l.busy, l.weight, false as recovering
        from lane as l
        cross join lateral (
          select q.run_id, q.rank, q.estimate from ops.open_runs as q
           where q.lane_id = l.id and q.executor_id is null and not q.recovering and q.due_at <= p_now
           order by q.rank, q.run_id limit l.at_most for update of q skip locked
        ) as d
      union all
      select d.run_id, d.rank, d.estimate, d.lane_id, null, 0, 1, true
        from (
          select q.run_id, q.rank, q.estimate, q.lane_id from ops.open_runs as q
           where q.executor_id is null and q.recovering and q.due_at <= p_now and q.lane_id = any (p_lanes)
           order by q.due_at limit p_slots for update of q skip locked
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
          select d.run_id, d.recovering, (p_rooms ->> c.cap_id::text)::numeric as room,
                 sum(case when k.kind in ('concurrency', 'runs') then 1 else coalesce((d.estimate ->> k.kind)::numeric, 0) end)
                   over (partition by c.cap_id order by d.n) as wanted
            from due as d
            join ops.lane_caps as c on c.lane_id = d.lane_id and c.cap_id = any (p_caps)
            join ops.caps as k on k.id = c.cap_id
        ) as w
       where not w.recovering and (w.wanted > w.room or w.room <= 0)
    )
    select d.run_id from due as d where d.run_id not in (select o.run_id from over as o) order by d.n limit p_slots
  );
end
$$;
comment on function ops.choose_fairly is
  'Locks the next runs of several lanes, or of lanes under caps: recovering runs first, then fair between projects, then by rank, within the '
  'room under each cap (p_rooms: what is left by cap id). Callers: ops.lease_due.';

create function ops.lease_chosen(p_runs uuid[], p_executors uuid[], p_only uuid, p_start boolean, p_caps uuid[], p_now timestamptz) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
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
    update ops.open_runs as q set executor_id = m.executor_id, held = false, recovering = false
      from matched as m
     where q.run_id = m.run_id
       and q.run_id = any (p_runs)  -- keeps the plan on the primary key
    returning q.run_id, q.lane_id
  ),
  leased as (
    update ops.runs as r
       set state = case when p_start then 'running' else 'claimed' end::ops.run_state,
           executor_id = m.executor_id, lease_token = gen_random_uuid(), attempt = r.attempt + 1, wait_reason = null,
           lease_expires_at = p_now + make_interval(secs => case when p_start then v_settings.lease_ms else v_settings.start_timeout_ms end / 1000.0),
           started_at = case when p_start then coalesce(r.started_at, p_now) else r.started_at end,
           phase = case when not p_start then r.phase when r.checkpoint = '{}' then r.phases[1] else ops.next_phase(r.phases, r.checkpoint) end,
           event_seq = r.event_seq + case when p_start then 2 else 1 end
      from matched as m
     where r.id = m.run_id
       and r.id = any (p_runs)
    returning r.id, r.executor_id, r.event_seq, r.attempt, r.phase
  ),
  charged as (
    insert into ops.cap_usage (cap_id, at, amount, run_ids)
    select c.id, p_now, count(*), array_agg(m.run_id)
      from matched as m
      join marked as k on k.run_id = m.run_id
      join ops.executors as e on e.id = m.executor_id
      join ops.caps as c on c.kind = 'runs' and c.id = any (p_caps)
       and (c.scope = 'executor' and c.subject = e.name
         or exists (select 1 from ops.lane_caps as a where a.lane_id = k.lane_id and a.cap_id = c.id))
     where cardinality(p_caps) > 0
     group by c.id
  )
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select l.id, l.event_seq - p_start::integer, l.attempt, 'PHASE_CLAIMED', p_now,
         case when p_only is null then jsonb_build_object('executor', l.executor_id) else v_by end
    from leased as l
  union all
  select l.id, l.event_seq, l.attempt, 'PHASE_STARTED', p_now, jsonb_build_object('phase', l.phase) from leased as l where p_start;
end
$$;
comment on function ops.lease_chosen is 'Leases each run to the executor beside it, with its events and what caps count. The caller holds the runs'' locks. Callers: ops.lease_due.';

create or replace function ops.lease_due(p_limit integer, p_only uuid, p_start boolean default false)
returns table (run_id uuid, executor_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_lanes integer[];
  v_group record;
  v_left integer := p_limit;
  v_caps uuid[];
  v_rooms jsonb := '{}';
  v_slots uuid[];
  v_chosen uuid[];
begin
  if (select s.paused_at is not null from ops.settings as s) then
    return;
  end if;
  v_lanes := ops.waiting_lanes();
  if cardinality(v_lanes) = 0 then
    return;
  end if;
  for v_group in
    select l.requires, l.prefers, array_agg(l.id order by l.id) as lanes from ops.lanes as l where l.id = any (v_lanes)
     group by l.requires, l.prefers order by min(l.id)
  loop
    select coalesce(array_agg(c.id), '{}') into v_caps
      from ops.caps as c
     where c.enabled and (c.scope = 'executor' or c.id in (select m.cap_id from ops.lane_caps as m where m.lane_id = any (v_group.lanes)));
    if cardinality(v_caps) > 0 then
      perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.caps', 0));
    end if;
    while v_left > 0 loop
      if cardinality(v_caps) > 0 then
        v_rooms := ops.cap_rooms(v_caps, v_now);  -- a statement of its own, behind the lock: it sees what the lock's last holder leased
      end if;
      v_slots := ops.free_slots(v_group.requires, v_group.prefers, v_left, p_only, v_rooms, v_now);
      exit when cardinality(v_slots) = 0;
      v_chosen := case
        when cardinality(v_caps) = 0 and cardinality(v_group.lanes) = 1 then ops.choose_in_lane(v_group.lanes[1], cardinality(v_slots), v_now)
        else ops.choose_fairly(v_group.lanes, cardinality(v_slots), v_caps, v_rooms, v_now) end;
      v_chosen := v_chosen[1:cardinality(v_slots)];
      exit when cardinality(v_chosen) = 0;
      perform ops.lease_chosen(v_chosen, v_slots[1:cardinality(v_chosen)], p_only, p_start, v_caps, v_now);
      v_left := v_left - cardinality(v_chosen);
      return query select x.run_id, x.executor_id from unnest(v_chosen, v_slots[1:cardinality(v_chosen)]) as x (run_id, executor_id);
      exit when cardinality(v_group.lanes) = 1;  -- several lanes share the limit: look again while some had more
    end loop;
    if cardinality(v_caps) > 0 then
      perform ops.meet_full_caps(v_caps, v_group.lanes, p_limit);
    end if;
  end loop;
end
$$;
comment on function ops.lease_due is
  'Matches due runs to free slots, lane by lane; with p_start they begin at once. Callers: ops.lease_runs, ops.claim_work, ops.claim_run.';

create function ops.meet_full_caps(p_caps uuid[], p_lanes integer[], p_limit integer) returns void
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
  v_by text;
  v_run uuid;
begin
  for v_front in
    select l.id as lane_id, f.estimate
      from unnest(p_lanes) as l (id)
      cross join lateral (
        select q.estimate from ops.open_runs as q
         where q.lane_id = l.id and q.executor_id is null and not q.recovering and q.due_at <= v_now order by q.rank, q.run_id limit 1) as f
  loop
    v_reason := ops.lane_block(v_front.lane_id, v_front.estimate, v_now);
    continue when v_reason is null;
    v_by := 'cap ' || (v_reason ->> 'cap');
    if v_reason ->> 'behaviour' = 'cancel_newest' then
      for v_run in
        select q.run_id from ops.open_runs as q
         where q.lane_id = v_front.lane_id and q.executor_id is null and not q.recovering and q.due_at <= v_now
         order by q.rank desc, q.run_id desc limit p_limit
      loop
        perform ops.cancel_run(v_run, v_by, 'the cap was full and cancels the newest run');
      end loop;
      continue;
    end if;
    if v_reason ->> 'behaviour' = 'cancel_oldest' then
      perform ops.cancel_oldest(v_reason ->> 'cap', v_front.lane_id, p_limit);
    end if;
    perform ops.hold_front(v_front.lane_id, v_reason, v_now);
  end loop;
end
$$;
comment on function ops.meet_full_caps is 'What becomes of runs that wait before a full cap, by its behaviour. Callers: ops.lease_due.';

create function ops.cancel_oldest(p_cap text, p_lane integer, p_limit integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_run uuid;
begin
  for v_run in
    select h.id
      from (
        select r.id, r.cancel_requested_at, row_number() over (order by r.cancel_requested_at nulls last, r.started_at nulls last, r.created_at) as n
          from ops.lanes as l
          join ops.caps as c on c.environment_id = l.environment_id and c.name = p_cap
          join ops.lane_caps as m on m.cap_id = c.id
          join ops.open_runs as q on q.lane_id = m.lane_id and q.executor_id is not null
          join ops.runs as r on r.id = q.run_id
         where l.id = p_lane
      ) as h
     where h.cancel_requested_at is null and h.n <= (  -- those asked to stop already make room too
       select count(*) from (
         select 1 from ops.open_runs as q
          where q.lane_id = p_lane and q.executor_id is null and not q.recovering and q.due_at <= ops.now() limit p_limit) as w)
  loop
    perform ops.cancel_run(v_run, 'cap ' || p_cap, 'the cap was full and cancels the oldest run');
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
    select q.lane_id, (array_agg(q.estimate order by q.rank))[1] as estimate, count(*) as held from ops.open_runs as q where q.held group by q.lane_id
  loop
    v_reason := ops.lane_block(v_lane.lane_id, v_lane.estimate, v_now);
    if v_reason is not null then
      -- use and holders change with every run and are shown live; what is kept is which cap it is
      update ops.runs as r set wait_reason = v_reason
       where r.id = any (array(select q.run_id from ops.open_runs as q where q.lane_id = v_lane.lane_id and q.held for update of q skip locked))
         and (r.wait_reason ->> 'cap', r.wait_reason ->> 'limit') is distinct from (v_reason ->> 'cap', v_reason ->> 'limit');
      continue;
    end if;
    select least(min(ops.ceiling(c, v_now) - ops.cap_used(c, v_now)), p_limit - v_released) into v_room
      from ops.lane_caps as m join ops.caps as c on c.id = m.cap_id
     where m.lane_id = v_lane.lane_id and c.kind in ('concurrency', 'runs');
    with picked as materialized (
      select q.run_id from ops.open_runs as q
       where q.lane_id = v_lane.lane_id and q.held
       order by q.rank, q.run_id
       limit greatest(floor(v_room) - (
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
         coalesce(nullif(v_spec -> 'estimate', 'null'::jsonb), '{}')
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
  perform ops.lane_of(p_environment, v_name, '{}');  -- here, so that no enqueue waits for another that makes it
  return query select v_name, v_digest, v_before is distinct from v_digest;
end
$$;

create function ops.refuse_what_may_not_wait(p_runs uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap ops.caps;
  v_waiting bigint;
  v_wanted numeric;
  v_used numeric;
  v_limit numeric;
begin
  if not exists (select 1 from ops.caps as c where c.enabled and (c.behaviour = 'reject' or c.max_waiting is not null)) then
    return;
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.caps', 0));
  for v_cap in
    select c.* from ops.caps as c
     where c.enabled and (c.behaviour = 'reject' or c.max_waiting is not null)
       and c.id in (
         select m.cap_id from ops.lane_caps as m
          where m.lane_id in (select q.lane_id from ops.open_runs as q where q.run_id = any (p_runs)))
     order by c.name
  loop
    select count(*), sum(case when v_cap.kind in ('concurrency', 'runs') then 1 else coalesce((q.estimate ->> v_cap.kind)::numeric, 0) end)
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
        format('cap %s is full: %s of %s %s used, %s more asked for', v_cap.name, v_used, v_limit,
               case v_cap.kind when 'concurrency' then 'concurrent runs' else v_cap.kind end, v_wanted),
        'Nothing was enqueued. Wait, raise the cap (`lakehouse cap raise`), or cancel a run that holds it.');
    end if;
  end loop;
end
$$;
comment on function ops.refuse_what_may_not_wait is
  'Raises CAP_EXCEEDED when new runs meet a full cap that rejects, or one under which enough runs wait. Callers: ops.enqueue_runs.';

create or replace function ops.enqueue_runs(p_runs jsonb) returns table (ordinal integer, run_id uuid, state ops.run_state, created boolean)
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
           coalesce(o.value ->> 'trigger', 'manual') as trigger, nullif(o.value -> 'estimate', 'null') as estimate,
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

  perform ops.refuse_what_may_not_wait(v_ids);
  perform pg_catalog.pg_notify('lakehouse_work', '');
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
  perform pg_catalog.pg_notify('lakehouse_work', '');
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
begin
  if not exists (select 1 from ops.caps as c where c.enabled and c.kind not in ('concurrency', 'runs')) then
    return;
  end if;
  insert into ops.cap_usage (cap_id, at, amount, run_ids)
  select c.id, ops.now(), sum((r.usage ->> c.kind)::numeric), array_agg(r.id)
    from jsonb_array_elements(p_outcomes) as o (value)
    join ops.runs as r on r.id = (o.value ->> 'run_id')::uuid
    left join ops.executors as e on e.id = r.executor_id
    join ops.caps as c
      on c.enabled and c.kind not in ('concurrency', 'runs')
     and (c.scope = 'executor' and c.subject = e.name
       or exists (select 1 from ops.lane_caps as m where m.lane_id = r.lane_id and m.cap_id = c.id))
   where (o.value ->> 'token')::uuid = any (p_tokens) and (r.usage ->> c.kind)::numeric > 0
   group by c.id;
end
$$;
comment on function ops.settle_caps is 'Writes what ended runs really used to the ledger of metered caps. Callers: ops.finish_runs.';

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
           manifest_sha256 = coalesce(o.manifest_sha256, r.manifest_sha256), usage = coalesce(o.usage, r.usage),
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
    perform pg_catalog.pg_notify('lakehouse_work', '');
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
  if not exists (select 1 from ops.open_runs as q where q.executor_id is null and not q.held and q.due_at <= v_now) then
    select min(q.due_at) into v_due from ops.open_runs as q where q.executor_id is null and not q.held;
  end if;
  select min(r.lease_expires_at) into v_lease from ops.open_runs as q join ops.runs as r on r.id = q.run_id where q.executor_id is not null;
  if exists (select 1 from ops.open_runs as q where q.held) then
    v_due := least(v_due, v_now + interval '1 second');  -- a window frees room without anybody's doing
  end if;
  return least(extract(epoch from v_due - v_now) * 1000, extract(epoch from v_lease - v_now) * 1000, 3600000)::integer;
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Caps as people change them, and why a run waits
-- ---------------------------------------------------------------------------------------------------------------
create function ops.set_cap(p_environment uuid, p_cap jsonb) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_scope text := coalesce(p_cap ->> 'scope', 'environment');
  v_subject text := p_cap ->> 'subject';
begin
  if (v_scope in ('pipeline', 'table', 'executor', 'label')) <> (v_subject is not null) then
    perform ops.refuse('INVALID_INPUT', 400,
      format(case when v_subject is null then 'a cap of scope %s must say which %1$s' else 'a cap of scope %s applies to all of it and names nothing' end, v_scope),
      'Give the subject for scopes pipeline, table, executor and label, and for those only.');
  end if;
  if v_scope = 'pipeline' and not exists (select 1 from ops.pipelines as p where p.environment_id = p_environment and p.name = v_subject) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no pipeline %L', v_subject), '`lakehouse pipeline list` shows what there is.');
  end if;
  if (p_cap ->> 'kind' = 'concurrency') <> (p_cap ->> 'window_seconds' is null) then
    perform ops.refuse('INVALID_INPUT', 400,
      format(case when p_cap ->> 'window_seconds' is null then 'a cap on %s needs a window' else 'a cap on %s has no window: it counts what runs at one moment' end, p_cap ->> 'kind'),
      'Every kind but concurrency counts within a window, for example an hour.');
  end if;
  insert into ops.caps as c (environment_id, name, kind, scope, subject, ceiling, window_seconds, behaviour, max_waiting, enabled)
  values (p_environment, p_cap ->> 'name', p_cap ->> 'kind', v_scope, v_subject, (p_cap ->> 'limit')::numeric, (p_cap ->> 'window_seconds')::integer,
          coalesce(p_cap ->> 'behaviour', 'hold'), (p_cap ->> 'max_waiting')::integer, coalesce((p_cap ->> 'enabled')::boolean, true))
      on conflict on constraint caps_environment_id_name_key do update
     set kind = excluded.kind, scope = excluded.scope, subject = excluded.subject, ceiling = excluded.ceiling, window_seconds = excluded.window_seconds,
         behaviour = excluded.behaviour, max_waiting = excluded.max_waiting, enabled = excluded.enabled, updated_at = ops.now()
  returning c.id into v_id;
  perform pg_catalog.pg_notify('lakehouse_work', '');
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
begin
  if p_for <= interval '0' or p_for > interval '31 days' or p_reason = '' then
    perform ops.refuse('INVALID_INPUT', 400, 'a raise needs a reason and ends within 31 days', 'Change the cap itself for longer than that.');
  end if;
  update ops.caps as c set raised_to = p_to, raised_until = v_until, raised_by = p_by, raised_reason = p_reason
   where c.environment_id = p_environment and c.name = p_name;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no cap %L', p_name), '`lakehouse cap list` shows what there is.');
  end if;
  perform pg_catalog.pg_notify('lakehouse_work', '');
  return v_until;
end
$$;
comment on function ops.raise_cap is 'Another ceiling for a while, with who and why; it ends by itself. Raises INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.remove_cap(p_environment uuid, p_name text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from ops.caps as c where c.environment_id = p_environment and c.name = p_name;
  if found then
    perform pg_catalog.pg_notify('lakehouse_work', '');
    return true;
  end if;
  return false;
end
$$;
comment on function ops.remove_cap is 'Removes a cap with its ledger; false when there is none of that name. Callers: CLI, control room.';

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
  v_ahead bigint;
begin
  select q.* into v_wait from ops.open_runs as q where q.run_id = p_run and q.executor_id is null;
  if not found then
    return null;
  end if;
  select l.* into v_lane from ops.lanes as l where l.id = v_wait.lane_id;
  select count(*) into v_ahead
    from (select 1 from ops.open_runs as q
           where q.lane_id = v_wait.lane_id and q.executor_id is null and not q.recovering and (q.rank, q.run_id) < (v_wait.rank, v_wait.run_id)
           limit 10000) as a;
  if v_wait.due_at > v_now then
    return jsonb_build_object('why', 'not_due', 'due_at', v_wait.due_at);
  end if;
  v_block := ops.lane_block(v_wait.lane_id, v_wait.estimate, v_now);
  if v_block is not null then
    return v_block || jsonb_build_object('why', 'cap', 'position', v_ahead + 1);
  elsif v_wait.held then
    return (select r.wait_reason from ops.runs as r where r.id = p_run) || jsonb_build_object('why', 'cap', 'position', v_ahead + 1);
  elsif (select s.paused_at is not null from ops.settings as s) then
    return (select jsonb_build_object('why', 'paused', 'by', s.paused_by, 'reason', s.paused_reason, 'since', s.paused_at) from ops.settings as s);
  elsif not exists (
    select 1 from ops.executors as e
     where not e.draining and e.lost_at is null and e.capabilities @> v_lane.requires
       and e.last_seen_at > v_now - (select make_interval(secs => s.executor_ttl_ms / 1000.0) from ops.settings as s)
  ) then
    return jsonb_build_object('why', 'no_executor', 'requires', v_lane.requires, 'position', v_ahead + 1);
  end if;
  return jsonb_build_object('why', 'slots', 'position', v_ahead + 1);
end
$$;
comment on function ops.wait_reason is
  'Why a run does not run yet, as of now: {"why": cap, not_due, paused, no_executor or slots, ...} with its place in the queue (10001: behind more '
  'than that); null when it does not wait. Callers: api.runs.';

create or replace view api.runs with (security_invoker = true) as
select r.id, r.environment_id, r.pipeline, r.state, r.phase, r.attempt, r.params, r.priority, r.trigger, r.parent_run_id, r.bundle,
       r.created_at, r.due_at, r.started_at, r.finished_at, r.published_at, r.rolled_back_at, case when r.state = 'held' then coalesce(ops.wait_reason(r.id), r.wait_reason) else r.wait_reason end as wait_reason, r.error, r.progress,
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
grant execute on function ops.cap_allow, ops.set_cap, ops.raise_cap, ops.remove_cap to lakehouse_controlroom;
grant execute on function ops.wait_reason to authenticated, lakehouse_controlroom;
grant select (lane_id, estimate, usage) on ops.runs to authenticated, lakehouse_controlroom;
