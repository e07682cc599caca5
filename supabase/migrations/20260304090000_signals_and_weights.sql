-- Signals with their evidence, weights in versions that never change, scores that can be recomputed, and weights learned from history.

-- Every call asks this table for the time before it touches another: from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

-- ---------------------------------------------------------------------------------------------------------------
-- What a run is judged by
-- ---------------------------------------------------------------------------------------------------------------
create table ops.signal_kinds (
  name text primary key check (name ~ '^[a-z][a-z0-9_]*$'),
  description text not null,
  weight numeric not null check (weight >= 0 and weight < 1e6)
);
comment on table ops.signal_kinds is 'The signals there are, and the weight each has in an environment''s first version.';
insert into ops.signal_kinds (name, description, weight)
values ('outcome', 'How the run ended: 1 succeeded, 0.5 canceled, 0 failed', 40),
       ('quality', 'Share of checks that passed; a warning counts half', 30),
       ('duration', 'Time from start to end, against the median of earlier like runs', 10),
       ('volume', 'Rows written, more or fewer, against the median of earlier like runs', 10),
       ('retries', '1 / (1 + failures + losses)', 10),
       ('freshness', 'Time since the pipeline''s last success, against the median of such times', 10),
       ('failure_streak', 'How many runs of the pipeline failed in a row, this one included', 10),
       ('drift', 'Share of published tables whose columns are those of their last version', 5),
       ('cost', 'Cost, or compute seconds where no cost is known, against the median of earlier like runs', 5);

-- ---------------------------------------------------------------------------------------------------------------
-- Weights in versions
-- ---------------------------------------------------------------------------------------------------------------
create table ops.weight_versions (
  environment_id uuid not null references ops.environments (id),
  version integer not null check (version > 0),
  author text not null check (author <> ''),
  reason text not null check (reason <> ''),
  created_at timestamptz not null,
  proposal_id uuid,
  primary key (environment_id, version)
);
create index weight_versions_of_a_proposal on ops.weight_versions (proposal_id) where proposal_id is not null;
comment on table ops.weight_versions is 'Who made which weights when, and why. The highest version is in force; none is ever changed.';

insert into ops.weight_versions (environment_id, version, author, reason, created_at)
select w.environment_id, w.version, 'lakehouse', 'before weights had authors', n.at
  from (select ops.now() as at) as n cross join (select distinct x.environment_id, x.version from ops.signal_weights as x) as w;
alter table ops.signal_weights
  add constraint weights_belong_to_a_version foreign key (environment_id, version) references ops.weight_versions (environment_id, version) not valid;
alter table ops.signal_weights validate constraint weights_belong_to_a_version;

create function ops.refuse_weight_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.refuse('NOT_ALLOWED', 403, format('%s of %s.%s is refused: a version of weights is never changed', tg_op, tg_table_schema, tg_table_name),
                     'Make a new version: `lakehouse score weights set`.');
  return null;
end
$$;
comment on function ops.refuse_weight_change is 'Trigger that keeps versions of weights as they were made.';
create trigger weights_are_never_changed before update or delete on ops.signal_weights
  for each row execute function ops.refuse_weight_change();
create trigger weights_are_not_truncated before truncate on ops.signal_weights
  for each statement execute function ops.refuse_weight_change();
create trigger weight_versions_are_never_changed before update or delete on ops.weight_versions
  for each row execute function ops.refuse_weight_change();
create trigger weight_versions_are_not_truncated before truncate on ops.weight_versions
  for each statement execute function ops.refuse_weight_change();

create function ops.weights_in_force(p_environment uuid) returns table (version integer, signal text, weight numeric)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select w.version, w.signal, w.weight from ops.signal_weights as w
   where w.environment_id = p_environment
     and w.version = (select max(v.version) from ops.weight_versions as v where v.environment_id = p_environment)
$$;
comment on function ops.weights_in_force is 'The weights that scores are computed by now. Callers: functions here, scorer, control room.';

create function ops.require_weights(p_weights jsonb) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_bad text;
  v_all text := (select string_agg(k.name, ', ' order by k.name) from ops.signal_kinds as k);
begin
  if jsonb_typeof(p_weights) is distinct from 'object' or p_weights = '{}' then
    perform ops.refuse('INVALID_INPUT', 400, 'weights are an object of signals and numbers', format('Signals: %s.', v_all));
  end if;
  select w.key into v_bad from jsonb_each(p_weights) as w where not exists (select 1 from ops.signal_kinds as k where k.name = w.key) limit 1;
  if found then
    perform ops.refuse('INVALID_INPUT', 400, format('there is no signal %L', v_bad), format('Signals: %s.', v_all));
  end if;
  select w.key into v_bad from jsonb_each_text(p_weights) as w where w.value is null or w.value !~ '^[0-9]{1,6}(\.[0-9]{1,6})?$' limit 1;
  if found then
    perform ops.refuse('INVALID_INPUT', 400, format('the weight of %s is no number from 0 to 999999 with at most six decimals', v_bad),
                       'A weight says how much a signal counts beside the others; 0 leaves it out.');
  end if;
  if not exists (select 1 from jsonb_each_text(p_weights) as w where w.value::numeric > 0) then
    perform ops.refuse('INVALID_INPUT', 400, 'no weight is above 0, so nothing could be scored', 'Give at least one signal a weight.');
  end if;
end
$$;
comment on function ops.require_weights is 'Raises INVALID_INPUT for weights that cannot be meant. Callers: functions here.';

create function ops.add_weights(p_environment uuid, p_weights jsonb, p_by text, p_reason text, p_proposal uuid) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_version integer;
begin
  insert into ops.weight_versions (environment_id, version, author, reason, created_at, proposal_id)
  select p_environment, coalesce(max(v.version), 0) + 1, p_by, p_reason, ops.now(), p_proposal
    from ops.weight_versions as v where v.environment_id = p_environment
  returning version into v_version;
  insert into ops.signal_weights (environment_id, version, signal, weight, description)
  select p_environment, v_version, k.name, (p_weights ->> k.name)::numeric, k.description
    from ops.signal_kinds as k where p_weights ? k.name;
  return v_version;
end
$$;
comment on function ops.add_weights is 'Writes the next version of an environment''s weights. The caller holds ops.hold_weights. Callers: functions here.';

create function ops.hold_weights(p_environment uuid) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.weight_versions ' || p_environment, 0)) $$;
comment on function ops.hold_weights is 'One maker of versions at a time, to the end of the transaction. Callers: functions here.';

create function ops.set_weights(p_environment uuid, p_weights jsonb, p_by text, p_reason text) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_all jsonb;
begin
  perform ops.hold_weights(p_environment);
  if not exists (select 1 from ops.environments as e where e.id = p_environment) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no environment %s', p_environment), 'Name one that exists.');
  end if;
  if coalesce(p_reason, '') = '' or coalesce(p_by, '') = '' then
    perform ops.refuse('INVALID_INPUT', 400, 'new weights need a reason', 'Say why; whoever wonders about a score reads it.');
  end if;
  select coalesce(jsonb_object_agg(w.signal, w.weight), '{}') || p_weights into v_all from ops.weights_in_force(p_environment) as w;
  perform ops.require_weights(p_weights);
  perform ops.require_weights(v_all);
  return ops.add_weights(p_environment, v_all, p_by, p_reason, null);
end
$$;
comment on function ops.set_weights is
  'Makes a new version of weights, in force at once: {signal: weight}; a signal that is not named keeps its weight. Answers the version. '
  'Raises INVALID_INPUT and NOT_FOUND. Callers: CLI, control room.';

create function ops.give_first_weights() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.add_weights(new.id, (select jsonb_object_agg(k.name, k.weight) from ops.signal_kinds as k), 'lakehouse', 'first weights', null);
  return null;
end
$$;
comment on function ops.give_first_weights is 'Trigger that gives a new environment its first weights.';
create trigger environments_start_with_weights after insert on ops.environments
  for each row execute function ops.give_first_weights();

-- what an environment weighed before stays as it was; the new signals join it in the next version
select ops.add_weights(
         e.id,
         (select jsonb_object_agg(k.name, k.weight) from ops.signal_kinds as k)
         || (select coalesce(jsonb_object_agg(w.signal, w.weight), '{}') from ops.weights_in_force(e.id) as w),
         'lakehouse', 'freshness, failure streak, drift and cost join', null)
  from ops.environments as e;

-- ---------------------------------------------------------------------------------------------------------------
-- What the scorer reads and records. ops.run_facts stays for scorers of release 0.1.
-- ---------------------------------------------------------------------------------------------------------------
create function ops.run_evidence(p_runs uuid[])
returns table (
  run_id uuid, environment_id uuid, pipeline text, comparable boolean, state text, attempt integer, failures integer, losses integer,
  duration_ms bigint, rows_added bigint, cost numeric, cost_unit text, gap_ms bigint, streak integer,
  checks_passed bigint, checks_warned bigint, checks_failed bigint, tables_known bigint, tables_changed bigint,
  durations bigint[], volumes bigint[], costs numeric[], gaps bigint[]
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- most of these tables is history, whatever the statistics last said
set jit = off
as $$
  select r.id, r.environment_id, r.pipeline, r.comparable, r.state::text, r.attempt, r.failures::integer, r.losses::integer,
         (extract(epoch from r.finished_at - r.started_at) * 1000)::bigint,
         (select coalesce(sum(x.rows_added), 0)::bigint from ops.run_tables as x where x.run_id = r.id),
         r.cost, r.cost_unit, (extract(epoch from r.finished_at - h.last_success) * 1000)::bigint,
         case r.state when 'succeeded' then 0 when 'failed' then coalesce(h.failed, 0) + 1 else coalesce(h.failed, 0) end::integer,
         k.passed, k.warned, k.failed, d.tables, d.changed,
         coalesce(h.durations, '{}'), coalesce(v.volumes, '{}'), coalesce(h.costs, '{}'), coalesce(h.gaps, '{}')
    from (
      select x.*, not p.built_in as comparable,
             coalesce((x.usage ->> 'cost')::numeric, (x.usage ->> 'compute_seconds')::numeric) as cost,
             case when x.usage ->> 'cost' is not null then 'cost' when x.usage ->> 'compute_seconds' is not null then 'compute_seconds' end as cost_unit
        from ops.runs as x join ops.pipelines as p on p.environment_id = x.environment_id and p.name = x.pipeline
       where x.id = any (p_runs) and x.finished_at is not null
    ) as r
    cross join lateral (
      select count(*) filter (where c.result = 'pass') as passed,
             count(*) filter (where c.result = 'warn' or (c.result = 'fail' and c.action = 'warn')) as warned,
             count(*) filter (where c.action = 'fail' and c.result in ('fail', 'error')) as failed
        from ops.run_checks as c where c.run_id = r.id and c.attempt = (select max(m.attempt) from ops.run_checks as m where m.run_id = r.id)
    ) as k
    cross join lateral (
      -- the latest 60 runs before this one hold whatever is compared; a bound, so that no history makes this slow
      select array_agg(e.duration_ms order by e.n) filter (where e.alike and e.n <= 20 and e.duration_ms is not null) as durations,
             array_agg(e.id order by e.n) filter (where e.alike and e.n <= 20) as likes,
             array_agg(e.cost order by e.n) filter (where e.alike and e.n <= 20 and e.cost is not null) as costs,
             array_agg(e.gap_ms order by e.place) filter (where e.state = 'succeeded' and e.place <= 20 and e.gap_ms is not null) as gaps,
             max(e.last_success) as last_success,
             count(*) filter (where e.state = 'failed' and (e.last_success is null or e.finished_at > e.last_success)) as failed
        from (
          select w.*, row_number() over (partition by w.alike order by w.created_at desc, w.id) as n,
                 row_number() over (partition by w.state order by w.finished_at desc, w.id) as place,
                 (extract(epoch from w.finished_at - lag(w.finished_at) over (partition by w.state order by w.finished_at, w.id)) * 1000)::bigint as gap_ms,
                 max(w.finished_at) filter (where w.state = 'succeeded') over () as last_success
            from (
              select p.id, p.created_at, p.finished_at, p.state, (extract(epoch from p.finished_at - p.started_at) * 1000)::bigint as duration_ms,
                     p.state = 'succeeded' and p.rolled_back_at is null and (p.published_at is null) = (r.published_at is null) as alike,
                     (p.usage ->> r.cost_unit)::numeric as cost
                from ops.runs as p
               where p.environment_id = r.environment_id and p.pipeline = r.pipeline and p.created_at < r.created_at and r.comparable
               order by p.created_at desc limit 60
            ) as w
           where w.finished_at <= r.finished_at
        ) as e
    ) as h
    cross join lateral (
      select array_agg(y.rows_added order by y.n) as volumes
        from (
          select i.n, coalesce(sum(t.rows_added), 0)::bigint as rows_added
            from unnest(h.likes) with ordinality as i (id, n) left join ops.run_tables as t on t.run_id = i.id
           where r.published_at is not null
           group by i.n
        ) as y
    ) as v
    cross join lateral (
      select count(*) as tables, count(*) filter (where b.schema_hash <> t.schema_hash) as changed
        from ops.run_tables as t
        cross join lateral (
          select x.schema_hash from unnest(h.likes) with ordinality as i (id, n) join ops.run_tables as x on x.run_id = i.id and x.name = t.name
           order by i.n limit 1
        ) as b
       where t.run_id = r.id
    ) as d
$$;
comment on function ops.run_evidence is
  'What ended runs are judged by, beside the 20 like runs before each (succeeded, not rolled back, published or not as this one). comparable: '
  'false for built-in pipelines, whose runs have nothing in common. Times in ms. Callers: scorer.';

create function ops.exact_score(p_weighted numeric, p_weights numeric) returns numeric
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select div(p_weighted * 20000 + p_weights, p_weights * 2)::numeric / 100 where p_weights > 0 $$;
comment on function ops.exact_score is
  'Weighted sum over sum of weights, times 100, to two decimals, halves up. One exact division, so that whoever recomputes it gets every digit.';

create function ops.score_runs(p_runs uuid[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
begin
  perform 1 from ops.runs as r where r.id = any (p_runs) order by r.id for no key update;
  with forced as (
    select v.environment_id, max(v.version) as version from ops.weight_versions as v group by v.environment_id
  ),
  scored as (
    select r.id, f.version, round(ops.exact_score(sum(s.value * w.weight), sum(w.weight)), 2) as score,
           jsonb_object_agg(s.name, jsonb_build_object('value', s.value, 'weight', w.weight)) as inputs
      from ops.runs as r
      join forced as f on f.environment_id = r.environment_id
      join ops.signals as s on s.run_id = r.id
      join ops.signal_weights as w on w.environment_id = f.environment_id and w.version = f.version and w.signal = s.name and w.weight > 0
     where r.id = any (p_runs)
     group by r.id, f.version
  ),
  kept as (
    insert into ops.run_scores as x (run_id, score, weights_version, inputs, created_at)
    select s.id, s.score, s.version, s.inputs, v_now from scored as s
        on conflict (run_id) do update
       set score = excluded.score, weights_version = excluded.weights_version, inputs = excluded.inputs, created_at = excluded.created_at
    returning x.run_id, x.score
  ),
  counted as (
    update ops.runs as r set event_seq = r.event_seq + 1 from kept as k where r.id = k.run_id
    returning r.id, r.event_seq, r.attempt, r.pipeline, k.score
  )
  insert into ops.run_events (run_id, run_seq, attempt, type, at, data)
  select c.id, c.event_seq, c.attempt, 'RUN_SCORED', v_now, jsonb_build_object('pipeline', c.pipeline, 'score', c.score) from counted as c;
end
$$;
comment on function ops.score_runs is
  'Scores runs from their signals under the weights in force and keeps the inputs of each; runs without signals are left out. Callers: functions here.';

create or replace function ops.compute_run_score(p_run uuid) returns numeric
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.score_runs(array[p_run]);
  return (select x.score from ops.run_scores as x where x.run_id = p_run);
end
$$;

create or replace function ops.record_signals(
  p_consumer text, p_from_xid text, p_from_seq bigint, p_to_xid text, p_to_seq bigint, p_signals jsonb
) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
  if not ops.advance_cursor(p_consumer, p_from_xid, p_from_seq, p_to_xid, p_to_seq) then
    return false;
  end if;
  if jsonb_array_length(p_signals) = 0 then
    return true;
  end if;
  insert into ops.signals as s (run_id, name, value, evidence, created_at)
  select x.run_id, x.name, x.value, coalesce(x.evidence, '{}'), n.at
    from (select ops.now() as at) as n
    cross join jsonb_to_recordset(p_signals) as x (run_id uuid, name text, value numeric, evidence jsonb)
      on conflict (run_id, name) do update set value = excluded.value, evidence = excluded.evidence, created_at = excluded.created_at;
  perform ops.score_runs(array(select distinct y.run_id from jsonb_to_recordset(p_signals) as y (run_id uuid)));
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return true;
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- What other weights would have said
-- ---------------------------------------------------------------------------------------------------------------
create function ops.what_if_weights(p_environment uuid, p_weights jsonb, p_since interval, p_watches jsonb default '[]', p_limit integer default 10)
returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from timestamptz := ops.now() - p_since;
  v_all jsonb;
  v_answer jsonb;
begin
  select coalesce(jsonb_object_agg(w.signal, w.weight), '{}') || p_weights into v_all from ops.weights_in_force(p_environment) as w;
  perform ops.require_weights(p_weights);
  perform ops.require_weights(v_all);
  with rescored as materialized (
    select r.id, r.pipeline, r.finished_at, x.score as before,
           round(ops.exact_score(sum(s.value * w.value::numeric), sum(w.value::numeric)), 2) as after
      from ops.runs as r
      join ops.run_scores as x on x.run_id = r.id
      join ops.signals as s on s.run_id = r.id
      join jsonb_each_text(v_all) as w on w.key = s.name and w.value::numeric > 0
     where r.environment_id = p_environment and r.finished_at >= v_from
     group by r.id, x.score
  ),
  watched as (
    select w.rule, p.pipeline, w.min_score
      from jsonb_to_recordset(p_watches) as w (rule text, min_score numeric, pipelines jsonb)
      cross join lateral jsonb_array_elements_text(w.pipelines) as p (pipeline)
  ),
  alerted as (
    select w.rule, m.pipeline, w.min_score, count(*) filter (where m.before < w.min_score) as before,
           count(*) filter (where m.after < w.min_score) as after, min(m.finished_at) filter (where m.after < w.min_score) as first_at
      from watched as w join rescored as m on m.pipeline = w.pipeline
     group by w.rule, m.pipeline, w.min_score
    having count(*) filter (where m.before < w.min_score) > 0 or count(*) filter (where m.after < w.min_score) > 0
  )
  select jsonb_build_object(
           'weights', v_all, 'since', v_from, 'runs', count(*), 'changed', count(*) filter (where m.before <> m.after),
           'better', count(*) filter (where m.after > m.before), 'worse', count(*) filter (where m.after < m.before),
           'mean_before', round(avg(m.before), 2), 'mean_after', round(avg(m.after), 2),
           'movers', (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from (
              select b.id as run_id, b.pipeline, b.finished_at, b.before, b.after, b.after - b.before as change
                from rescored as b where b.after <> b.before order by abs(b.after - b.before) desc, b.finished_at desc, b.id limit p_limit) as t),
           'alerts', (select coalesce(jsonb_agg(to_jsonb(a) order by a.rule, a.pipeline), '[]') from alerted as a))
    into v_answer
    from rescored as m;
  return v_answer;
end
$$;
comment on function ops.what_if_weights is
  'How the scores of runs that ended since then would change: {weights, since, runs, changed, better, worse, mean_before, mean_after, movers, alerts}. '
  'Weights that are not named are those in force. p_watches: [{rule, min_score, pipelines}]. Writes nothing. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Weights learned from history: proposed, never applied by themselves
-- ---------------------------------------------------------------------------------------------------------------
create table ops.weight_proposals (
  id uuid primary key default gen_random_uuid(),
  environment_id uuid not null references ops.environments (id),
  base_version integer not null,
  weights jsonb not null check (jsonb_typeof(weights) = 'object'),
  evidence jsonb not null check (jsonb_typeof(evidence) = 'object'),
  author text not null check (author <> ''),
  created_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by text,
  accepted_version integer,
  constraint acceptance_is_complete check (num_nulls(accepted_at, accepted_by, accepted_version) in (0, 3))
);
create index weight_proposals_newest_first on ops.weight_proposals (environment_id, created_at desc);
comment on table ops.weight_proposals is 'Weights that the scorer computed from history, with the evidence. A person makes one a version, or nobody does.';
alter table ops.weight_versions
  add constraint versions_name_their_proposal foreign key (proposal_id) references ops.weight_proposals (id) not valid;
alter table ops.weight_versions validate constraint versions_name_their_proposal;

create table ops.learning_turns (
  environment_id uuid primary key references ops.environments (id),
  taken_at timestamptz not null
);
comment on table ops.learning_turns is 'When history was last learned from, so that of many scorers one does it.';

create function ops.training_runs(p_environment uuid, p_since interval, p_horizon interval default '24 hours', p_limit integer default 20000)
returns table (run_id uuid, pipeline text, finished_at timestamptz, signals jsonb, failed_next boolean, rolled_back boolean, incident boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  select e.id, e.pipeline, e.finished_at,
         (select jsonb_object_agg(s.name, s.value) from ops.signals as s where s.run_id = e.id),
         coalesce(e.next_state = 'failed', false), e.rolled_back_at is not null,
         exists (
           select 1 from ops.alerts as a
            where a.environment_id = p_environment and a.pipeline = e.pipeline and a.severity in ('error', 'critical')
              and a.run_id is distinct from e.id and a.created_at > e.finished_at and a.created_at <= e.finished_at + p_horizon)
    from (
      select r.id, r.pipeline, r.finished_at, r.rolled_back_at,
             lead(r.state) over (partition by r.pipeline order by r.created_at, r.id) as next_state
        from ops.runs as r
        join ops.pipelines as p on p.environment_id = r.environment_id and p.name = r.pipeline and not p.built_in
       where r.environment_id = p_environment and r.created_at > v_now - p_since and r.state in ('succeeded', 'failed')
    ) as e
   where (e.next_state is not null or e.finished_at < v_now - p_horizon)
     and exists (select 1 from ops.signals as s where s.run_id = e.id)
   order by e.finished_at desc, e.id limit p_limit;
end
$$;
comment on function ops.training_runs is
  'Judged runs with what followed each: the pipeline''s next run failed, it was rolled back, or an error alert on its pipeline by another run within '
  'the horizon. Runs whose future is not known yet are left out. Callers: scorer, CLI.';

create function ops.take_learning_turns(p_every interval, p_fewest integer) returns setof uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  insert into ops.learning_turns as t (environment_id, taken_at)
  select e.id, v_now from ops.environments as e
   where (select count(*) from (
            select 1 from ops.runs as r
             where r.environment_id = e.id and r.state in ('succeeded', 'failed') and r.pipeline <> 'query' limit p_fewest) as f) = p_fewest
      on conflict (environment_id) do update set taken_at = excluded.taken_at where t.taken_at <= v_now - p_every
  returning t.environment_id;
end
$$;
comment on function ops.take_learning_turns is 'Environments with enough history that nobody learned from for so long; they are the caller''s now. Callers: scorer.';

create function ops.propose_weights(p_environment uuid, p_base integer, p_weights jsonb, p_evidence jsonb, p_by text) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  perform ops.require_weights(p_weights);
  insert into ops.weight_proposals as p (environment_id, base_version, weights, evidence, author, created_at)
  values (p_environment, p_base, p_weights, p_evidence, p_by, ops.now()) returning p.id into v_id;
  return v_id;
end
$$;
comment on function ops.propose_weights is 'Keeps weights learned from history with their evidence; changes no score. Callers: scorer, CLI.';

create function ops.accept_weights(p_proposal uuid, p_by text, p_reason text) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_proposal ops.weight_proposals;
  v_present integer;
  v_version integer;
begin
  select p.* into v_proposal from ops.weight_proposals as p where p.id = p_proposal for update;
  if not found then
    perform ops.refuse('NOT_FOUND', 404, format('there is no proposal %s', p_proposal), '`lakehouse score weights proposals` shows what there is.');
  end if;
  if v_proposal.accepted_at is not null then
    perform ops.refuse('CONFLICT', 409, format('proposal %s was accepted by %s as version %s', p_proposal, v_proposal.accepted_by, v_proposal.accepted_version),
                       'Nothing is to be done.');
  end if;
  perform ops.hold_weights(v_proposal.environment_id);
  select max(v.version) into v_present from ops.weight_versions as v where v.environment_id = v_proposal.environment_id;
  if v_present <> v_proposal.base_version then
    perform ops.refuse('CONFLICT', 409,
      format('proposal %s was measured against version %s; version %s is in force', p_proposal, v_proposal.base_version, v_present),
      '`lakehouse score weights propose` measures anew; `lakehouse score weights set` takes the numbers as they are.');
  end if;
  v_version := ops.add_weights(v_proposal.environment_id, v_proposal.weights, p_by, p_reason, p_proposal);
  update ops.weight_proposals as p set accepted_at = ops.now(), accepted_by = p_by, accepted_version = v_version where p.id = p_proposal;
  return v_version;
end
$$;
comment on function ops.accept_weights is
  'Makes a proposal the next version of weights, by a named person; answers the version. Raises NOT_FOUND, and CONFLICT when it was accepted before '
  'or other weights came into force meanwhile. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- What people read
-- ---------------------------------------------------------------------------------------------------------------
alter table ops.signal_kinds enable row level security;
alter table ops.weight_versions enable row level security;
alter table ops.weight_proposals enable row level security;
alter table ops.learning_turns enable row level security;
create policy "The control room sees all rows" on ops.signal_kinds for select to lakehouse_controlroom using (true);
create policy "The control room sees all rows" on ops.weight_versions for select to lakehouse_controlroom using (true);
create policy "The control room sees all rows" on ops.weight_proposals for select to lakehouse_controlroom using (true);
create policy "The control room sees all rows" on ops.learning_turns for select to lakehouse_controlroom using (true);
create policy "Everybody who belongs somewhere sees what signals there are" on ops.signal_kinds for select to authenticated using (true);
create policy "Members see their project's rows" on ops.weight_versions for select to authenticated
  using (environment_id in (select ops.my_environments()));
create policy "Members see their project's rows" on ops.weight_proposals for select to authenticated
  using (environment_id in (select ops.my_environments()));

create view api.signals with (security_invoker = true) as
select s.run_id, r.environment_id, r.pipeline, r.created_at as run_created_at, s.name, s.value, s.evidence, s.created_at
  from ops.signals as s join ops.runs as r on r.id = s.run_id;
comment on view api.signals is 'What runs were judged by: 1 is healthy, 0 as bad as it gets, with the numbers behind it.';

create view api.scores with (security_invoker = true) as
select x.run_id, r.environment_id, r.pipeline, x.score, x.weights_version, x.inputs, x.created_at
  from ops.run_scores as x join ops.runs as r on r.id = x.run_id;
comment on view api.scores is 'Scores with the inputs they are recomputed from.';

create view api.weights with (security_invoker = true) as
select v.environment_id, v.version, v.author, v.reason, v.created_at, v.proposal_id,
       v.version = (select max(m.version) from ops.weight_versions as m where m.environment_id = v.environment_id) as active,
       (select coalesce(jsonb_object_agg(w.signal, w.weight), '{}') from ops.signal_weights as w
         where w.environment_id = v.environment_id and w.version = v.version) as weights
  from ops.weight_versions as v;
comment on view api.weights is 'Versions of weights: who, when, why, and which is in force.';

create view api.weight_proposals with (security_invoker = true) as
select p.id, p.environment_id, p.base_version, p.weights, p.evidence, p.author, p.created_at, p.accepted_at, p.accepted_by, p.accepted_version
  from ops.weight_proposals as p;
comment on view api.weight_proposals is 'Weights learned from history, with the evidence.';

-- ---------------------------------------------------------------------------------------------------------------
-- Grants
-- ---------------------------------------------------------------------------------------------------------------
revoke all on ops.signal_kinds, ops.weight_versions, ops.weight_proposals, ops.learning_turns from public;
revoke all on api.signals, api.scores, api.weights, api.weight_proposals from public;
revoke execute on all functions in schema ops from public;
grant select on ops.signal_kinds, ops.weight_versions, ops.weight_proposals to authenticated, lakehouse_controlroom;
grant select on ops.learning_turns to lakehouse_controlroom;
grant select on api.signals, api.scores, api.weights, api.weight_proposals to authenticated, lakehouse_controlroom;
grant execute on function ops.run_evidence, ops.weights_in_force, ops.training_runs, ops.take_learning_turns, ops.propose_weights to lakehouse_scorer;
grant execute on function
  ops.set_weights, ops.what_if_weights, ops.weights_in_force, ops.training_runs, ops.propose_weights, ops.accept_weights
  to lakehouse_controlroom;
