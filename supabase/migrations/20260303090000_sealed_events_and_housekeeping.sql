-- Events that prove themselves, and the house kept by itself: partitions by time, a hash chain over the log with signed checkpoints,
-- retention of events, artifacts and alerts, and one switch that stops new leases.

-- Every call asks this table for the time before it touches another: from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

-- ---------------------------------------------------------------------------------------------------------------
-- How long things are kept
-- ---------------------------------------------------------------------------------------------------------------
alter table ops.settings
  add column event_partition_hours integer not null default 24 check (event_partition_hours between 1 and 8784),
  add column event_retention_days integer not null default 90 check (event_retention_days between 1 and 36500),
  add column artifact_retention_days integer not null default 90 check (artifact_retention_days between 1 and 36500),
  add column result_retention_days integer not null default 14 check (result_retention_days between 1 and 36500),
  add column alert_retention_days integer not null default 90 check (alert_retention_days between 1 and 36500);
comment on column ops.settings.event_partition_hours is 'After so many hours events go to a new partition.';
comment on column ops.settings.event_retention_days is 'A partition is dropped when all its events are older, sealed and behind every follower.';
comment on column ops.settings.artifact_retention_days is 'Artifacts of runs that ended longer ago go, unless a published table needs them.';
comment on column ops.settings.result_retention_days is 'Results of ad-hoc statements are kept for so many days.';
comment on column ops.settings.alert_retention_days is 'Resolved alerts, their notifications and ended silences are kept for so many days.';

-- ---------------------------------------------------------------------------------------------------------------
-- The book of event partitions
-- ---------------------------------------------------------------------------------------------------------------
create table ops.event_partitions (
  name text primary key,
  from_seq bigint not null unique,
  upto_seq bigint not null,
  opened_at timestamptz,
  closed_at timestamptz,
  dropped_at timestamptz,
  events bigint,
  sealed_n bigint,
  sealed_digest text,
  constraint partitions_hold_a_range check (upto_seq > from_seq),
  constraint partitions_close_after_they_opened check (closed_at >= opened_at),
  constraint dropped_partitions_leave_their_head check ((dropped_at is null) = (events is null))
);
comment on table ops.event_partitions is
  'Every partition of ops.run_events there is or was. A dropped one leaves how many events it held and the seal that was the last to cover them.';
alter table ops.event_partitions enable row level security;
create policy "The control room sees all rows" on ops.event_partitions for select to lakehouse_controlroom using (true);

do $$
declare
  v_last bigint := (select s.last_value from ops.run_events_seq as s);
  v_part record;
begin
  for v_part in
    select c.relname::text as name, b.bounds[1]::bigint as from_seq, b.bounds[2]::bigint as upto_seq
      from pg_catalog.pg_inherits as i
      join pg_catalog.pg_class as c on c.oid = i.inhrelid
      cross join lateral regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\) TO \(''?(\d+)''?\)') as b (bounds)
     where i.inhparent = 'ops.run_events'::regclass
  loop
    insert into ops.event_partitions (name, from_seq, upto_seq, opened_at, closed_at)
    values (v_part.name, v_part.from_seq, v_part.upto_seq, case when v_part.from_seq <= v_last then ops.now() end,
            case when v_part.upto_seq <= v_last then ops.now() end);
    execute format('create trigger run_events_are_not_truncated before truncate on ops.%I for each statement execute function ops.refuse_change()',
                   v_part.name);
  end loop;
end
$$;

create or replace function ops.ensure_event_partitions(p_ahead integer default 2) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint := (select s.event_partition_rows from ops.settings as s);
  v_from bigint;
  v_upto bigint;
  v_name text;
  v_made integer := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.run_events partitions', 0));
  perform ops.rotate_event_partitions();
  select coalesce(max(p.upto_seq), 0) into v_upto from ops.event_partitions as p;
  while v_upto <= (select s.last_value from ops.run_events_seq as s) + v_rows * p_ahead loop
    v_from := v_upto;
    v_upto := v_from + v_rows;
    v_name := 'run_events_p' || lpad(v_from::text, 15, '0');
    -- attached rather than made in place: writers of events need not wait for that
    execute format('create table ops.%I (like ops.run_events including defaults including constraints)', v_name);
    execute format('alter table ops.%I enable row level security', v_name);
    execute format('create trigger run_events_are_not_truncated before truncate on ops.%I for each statement execute function ops.refuse_change()', v_name);
    execute format('alter table ops.run_events attach partition ops.%I for values from (%s) to (%s)', v_name, v_from, v_upto);
    insert into ops.event_partitions (name, from_seq, upto_seq) values (v_name, v_from, v_upto);
    v_made := v_made + 1;
  end loop;
  return v_made;
end
$$;
comment on function ops.ensure_event_partitions is
  'Begins a new event partition when the present one has been open for event_partition_hours, and makes partitions ahead of need; how many were made. '
  'Callers: dispatcher (housekeeping), migrations.';

create function ops.rotate_event_partitions() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_settings ops.settings;
  v_last bigint;
  v_used boolean;
  v_open ops.event_partitions;
begin
  select * into v_settings from ops.settings;
  select s.last_value, s.is_called into v_last, v_used from ops.run_events_seq as s;
  update ops.event_partitions as p set opened_at = coalesce(p.opened_at, v_now), closed_at = greatest(v_now, p.opened_at)
   where p.upto_seq <= v_last and p.closed_at is null;  -- the clock may have been set back meanwhile
  update ops.event_partitions as p set opened_at = v_now where p.from_seq <= v_last and p.upto_seq > v_last and p.opened_at is null;
  select p.* into v_open from ops.event_partitions as p where p.from_seq <= v_last and p.upto_seq > v_last;
  if v_open.opened_at > v_now - make_interval(hours => v_settings.event_partition_hours) then
    return;
  end if;
  if not v_used or v_last <= greatest(v_open.from_seq, 1) then
    update ops.event_partitions as p set opened_at = v_now where p.name = v_open.name;  -- nothing happened: it stays the newest
    return;
  end if;
  -- Near its end it is left alone: the sequence must not be set back by a jump it has passed meanwhile.
  if v_open.upto_seq - v_last > v_settings.event_partition_rows / 100
     and exists (select 1 from ops.event_partitions as p where p.from_seq = v_open.upto_seq) then
    perform setval('ops.run_events_seq', v_open.upto_seq, false);
    update ops.event_partitions as p set closed_at = greatest(v_now, p.opened_at) where p.name = v_open.name;
    update ops.event_partitions as p set opened_at = v_now where p.from_seq = v_open.upto_seq;
  end if;
end
$$;
comment on function ops.rotate_event_partitions is
  'Keeps the book of event partitions and, once the open one is old enough, moves the sequence to the next: gaps in seq mean nothing, and '
  'transactions under way may still write to the former one. Callers: ops.ensure_event_partitions.';

-- ---------------------------------------------------------------------------------------------------------------
-- Seals: a hash chain over settled events
-- ---------------------------------------------------------------------------------------------------------------
create table ops.event_seals (
  n bigint primary key check (n > 0),
  previous text not null unique check (previous ~ '^[0-9a-f]{64}$'),
  from_xid xid8 not null,
  from_seq bigint not null,
  upto_xid xid8 not null,
  upto_seq bigint not null,
  events integer not null check (events >= 0),
  parts jsonb not null,
  dropped text,
  at timestamptz not null,
  digest text not null unique check (digest ~ '^[0-9a-f]{64}$'),
  marks bytea not null default '',
  constraint seals_of_a_drop_cover_no_event check (dropped is null or events = 0)
);
comment on table ops.event_seals is
  'The hash chain: row n covers all events after (from_xid, from_seq) up to (upto_xid, upto_seq), or records what retention dropped: a partition, '
  'or (dropped = seals) the chain''s own beginning, with the number and digest of the last one that went. '
  'parts: digest and count per partition, so that the chain outlives a dropped one. digest covers the row and the digest before it.';
comment on column ops.event_seals.marks is
  'Four bytes of each event''s run and four of its digest, in order: they prove nothing but tell where a batch was changed.';
alter table ops.event_seals enable row level security;
create policy "The control room sees all rows" on ops.event_seals for select to lakehouse_controlroom using (true);
create trigger event_seals_are_never_changed before update on ops.event_seals for each row execute function ops.refuse_change();
create trigger event_seals_are_not_truncated before truncate on ops.event_seals for each statement execute function ops.refuse_change();

create table ops.event_checkpoints (
  n bigint primary key check (n > 0),
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  key_id text,
  signature text,
  at timestamptz not null,
  constraint signatures_name_their_key check ((key_id is null) = (signature is null))
);
comment on table ops.event_checkpoints is
  'Heads of the chain that were signed (Ed25519, base64), or, unsigned, where the chain begins since retention cut it. Never changed.';
alter table ops.event_checkpoints enable row level security;
create policy "The control room sees all rows" on ops.event_checkpoints for select to lakehouse_controlroom using (true);
create trigger event_checkpoints_are_never_changed before update on ops.event_checkpoints for each row execute function ops.refuse_change();
create trigger event_checkpoints_are_not_truncated before truncate on ops.event_checkpoints for each statement execute function ops.refuse_change();

create function ops.seal_digest(p_seal ops.event_seals) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select encode(sha256(convert_to(concat_ws(e'\n', 'lakehouse events 1', p_seal.n, p_seal.previous, p_seal.from_xid, p_seal.from_seq, p_seal.upto_xid,
    p_seal.upto_seq, p_seal.events, coalesce(p_seal.dropped, ''), (extract(epoch from p_seal.at) * 1000000)::bigint, encode(sha256(p_seal.marks), 'hex'), p_seal.parts::text),
    'UTF8')), 'hex')
$$;
comment on function ops.seal_digest is 'Digest of a seal''s row, which holds the digest before it. docs/events.md gives the text. Callers: ops.seal_events.';

create function ops.last_seal() returns ops.event_seals
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_seal ops.event_seals;
begin
  select s.* into v_seal from ops.event_seals as s order by s.n desc limit 1;
  if not found then
    v_seal.n := 0;
    v_seal.digest := repeat('0', 64);
    v_seal.upto_xid := '0';
    v_seal.upto_seq := 0;
  end if;
  return v_seal;
end
$$;
comment on function ops.last_seal is 'The head of the chain; number 0 and a digest of zeros before the first seal. Callers: functions here.';

create function ops.seal_events(p_limit integer default 20000) returns table (n bigint, digest text, events integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off
set enable_seqscan = off
set jit = off
set work_mem = '64MB'
as $$
declare
  v_head ops.event_seals;
  v_seal ops.event_seals;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.event_seals', 0));
  v_head := ops.last_seal();  -- a statement of its own, behind the lock: it sees what the lock's last holder sealed
  with settled as materialized (
    select e.tableoid, e.xid, e.seq, e.run_id,
           sha256(convert_to(jsonb_build_array(e.xid::text, e.seq, e.run_id, e.run_seq, e.attempt, e.type,
                                               (extract(epoch from e.at) * 1000000)::bigint, e.data)::text, 'UTF8')) as digest
      from ops.run_events as e
     where (e.xid, e.seq) > (v_head.upto_xid, v_head.upto_seq)
       -- Only transactions older than every open one: nothing can appear behind the seal.
       and e.xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
     order by e.xid, e.seq
     limit p_limit
  ),
  parts as (
    select c.relname::text as name, count(*) as events, encode(sha256(string_agg(s.digest, ''::bytea order by s.xid, s.seq)), 'hex') as digest
      from settled as s join pg_catalog.pg_class as c on c.oid = s.tableoid
     group by c.relname
  ),
  last as (select s.xid, s.seq from settled as s order by s.xid desc, s.seq desc limit 1)
  select v_head.n + 1, v_head.digest, v_head.upto_xid, v_head.upto_seq, l.xid, l.seq,
         (select count(*) from settled),
         (select jsonb_agg(jsonb_build_object('partition', p.name, 'events', p.events, 'digest', p.digest) order by p.name) from parts as p),
         null, ops.now(), null,
         (select string_agg(substr(uuid_send(s.run_id), 1, 4) || substr(s.digest, 1, 4), ''::bytea order by s.xid, s.seq) from settled as s)
    into v_seal
    from last as l;
  if v_seal.n is null then
    return;
  end if;
  v_seal.digest := ops.seal_digest(v_seal);
  insert into ops.event_seals values (v_seal.*);
  return query select v_seal.n, v_seal.digest, v_seal.events;
end
$$;
comment on function ops.seal_events is
  'Seals the next settled events into the chain, one batch per call; no row when there are none. Safe when two call it: the second one goes on from '
  'the first one''s seal. Callers: dispatcher (the leader).';

create function ops.sign_seal(p_n bigint, p_digest text, p_key_id text, p_signature text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into ops.event_checkpoints (n, digest, key_id, signature, at)
  select s.n, s.digest, p_key_id, p_signature, ops.now() from ops.event_seals as s where s.n = p_n and s.digest = p_digest
      on conflict do nothing;
  return found;
end
$$;
comment on function ops.sign_seal is 'Keeps the signature of a seal. False: there is no such seal, or it is signed already. Callers: dispatcher (the leader).';

-- ---------------------------------------------------------------------------------------------------------------
-- Retention
-- ---------------------------------------------------------------------------------------------------------------
create function ops.drop_expired_events() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'  -- writers of events queue behind a waiting drop: it gives up early and is tried again later
as $$
declare
  v_now timestamptz := ops.now();
  v_before timestamptz := v_now - (select make_interval(days => s.event_retention_days) from ops.settings as s);
  v_head ops.event_seals;
  v_part ops.event_partitions;
  v_xid xid8;
  v_seq bigint;
  v_old boolean;
  v_events bigint;
  v_dropped integer := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ops.event_seals', 0));
  v_head := ops.last_seal();
  for v_part in
    select p.* from ops.event_partitions as p where p.dropped_at is null and p.closed_at < v_before order by p.from_seq
  loop
    execute format('select e.xid, e.seq from ops.%I as e order by e.xid desc, e.seq desc limit 1', v_part.name) into v_xid, v_seq;
    continue when (v_xid, v_seq) > (v_head.upto_xid, v_head.upto_seq)
               or exists (select 1 from ops.cursors as c where (v_xid, v_seq) > (c.xid, c.seq));
    execute format('select count(*), coalesce(bool_and(e.at < $1), true) from ops.%I as e', v_part.name) into v_events, v_old using v_before;
    continue when not v_old;
    begin
      execute format('drop table ops.%I', v_part.name);
    exception when lock_not_available then
      return v_dropped;
    end;
    perform ops.seal_drop(v_part.name, v_events);
    v_dropped := v_dropped + 1;
  end loop;
  perform ops.cut_chain();
  return v_dropped;
end
$$;
comment on function ops.drop_expired_events is
  'Drops event partitions of which every event is older than event_retention_days, sealed and behind every follower''s cursor; the chain records each '
  'drop. How many were dropped. Callers: dispatcher (housekeeping).';

create function ops.add_record(p_head ops.event_seals, p_dropped text, p_part jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_seal ops.event_seals;
begin
  select p_head.n + 1, p_head.digest, p_head.upto_xid, p_head.upto_seq, p_head.upto_xid, p_head.upto_seq, 0, jsonb_build_array(p_part),
         p_dropped, ops.now(), null, ''::bytea
    into v_seal;
  v_seal.digest := ops.seal_digest(v_seal);
  insert into ops.event_seals values (v_seal.*);
end
$$;
comment on function ops.add_record is
  'A link of the chain that covers no event but tells what retention took. The caller holds the lock of ops.seal_events. Callers: functions here.';

create function ops.seal_drop(p_partition text, p_events bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_head ops.event_seals := ops.last_seal();
  v_last ops.event_seals;
begin
  select s.* into v_last from ops.event_seals as s
   where s.parts @> jsonb_build_array(jsonb_build_object('partition', p_partition)) order by s.n desc limit 1;
  perform ops.add_record(v_head, p_partition, jsonb_build_object(
    'partition', p_partition, 'events', p_events, 'digest', coalesce(v_last.digest, v_head.digest)));
  update ops.event_partitions as p
     set dropped_at = ops.now(), events = p_events, sealed_n = coalesce(v_last.n, v_head.n), sealed_digest = coalesce(v_last.digest, v_head.digest)
   where p.name = p_partition;
end
$$;
comment on function ops.seal_drop is 'Records the drop of a partition in the chain, with the last seal that covers an event of it. Callers: ops.drop_expired_events.';

create function ops.cut_chain() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_first bigint;
  v_last ops.event_seals;
  v_cut integer;
begin
  -- the first seal that still covers an event; the newest of all stays in any case
  select coalesce(
           (select min(s.n) from ops.event_seals as s
             where s.dropped is null and exists (
               select 1 from jsonb_array_elements(s.parts) as x
                 join ops.event_partitions as p on p.name = x ->> 'partition' where p.dropped_at is null)),
           (select max(s.n) from ops.event_seals as s))
    into v_first;
  if not exists (select 1 from ops.event_seals as s where s.n < v_first and s.dropped is distinct from 'seals') then
    return 0;
  end if;
  select s.* into v_last from ops.event_seals as s where s.n = v_first - 1;
  insert into ops.event_checkpoints (n, digest, at) values (v_last.n, v_last.digest, ops.now()) on conflict do nothing;
  -- a link too, so that a beginning that somebody else took away is told from one that retention took
  perform ops.add_record(ops.last_seal(), 'seals', jsonb_build_object('partition', 'seals', 'events', v_last.n, 'digest', v_last.digest));
  delete from ops.event_seals as s where s.n < v_first;
  get diagnostics v_cut = row_count;
  delete from ops.event_checkpoints as c
   where c.n < v_first - 1 and not exists (select 1 from ops.event_partitions as p where p.sealed_n = c.n);
  return v_cut;
end
$$;
comment on function ops.cut_chain is
  'Removes seals whose events are all gone, leaves a checkpoint with the digest that the rest of the chain begins from, and records it in the chain. '
  'How many went. Callers: ops.drop_expired_events.';

create index artifacts_by_age on ops.artifacts (created_at);
alter table ops.artifacts add column removing_until timestamptz;
comment on column ops.artifacts.removing_until is 'An executor is deleting the file; past this moment another one does.';

create function ops.take_expired_artifacts(p_limit integer default 100) returns table (id uuid, uri text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
begin
  return query
  with kept as (select s.artifact_retention_days as others, s.result_retention_days as results from ops.settings as s),
  expired as (
    select a.id
      from kept as k
      cross join ops.artifacts as a
      join ops.runs as r on r.id = a.run_id
     where a.created_at < v_now - make_interval(days => least(k.others, k.results))
       and r.finished_at < v_now - make_interval(days => case a.kind when 'result' then k.results else k.others end)
       and (a.removing_until is null or a.removing_until < v_now)
       and not exists (select 1 from ops.tables as t where t.run_id = a.run_id)
       -- what a rollback of the present version would return to
       and not exists (
         select 1 from ops.tables as t
           join ops.run_tables as p on p.run_id = t.run_id and p.name = t.name
           join ops.run_tables as b on b.name = p.name and b.metadata_location = p.base_location
          where b.run_id = a.run_id)
     order by a.created_at
     limit p_limit for update of a skip locked
  )
  update ops.artifacts as a set removing_until = v_now + interval '10 minutes' from expired as x where a.id = x.id
  returning a.id, a.uri;
end
$$;
comment on function ops.take_expired_artifacts is
  'Marks artifacts past retention for removal and hands them over, each to one caller for ten minutes. Kept whatever their age: those of runs that '
  'published a table''s present version or the one a rollback would return to. Callers: executors.';

create function ops.forget_artifacts(p_artifacts uuid[]) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_forgotten integer;
begin
  delete from ops.artifacts as a where a.id = any (p_artifacts) and a.removing_until is not null;
  get diagnostics v_forgotten = row_count;
  return v_forgotten;
end
$$;
comment on function ops.forget_artifacts is 'Removes the rows of artifacts whose files are gone. Only those handed over for it. Callers: executors.';

create function ops.prune(p_limit integer default 5000) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := ops.now();
  v_before timestamptz := v_now - (select make_interval(days => s.alert_retention_days) from ops.settings as s);
  v_old uuid[];
  v_rows integer;
  v_pruned integer := 0;
begin
  delete from ops.cap_usage as u
   using ops.caps as c
   where c.id = u.cap_id
     and u.id = any (array(
       select x.id from ops.cap_usage as x join ops.caps as w on w.id = x.cap_id
        where x.at < v_now - make_interval(secs => coalesce(w.window_seconds, 0)) - interval '1 day' limit p_limit));
  get diagnostics v_rows = row_count;
  v_pruned := v_pruned + v_rows;
  select array_agg(a.id) into v_old
    from (select x.id from ops.alerts as x where x.resolved_at < v_before order by x.resolved_at limit p_limit) as a;
  delete from ops.notifications as m where m.alert_id = any (v_old);
  get diagnostics v_rows = row_count;
  v_pruned := v_pruned + v_rows;
  delete from ops.alerts as a where a.id = any (v_old);
  get diagnostics v_rows = row_count;
  v_pruned := v_pruned + v_rows;
  delete from ops.silences as s where s.expires_at < v_before;
  get diagnostics v_rows = row_count;
  return v_pruned + v_rows;
end
$$;
comment on function ops.prune is
  'Deletes what no window reaches any more: ledger rows a day behind their cap''s window, alerts resolved and silences ended before alert_retention_days. '
  'How many rows went. Callers: dispatcher (housekeeping).';

-- ---------------------------------------------------------------------------------------------------------------
-- The switch
-- ---------------------------------------------------------------------------------------------------------------
create function ops.pause(p_by text, p_reason text) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since timestamptz;
begin
  if coalesce(p_reason, '') = '' or coalesce(p_by, '') = '' then
    perform ops.refuse('INVALID_INPUT', 400, 'a pause needs a name and a reason', 'Say why nothing may start: others will ask.');
  end if;
  update ops.settings as s set paused_at = coalesce(s.paused_at, ops.now()), paused_by = p_by, paused_reason = p_reason returning s.paused_at into v_since;
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return v_since;
end
$$;
comment on function ops.pause is
  'Nothing new is leased anywhere from now on; what runs goes on. Answers since when. A second pause changes who and why. Callers: CLI, control room.';

create function ops.resume() returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update ops.settings as s set paused_at = null, paused_by = null, paused_reason = null where s.paused_at is not null;
  if not found then
    return false;
  end if;
  perform ops.ring_for_work();
  perform pg_catalog.pg_notify('lakehouse_feed', '');
  return true;
end
$$;
comment on function ops.resume is 'Ends a pause; false when there was none. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Hot tables are vacuumed by number, not by share: they are small and turn over all day
-- ---------------------------------------------------------------------------------------------------------------
alter table ops.executors set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
alter table ops.cursors set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
alter table ops.leaders set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
alter table ops.notifications set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
alter table ops.cap_usage set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);

-- ---------------------------------------------------------------------------------------------------------------
-- Grants
-- ---------------------------------------------------------------------------------------------------------------
revoke all on ops.event_partitions, ops.event_seals, ops.event_checkpoints from public;
grant select on ops.event_partitions, ops.event_seals, ops.event_checkpoints, ops.run_events_seq to lakehouse_controlroom;
revoke execute on all functions in schema ops from public;
grant execute on function ops.seal_events, ops.sign_seal, ops.drop_expired_events, ops.prune, ops.next_look_in_ms to lakehouse_dispatcher;
grant execute on function ops.take_expired_artifacts, ops.forget_artifacts to lakehouse_executor;
grant execute on function ops.pause, ops.resume to lakehouse_controlroom;
