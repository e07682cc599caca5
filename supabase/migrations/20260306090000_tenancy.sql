-- Tenancy: who belongs where, what each role may do, and the doors people come in by.
--
-- Three layers. Schema api is exposed and holds nothing with rights of its own: views with the caller's rights, functions that pass a
-- call on. Schema guard checks the caller's role in the project that the call is about, then calls schema ops, whose functions trust
-- their callers. Services call ops directly, each what it is granted; the control room checks people itself.

-- Every call asks this table for the time before it touches another: from here on nobody is half way through the tables below.
lock table ops.clock in access exclusive mode;

-- ---------------------------------------------------------------------------------------------------------------
-- Members of projects and organisations
-- ---------------------------------------------------------------------------------------------------------------
create table ops.roles (
  name text primary key check (name ~ '^[a-z]+$'),
  description text not null
);
comment on table ops.roles is 'What a member can be.';
insert into ops.roles (name, description)
values ('viewer', 'Sees everything of the project.'),
       ('service', 'A machine that starts runs: it sees the project and handles its runs.'),
       ('operator', 'Keeps things running: runs, alerts, schedules, backfills.'),
       ('engineer', 'Changes what runs: pipelines, routes, rules, caps, weights.'),
       ('admin', 'Decides who belongs, and makes environments.');

create table ops.role_permissions (
  role text not null references ops.roles (name),
  permission text not null check (permission in ('read', 'run', 'operate', 'build', 'administer')),
  primary key (role, permission)
);
comment on table ops.role_permissions is
  'What each role may do. read: see the project; run: enqueue, cancel, retry; operate: alerts, silences, schedules, backfills; '
  'build: pipelines, routes, rules, caps, weights, rollback; administer: members, environments.';
insert into ops.role_permissions (role, permission)
select g.role, p.permission
  from (values ('viewer', '{read}'::text[]), ('service', '{read,run}'), ('operator', '{read,run,operate}'),
               ('engineer', '{read,run,operate,build}'), ('admin', '{read,run,operate,build,administer}')) as g (role, permissions)
 cross join lateral unnest(g.permissions) as p (permission);

-- every role there was is one of ops.roles, so nothing is refused that was kept before
-- squawk-ignore ban-drop-constraint
alter table ops.members drop constraint members_role_check;
-- members are few: nobody waits for the look at them
alter table ops.members
  add column expires_at timestamptz,
  add column granted_by text not null default '',
  add constraint members_have_a_known_role foreign key (role) references ops.roles (name) not valid;
alter table ops.members validate constraint members_have_a_known_role;
create index members_by_role on ops.members (role);
comment on table ops.members is 'Who belongs to which project, as what. user_id is the `sub` claim of the caller''s token.';
comment on column ops.members.expires_at is 'From then on the membership counts for nothing; null: it does not end by itself.';

create table ops.organization_members (
  organization_id uuid not null references ops.organizations (id),
  user_id uuid not null,
  role text not null references ops.roles (name),
  expires_at timestamptz,
  granted_by text not null default '',
  created_at timestamptz not null default ops.now(),
  primary key (user_id, organization_id)
);
create index organization_members_of_an_organization on ops.organization_members (organization_id);
create index organization_members_by_role on ops.organization_members (role);
comment on table ops.organization_members is 'Who has a role in every project of an organisation.';

-- ---------------------------------------------------------------------------------------------------------------
-- The caller, and what is the caller's
-- ---------------------------------------------------------------------------------------------------------------
create function ops.me() returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case when c.sub ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then c.sub::uuid end
    from (select nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' as sub) as c
$$;
comment on function ops.me is 'The person whose token the call carries; null for nobody. Callers: functions here.';

create function ops.is_a_person() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(nullif(pg_catalog.current_setting('role', true), 'none'), session_user::text) in ('authenticated', 'anon')
$$;
comment on function ops.is_a_person is 'Whether a person calls, not a service or the owner; true inside security definer functions too. Callers: functions here.';

create function ops.my_roles() returns table (organization_id uuid, project_id uuid, role text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with present as materialized (select ops.me() as me, ops.now() as at)
  select p.organization_id, m.project_id, m.role
    from present as n
    join ops.members as m on m.user_id = n.me and (m.expires_at is null or m.expires_at > n.at)
    join ops.projects as p on p.id = m.project_id
   union all
  select o.organization_id, p.id, o.role
    from present as n
    join ops.organization_members as o on o.user_id = n.me and (o.expires_at is null or o.expires_at > n.at)
    left join ops.projects as p on p.organization_id = o.organization_id
$$;
comment on function ops.my_roles is
  'The caller''s roles that have not expired, one row per project, those held through the organisation included; an organisation without projects '
  'has one row without a project. Callers: functions here.';

create function ops.my_projects() returns setof uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select distinct r.project_id from ops.my_roles() as r where r.project_id is not null $$;
comment on function ops.my_projects is 'Projects the caller belongs to. Callers: RLS policies, once per statement.';

create or replace function ops.my_environments() returns setof uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select e.id from ops.environments as e where e.project_id in (select ops.my_projects()) $$;
comment on function ops.my_environments is 'Environments of the projects the caller belongs to. Callers: RLS policies, once per statement.';

create function ops.my_organizations() returns setof uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select distinct r.organization_id from ops.my_roles() as r $$;
comment on function ops.my_organizations is 'Organisations the caller belongs to, be it through one project. Callers: RLS policies, once per statement.';

create function ops.my_whole_organizations() returns setof uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select o.organization_id from ops.organization_members as o
   where o.user_id = (select ops.me()) and (o.expires_at is null or o.expires_at > (select ops.now()))
$$;
comment on function ops.my_whole_organizations is 'Organisations the caller has a role in as a whole. Callers: RLS policies, once per statement.';

-- ---------------------------------------------------------------------------------------------------------------
-- What the caller may do. What is not the caller's does not exist; what is and may not be done says who may.
-- ---------------------------------------------------------------------------------------------------------------
create function ops.require_role(p_permission text, p_roles text[], p_where text, p_unknown text, p_hint text) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_able text[] := array(select g.role from ops.role_permissions as g where g.permission = p_permission order by g.role);
begin
  if p_roles = '{}' then
    perform ops.refuse('NOT_FOUND', 404, p_unknown, p_hint);
  end if;
  if not p_roles && v_able then
    perform ops.refuse('NOT_ALLOWED', 403, format('%s asks for the role %s here; you are %s', p_where, array_to_string(v_able, ' or '), array_to_string(p_roles, ' and ')),
                       'Ask an admin for it.');
  end if;
end
$$;
comment on function ops.require_role is
  'Refuses as NOT_FOUND a caller without any role there, as NOT_ALLOWED one whose roles do not have the permission. Callers: functions here.';

create function ops.require_in_project(p_permission text, p_project uuid) returns void
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_role(
    p_permission, array(select distinct r.role from ops.my_roles() as r where r.project_id = p_project order by r.role),
    'this project', format('there is no project %s', p_project), 'View api.projects shows yours.')
$$;
comment on function ops.require_in_project is 'Refuses a caller without a permission in a project: NOT_FOUND, NOT_ALLOWED. Callers: functions here.';

create function ops.require_in_organization(p_permission text, p_organization uuid) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_roles text[] := array(
    select o.role from ops.organization_members as o
     where o.organization_id = p_organization and o.user_id = ops.me() and (o.expires_at is null or o.expires_at > ops.now()));
begin
  if v_roles = '{}' and p_organization in (select ops.my_organizations()) then
    v_roles := array['a member of a project only'];
  end if;
  perform ops.require_role(
    p_permission, v_roles, 'this organisation', format('there is no organisation %s', p_organization), 'View api.organizations shows yours.');
end
$$;
comment on function ops.require_in_organization is
  'Refuses a caller without a permission in an organisation as a whole: NOT_FOUND, NOT_ALLOWED. Callers: functions here.';

create function ops.require_row(p_permission text, p_environment uuid, p_kind text, p_id uuid) returns void
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_role(
    p_permission,
    array(select distinct r.role from ops.environments as e join ops.my_roles() as r on r.project_id = e.project_id
           where e.id = p_environment order by r.role),
    'this project', format('there is no %s %s', p_kind, p_id), format('View api.%ss shows yours.', case p_kind when 'proposal' then 'weight_proposal' else p_kind end))
$$;
comment on function ops.require_row is
  'Refuses a caller without a permission in the environment that a thing belongs to: NOT_FOUND, as if it were not there; NOT_ALLOWED. '
  'Callers: functions here.';

create function ops.require_in(p_permission text, p_environment uuid) returns void
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select ops.require_row(p_permission, p_environment, 'environment', p_environment) $$;
comment on function ops.require_in is 'Refuses a caller without a permission in an environment''s project: NOT_FOUND, NOT_ALLOWED. Callers: functions here.';

create function ops.require_for_run(p_permission text, p_run uuid) returns void
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select ops.require_row(p_permission, (select r.environment_id from ops.runs as r where r.id = p_run), 'run', p_run) $$;
comment on function ops.require_for_run is 'Refuses a caller without a permission in a run''s project: NOT_FOUND, NOT_ALLOWED. Callers: functions here.';

-- ---------------------------------------------------------------------------------------------------------------
-- Organisations, projects, environments
-- ---------------------------------------------------------------------------------------------------------------
create function ops.create_organization(p_slug text) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  perform ops.require_slug(p_slug);
  insert into ops.organizations (slug) values (p_slug) on conflict (slug) do nothing returning id into v_id;
  if v_id is null then
    perform ops.refuse('CONFLICT', 409, format('there is an organisation %L already', p_slug), 'Choose another name.');
  end if;
  return v_id;
end
$$;
comment on function ops.create_organization is 'Makes an organisation. Raises CONFLICT, INVALID_INPUT. Callers: CLI, control room.';

create function ops.require_slug(p_slug text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_slug is null or p_slug !~ '^[a-z0-9][a-z0-9-]{0,62}$' then
    perform ops.refuse('INVALID_INPUT', 400, format('%L is no name: lower-case letters, digits and dashes, at most 63', left(p_slug, 80)),
                       'For example: acme-finance.');
  end if;
end
$$;
comment on function ops.require_slug is 'Refuses what is not a name of an organisation, project or environment. Callers: functions here.';

create function ops.create_project(p_organization uuid, p_slug text, p_weight numeric default 1) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  perform ops.require_slug(p_slug);
  if not exists (select 1 from ops.organizations as o where o.id = p_organization) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no organisation %s', p_organization), 'View api.organizations shows what there is.');
  end if;
  insert into ops.projects (organization_id, slug, weight) values (p_organization, p_slug, p_weight)
      on conflict (organization_id, slug) do nothing returning id into v_id;
  if v_id is null then
    perform ops.refuse('CONFLICT', 409, format('the organisation has a project %L already', p_slug), 'Choose another name.');
  end if;
  return v_id;
end
$$;
comment on function ops.create_project is
  'Makes a project with its share of the executors against other projects. Raises CONFLICT, INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.create_environment(p_project uuid, p_slug text) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  perform ops.require_slug(p_slug);
  if not exists (select 1 from ops.projects as p where p.id = p_project) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no project %s', p_project), 'View api.projects shows what there is.');
  end if;
  insert into ops.environments (project_id, slug) values (p_project, p_slug) on conflict (project_id, slug) do nothing returning id into v_id;
  if v_id is null then
    perform ops.refuse('CONFLICT', 409, format('the project has an environment %L already', p_slug), 'Choose another name.');
  end if;
  perform ops.furnish(v_id);
  return v_id;
end
$$;
comment on function ops.create_environment is
  'Makes an environment with the built-in pipelines, first weights and the alert rules that the product ships. Raises CONFLICT, INVALID_INPUT, '
  'NOT_FOUND. Callers: CLI, control room.';

create function ops.furnish(p_environment uuid) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  with first as (select '00000000-0000-4000-8000-000000000003'::uuid as id),
  pipelines as (
    insert into ops.pipelines (environment_id, name, bundle, description, phases, requires, max_attempts, built_in)
    select p_environment, p.name, p.bundle, p.description, p.phases, p.requires, p.max_attempts, true
      from ops.pipelines as p join first as f on f.id = p.environment_id where p.built_in
        on conflict do nothing
  )
  insert into ops.alert_rules (environment_id, name, event_types, condition, severity, summary)
  values (p_environment, 'run_failed', '{RUN_FAILED}', '{"except": "query"}', 'error', '{pipeline} failed: {message}'),
         (p_environment, 'deadline_missed', '{DEADLINE_MISSED}', '{"except": "query"}', 'error', '{pipeline} missed its deadline: {message}'),
         (p_environment, 'run_quarantined', '{RUN_FAILED}', '{"code": ["RUN_QUARANTINED"]}', 'critical', '{pipeline} is in quarantine: {message}')
      on conflict do nothing
$$;
comment on function ops.furnish is 'Gives an environment the built-in pipelines and alert rules; its weights come by a trigger. Callers: ops.create_environment.';

-- ---------------------------------------------------------------------------------------------------------------
-- Who belongs
-- ---------------------------------------------------------------------------------------------------------------
create function ops.set_member(p_project uuid, p_user uuid, p_role text, p_expires_at timestamptz, p_by text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.require_membership(p_role, p_expires_at);
  if not exists (select 1 from ops.projects as p where p.id = p_project) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no project %s', p_project), 'View api.projects shows what there is.');
  end if;
  insert into ops.members as m (project_id, user_id, role, expires_at, granted_by) values (p_project, p_user, p_role, p_expires_at, p_by)
      on conflict (user_id, project_id) do update set role = excluded.role, expires_at = excluded.expires_at, granted_by = excluded.granted_by;
end
$$;
comment on function ops.set_member is
  'Makes somebody a member of a project, or changes what they are and until when. Raises INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.require_membership(p_role text, p_expires_at timestamptz) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select 1 from ops.roles as r where r.name = p_role) then
    perform ops.refuse('INVALID_INPUT', 400, format('there is no role %L', left(p_role, 80)),
                       (select 'Roles: ' || string_agg(r.name, ', ' order by r.name) || '.' from ops.roles as r));
  end if;
  if p_expires_at <= ops.now() then
    perform ops.refuse('INVALID_INPUT', 400, format('the membership would have ended at %s', p_expires_at), 'Give a time in the future, or none.');
  end if;
end
$$;
comment on function ops.require_membership is 'Refuses an unknown role and an end that has passed. Callers: functions here.';

create function ops.remove_member(p_project uuid, p_user uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from ops.members as m where m.project_id = p_project and m.user_id = p_user;
  return found;
end
$$;
comment on function ops.remove_member is 'Ends a membership of a project; false when there was none. Callers: CLI, control room.';

create function ops.set_organization_member(p_organization uuid, p_user uuid, p_role text, p_expires_at timestamptz, p_by text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.require_membership(p_role, p_expires_at);
  if not exists (select 1 from ops.organizations as o where o.id = p_organization) then
    perform ops.refuse('NOT_FOUND', 404, format('there is no organisation %s', p_organization), 'View api.organizations shows what there is.');
  end if;
  perform ops.keep_an_admin(p_organization, p_user, p_role = 'admin' and p_expires_at is null);
  insert into ops.organization_members as m (organization_id, user_id, role, expires_at, granted_by)
  values (p_organization, p_user, p_role, p_expires_at, p_by)
      on conflict (user_id, organization_id) do update set role = excluded.role, expires_at = excluded.expires_at, granted_by = excluded.granted_by;
end
$$;
comment on function ops.set_organization_member is
  'Gives somebody a role in every project of an organisation, or changes it. Raises CONFLICT, INVALID_INPUT, NOT_FOUND. Callers: CLI, control room.';

create function ops.keep_an_admin(p_organization uuid, p_user uuid, p_stays boolean) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform 1 from ops.organizations as o where o.id = p_organization for update;  -- two admins cannot remove each other at once
  if not p_stays
     and exists (select 1 from ops.organization_members as m where m.organization_id = p_organization and m.user_id = p_user and m.role = 'admin')
     and not exists (select 1 from ops.organization_members as m
                      where m.organization_id = p_organization and m.user_id <> p_user and m.role = 'admin' and m.expires_at is null) then
    perform ops.refuse('CONFLICT', 409, 'an organisation keeps one admin whose membership does not end', 'Make somebody else admin first.');
  end if;
end
$$;
comment on function ops.keep_an_admin is 'Refuses to take an organisation''s last lasting admin away. Callers: functions here.';

create function ops.remove_organization_member(p_organization uuid, p_user uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.keep_an_admin(p_organization, p_user, false);
  delete from ops.organization_members as m where m.organization_id = p_organization and m.user_id = p_user;
  return found;
end
$$;
comment on function ops.remove_organization_member is
  'Ends a membership of an organisation; false when there was none. Raises CONFLICT. Callers: CLI, control room.';

-- ---------------------------------------------------------------------------------------------------------------
-- Why a run waits tells nothing to strangers
-- ---------------------------------------------------------------------------------------------------------------
-- the name stays taken: a function of the same arguments and answer follows
-- squawk-ignore renaming-object
alter function ops.wait_reason (uuid) rename to wait_reason_of;
comment on function ops.wait_reason_of is 'Why a run does not run yet, whoever asks. Callers: ops.wait_reason.';

create function ops.wait_reason(p_run uuid) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.wait_reason_of(r.id) from ops.runs as r
   where r.id = p_run and (not ops.is_a_person() or r.environment_id in (select ops.my_environments()))
$$;
comment on function ops.wait_reason is
  'Why a run does not run yet, as of now: {"why": cap, not_due, paused, no_executor or slots, ...} with its place in the queue; null when it does not '
  'wait, and for people to whom the run is not visible. Callers: api.runs.';

do $$
begin
  -- a view keeps to the function that it was made with, whatever its name is now
  execute 'create or replace view api.runs with (security_invoker = true) as '
    || replace(pg_catalog.pg_get_viewdef('api.runs'::regclass), 'ops.wait_reason_of(', 'ops.wait_reason(');
end
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Doors for people: guard checks and calls on, api is what they see
-- ---------------------------------------------------------------------------------------------------------------
create schema guard;
comment on schema guard is 'Checks the caller''s role, then calls ops. Not exposed: people come through schema api.';
revoke all on schema guard from public;

-- runs
create function guard.enqueue_run(p_environment uuid, p_pipeline text, p_params jsonb, p_idempotency_key text, p_priority integer)
returns table (run_id uuid, state text, created boolean)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('run', p_environment);
  select e.run_id, e.state::text, e.created from ops.enqueue_run(p_environment, p_pipeline, p_params, p_idempotency_key, p_priority) as e;
$$;
create function api.enqueue_run(environment_id uuid, pipeline text, params jsonb default '{}', idempotency_key text default null, priority integer default 0)
returns table (run_id uuid, state text, created boolean)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select g.run_id, g.state, g.created from guard.enqueue_run($1, $2, $3, $4, $5) as g $$;
comment on function api.enqueue_run is 'Starts a run. Needs: run.';

create function guard.cancel_run(p_run uuid, p_reason text) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_for_run('run', p_run);
  select ops.cancel_run(p_run, ops.me()::text, p_reason);
$$;
create function api.cancel_run(run_id uuid, reason text default null) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.cancel_run($1, $2) $$;
comment on function api.cancel_run is 'Asks for a run''s end. Needs: run.';

create function guard.retry_run(p_run uuid) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_for_run('run', p_run);
  select ops.retry_run(p_run, ops.me()::text);
$$;
create function api.retry_run(run_id uuid) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.retry_run($1) $$;
comment on function api.retry_run is 'Puts a failed or canceled run back into the queue. Needs: run.';

create function guard.rollback_run(p_run uuid, p_reason text) returns integer
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_for_run('build', p_run);
  select ops.rollback_run(p_run, ops.me()::text, p_reason);
$$;
create function api.rollback_run(run_id uuid, reason text) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.rollback_run($1, $2) $$;
comment on function api.rollback_run is 'Takes back what a run published. Needs: build.';

-- pipelines
create function guard.apply_pipeline(p_environment uuid, p_bundle jsonb) returns table (name text, bundle text, changed boolean)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  -- the address is made from the content here: a digest that a caller brings could claim what somebody else will apply later
  select a.name, a.bundle, a.changed
    from ops.apply_pipeline(p_environment, p_bundle || jsonb_build_object('digest', encode(sha256(convert_to(
           jsonb_build_object('spec', p_bundle -> 'spec', 'files', p_bundle -> 'files')::text, 'UTF8')), 'hex'))) as a;
$$;
create function api.apply_pipeline(environment_id uuid, bundle jsonb) returns table (name text, bundle_digest text, changed boolean)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select g.name, g.bundle, g.changed from guard.apply_pipeline($1, $2) as g $$;
comment on function api.apply_pipeline is 'Makes a bundle {spec, files, phases} the present version of its pipeline. Needs: build.';

-- caps
create function ops.require_for_cap(p_environment uuid, p_scope text) returns void
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.require_in('build', p_environment);
  if p_scope = 'executor' then
    perform ops.refuse('NOT_ALLOWED', 403, 'executors serve every project: their caps are the installation''s', 'Ask whoever runs it.');
  elsif p_scope = 'organization' and not exists (
    select 1 from ops.environments as e
      join ops.projects as p on p.id = e.project_id
      join ops.organization_members as o on o.organization_id = p.organization_id and o.user_id = ops.me()
       and (o.expires_at is null or o.expires_at > ops.now())
      join ops.role_permissions as g on g.role = o.role and g.permission = 'build'
     where e.id = p_environment
  ) then
    perform ops.refuse('NOT_ALLOWED', 403, 'a cap on the whole organisation needs the role admin or engineer in the organisation',
                       'Cap your own project, or ask an admin of the organisation.');
  end if;
end
$$;
comment on function ops.require_for_cap is 'Refuses a caller who may not cap that much: NOT_FOUND, NOT_ALLOWED. Callers: guard.';

create function guard.cap_allow(p_environment uuid, p_pipeline text, p_labels text[], p_estimate jsonb) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('read', p_environment);
  select ops.cap_allow(p_environment, p_pipeline, p_labels, p_estimate);
$$;
create function api.cap_allow(environment_id uuid, pipeline text, labels text[] default '{}', estimate jsonb default null) returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.cap_allow($1, $2, $3, $4) $$;
comment on function api.cap_allow is 'Whether one more run would start now. Needs: read.';

create function guard.set_cap(p_environment uuid, p_cap jsonb) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_for_cap(p_environment, coalesce(p_cap ->> 'scope', 'environment'));
  select ops.require_for_cap(c.environment_id, c.scope) from ops.caps as c where c.environment_id = p_environment and c.name = p_cap ->> 'name';
  select ops.set_cap(p_environment, p_cap);
$$;
create function api.set_cap(environment_id uuid, cap jsonb) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_cap($1, $2) $$;
comment on function api.set_cap is 'Makes or replaces a cap. Needs: build; for the whole organisation, build there.';

create function guard.raise_cap(p_environment uuid, p_name text, p_to numeric, p_for interval, p_reason text) returns timestamptz
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.require_for_cap(c.environment_id, c.scope) from ops.caps as c where c.environment_id = p_environment and c.name = p_name;
  select ops.raise_cap(p_environment, p_name, p_to, p_for, ops.me()::text, p_reason);
$$;
create function api.raise_cap(environment_id uuid, name text, ceiling numeric, duration interval, reason text) returns timestamptz
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.raise_cap($1, $2, $3, $4, $5) $$;
comment on function api.raise_cap is 'Another ceiling for a while. Needs: build; for the whole organisation, build there.';

create function guard.remove_cap(p_environment uuid, p_name text) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.require_for_cap(c.environment_id, c.scope) from ops.caps as c where c.environment_id = p_environment and c.name = p_name;
  select ops.remove_cap(p_environment, p_name);
$$;
create function api.remove_cap(environment_id uuid, name text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.remove_cap($1, $2) $$;
comment on function api.remove_cap is 'Removes a cap. Needs: build; for the whole organisation, build there.';

create function guard.caps_in_use(p_environment uuid, p_name text) returns setof jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('read', p_environment);
  select ops.caps_in_use(p_environment, p_name);
$$;
create function api.caps_in_use(environment_id uuid, name text default null) returns setof jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.caps_in_use($1, $2) $$;
comment on function api.caps_in_use is 'Caps with what is in use, who holds it and who waits. Needs: read.';

-- schedules, triggers, backfills
create function guard.pause_schedule(p_environment uuid, p_pipeline text, p_name text, p_reason text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('operate', p_environment);
  select ops.pause_schedule(p_environment, p_pipeline, p_name, ops.me()::text, p_reason);
$$;
create function api.pause_schedule(environment_id uuid, pipeline text, name text, reason text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.pause_schedule($1, $2, $3, $4) $$;
comment on function api.pause_schedule is 'No ticks until the schedule is resumed. Needs: operate.';

create function guard.resume_schedule(p_environment uuid, p_pipeline text, p_name text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('operate', p_environment);
  select ops.resume_schedule(p_environment, p_pipeline, p_name);
$$;
create function api.resume_schedule(environment_id uuid, pipeline text, name text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.resume_schedule($1, $2, $3) $$;
comment on function api.resume_schedule is 'Ticks again from now on. Needs: operate.';

create function guard.set_trigger_token(p_environment uuid, p_pipeline text, p_name text, p_sha256 text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.set_trigger_token(p_environment, p_pipeline, p_name, p_sha256, ops.me()::text);
$$;
create function api.set_trigger_token(environment_id uuid, pipeline text, name text, sha256 text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_trigger_token($1, $2, $3, $4) $$;
comment on function api.set_trigger_token is 'Gives a webhook trigger a new secret, by its SHA-256 in hex. Needs: build.';

create function guard.plan_backfill(p_environment uuid, p_request jsonb) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('read', p_environment);
  select ops.plan_backfill(p_environment, p_request);
$$;
create function api.plan_backfill(environment_id uuid, request jsonb) returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.plan_backfill($1, $2) $$;
comment on function api.plan_backfill is 'What a backfill would do and use. Needs: read.';

create function guard.create_backfill(p_environment uuid, p_request jsonb) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('operate', p_environment);
  select ops.create_backfill(p_environment, p_request, ops.me()::text);
$$;
create function api.create_backfill(environment_id uuid, request jsonb) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.create_backfill($1, $2) $$;
comment on function api.create_backfill is 'Starts a backfill. Needs: operate.';

create function guard.change_backfill(p_backfill uuid, p_to text, p_reason text) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_row(
    'operate', (select b.environment_id from ops.backfills as b where b.id = p_backfill), 'backfill', p_backfill);
  select ops.change_backfill(p_backfill, p_to, ops.me()::text, p_reason);
$$;
create function api.change_backfill(backfill_id uuid, "to" text, reason text default null) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.change_backfill($1, $2, $3) $$;
comment on function api.change_backfill is 'Pauses, resumes or cancels a backfill. Needs: operate.';

-- weights
create function guard.set_weights(p_environment uuid, p_weights jsonb, p_reason text) returns integer
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.set_weights(p_environment, p_weights, ops.me()::text, p_reason);
$$;
create function api.set_weights(environment_id uuid, weights jsonb, reason text) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_weights($1, $2, $3) $$;
comment on function api.set_weights is 'Makes a new version of weights, in force at once. Needs: build.';

create function guard.what_if_weights(p_environment uuid, p_weights jsonb, p_since interval, p_watches jsonb, p_limit integer) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('read', p_environment);
  select ops.what_if_weights(p_environment, p_weights, p_since, p_watches, p_limit);
$$;
create function api.what_if_weights(environment_id uuid, weights jsonb, since interval, watches jsonb default '[]', "limit" integer default 10)
returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.what_if_weights($1, $2, $3, $4, $5) $$;
comment on function api.what_if_weights is 'What scores would have been under other weights. Needs: read.';

create function guard.accept_weights(p_proposal uuid, p_reason text) returns integer
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_row(
    'build', (select p.environment_id from ops.weight_proposals as p where p.id = p_proposal), 'proposal', p_proposal);
  select ops.accept_weights(p_proposal, ops.me()::text, p_reason);
$$;
create function api.accept_weights(proposal_id uuid, reason text) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.accept_weights($1, $2) $$;
comment on function api.accept_weights is 'Makes proposed weights the next version. Needs: build.';

-- alerts
create function guard.change_alert(p_alert uuid, p_state text) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_row('operate', (select a.environment_id from ops.alerts as a where a.id = p_alert), 'alert', p_alert);
  select ops.change_alert(p_alert, p_state, ops.me()::text);
$$;
create function api.change_alert(alert_id uuid, state text) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.change_alert($1, $2) $$;
comment on function api.change_alert is 'Acknowledges or resolves an alert. Needs: operate.';

create function guard.silence(p_environment uuid, p_match jsonb, p_reason text, p_for interval) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('operate', p_environment);
  select ops.silence(p_environment, p_match, p_reason, ops.me()::text, p_for);
$$;
create function api.silence(environment_id uuid, match jsonb, reason text, duration interval) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.silence($1, $2, $3, $4) $$;
comment on function api.silence is 'Keeps matching alerts from notifying for a while. Needs: operate.';

create function guard.set_route(
  p_environment uuid, p_name text, p_match jsonb, p_channel text, p_target jsonb, p_position integer, p_continue boolean, p_enabled boolean
) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.set_route(p_environment, p_name, p_match, p_channel, p_target, p_position, p_continue, p_enabled);
$$;
create function api.set_route(
  environment_id uuid, name text, match jsonb, channel text, target jsonb, "position" integer default 100, continue boolean default true,
  enabled boolean default true
) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_route($1, $2, $3, $4, $5, $6, $7, $8) $$;
comment on function api.set_route is 'Adds or changes a route. Needs: build.';

create function guard.set_alert_rule(
  p_environment uuid, p_name text, p_event_types text[], p_condition jsonb, p_severity text, p_summary text, p_enabled boolean
) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in('build', p_environment);
  select ops.set_alert_rule(p_environment, p_name, p_event_types, p_condition, p_severity, p_summary, p_enabled);
$$;
create function api.set_alert_rule(
  environment_id uuid, name text, event_types text[], condition jsonb, severity text, summary text, enabled boolean default true
) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_alert_rule($1, $2, $3, $4, $5, $6, $7) $$;
comment on function api.set_alert_rule is 'Adds or changes an alert rule. Needs: build.';

-- projects and members
create function guard.create_project(p_organization uuid, p_slug text) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_organization('administer', p_organization);
  select ops.create_project(p_organization, p_slug);
$$;
create function api.create_project(organization_id uuid, slug text) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.create_project($1, $2) $$;
comment on function api.create_project is 'Makes a project. Needs: administer in the organisation.';

create function guard.create_environment(p_project uuid, p_slug text) returns uuid
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_project('administer', p_project);
  select ops.create_environment(p_project, p_slug);
$$;
create function api.create_environment(project_id uuid, slug text) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.create_environment($1, $2) $$;
comment on function api.create_environment is 'Makes an environment with what every environment starts with. Needs: administer.';

create function guard.set_member(p_project uuid, p_user uuid, p_role text, p_expires_at timestamptz) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_project('administer', p_project);
  select ops.set_member(p_project, p_user, p_role, p_expires_at, ops.me()::text);
$$;
create function api.set_member(project_id uuid, user_id uuid, role text, expires_at timestamptz default null) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_member($1, $2, $3, $4) $$;
comment on function api.set_member is 'Makes somebody a member of a project, or changes what they are and until when. Needs: administer.';

create function guard.remove_member(p_project uuid, p_user uuid) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_project('administer', p_project);
  select ops.remove_member(p_project, p_user);
$$;
create function api.remove_member(project_id uuid, user_id uuid) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.remove_member($1, $2) $$;
comment on function api.remove_member is 'Ends a membership of a project. Needs: administer.';

create function guard.set_organization_member(p_organization uuid, p_user uuid, p_role text, p_expires_at timestamptz) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_organization('administer', p_organization);
  select ops.set_organization_member(p_organization, p_user, p_role, p_expires_at, ops.me()::text);
$$;
create function api.set_organization_member(organization_id uuid, user_id uuid, role text, expires_at timestamptz default null) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.set_organization_member($1, $2, $3, $4) $$;
comment on function api.set_organization_member is 'Gives somebody a role in every project of an organisation. Needs: administer in the organisation.';

create function guard.remove_organization_member(p_organization uuid, p_user uuid) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select ops.require_in_organization('administer', p_organization);
  select ops.remove_organization_member(p_organization, p_user);
$$;
create function api.remove_organization_member(organization_id uuid, user_id uuid) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select guard.remove_organization_member($1, $2) $$;
comment on function api.remove_organization_member is 'Ends a membership of an organisation. Needs: administer in the organisation.';

-- ---------------------------------------------------------------------------------------------------------------
-- What people read about where they belong
-- ---------------------------------------------------------------------------------------------------------------
create view api.organizations with (security_invoker = true) as
select o.id, o.slug, o.created_at from ops.organizations as o;
comment on view api.organizations is 'Organisations.';

create view api.projects with (security_invoker = true) as
select p.id, p.organization_id, p.slug, p.weight, p.created_at from ops.projects as p;
comment on view api.projects is 'Projects and their shares of the executors.';

create view api.environments with (security_invoker = true) as
select e.id, e.project_id, e.slug, e.created_at from ops.environments as e;
comment on view api.environments is 'Environments.';

create view api.members with (security_invoker = true) as
select m.project_id, m.user_id, m.role, m.expires_at, m.granted_by, m.created_at from ops.members as m;
comment on view api.members is 'Members of projects.';

create view api.organization_members with (security_invoker = true) as
select m.organization_id, m.user_id, m.role, m.expires_at, m.granted_by, m.created_at from ops.organization_members as m;
comment on view api.organization_members is 'Who has a role in every project of an organisation.';

create view api.role_permissions with (security_invoker = true) as
select g.role, g.permission from ops.role_permissions as g;
comment on view api.role_permissions is 'What each role may do.';

-- ---------------------------------------------------------------------------------------------------------------
-- Row-level security. A policy compares a column to a set that is made once per statement, or asks whether a row that the caller may see
-- has that key: the planner then looks up a few keys or hashes many, whichever is cheaper. Neither calls a function per row.
-- ---------------------------------------------------------------------------------------------------------------
do $$
declare
  v_table text;
begin
  foreach v_table in array array['run_events', 'artifacts', 'run_checks', 'run_tables', 'run_scores', 'signals'] loop
    execute format('drop policy "Members see what belongs to their project''s runs" on ops.%I', v_table);
    execute format('create policy "Members see what belongs to their project''s runs" on ops.%1$I for select to authenticated '
                   'using (exists (select 1 from ops.runs as r where r.id = %1$I.run_id))', v_table);
  end loop;
end
$$;
drop policy "Members see notifications of their project's alerts" on ops.notifications;
create policy "Members see notifications of their project's alerts" on ops.notifications for select to authenticated
  using (exists (select 1 from ops.alerts as a where a.id = notifications.alert_id));
drop policy "Members see tables that their project's runs published" on ops.tables;
create policy "Members see tables that their project's runs published" on ops.tables for select to authenticated
  using (exists (select 1 from ops.runs as r where r.id = tables.run_id));

drop policy "Members see arrivals at their project's triggers" on ops.trigger_arrivals;
create policy "Members see arrivals at their project's triggers" on ops.trigger_arrivals for select to authenticated
  using (exists (select 1 from ops.triggers as t where t.id = trigger_arrivals.trigger_id));
drop policy "Members see partitions of their project's backfills" on ops.backfill_partitions;
create policy "Members see partitions of their project's backfills" on ops.backfill_partitions for select to authenticated
  using (exists (select 1 from ops.backfills as b where b.id = backfill_partitions.backfill_id));

create policy "Members see their project's rows" on ops.lanes for select to authenticated
  using (environment_id in (select ops.my_environments()));
create policy "Members see their organisations" on ops.organizations for select to authenticated
  using (id in (select ops.my_organizations()));
create policy "Members see their projects" on ops.projects for select to authenticated
  using (id in (select ops.my_projects()));
create policy "Members see their projects' environments" on ops.environments for select to authenticated
  using (project_id in (select ops.my_projects()));
create policy "Members see who else belongs to their projects" on ops.members for select to authenticated
  using (project_id in (select ops.my_projects()));

alter table ops.organization_members enable row level security;
create policy "Members of an organisation see who else belongs to it" on ops.organization_members for select to authenticated
  using (organization_id in (select ops.my_whole_organizations()));
alter table ops.roles enable row level security;
create policy "Everybody may know the roles" on ops.roles for select to authenticated using (true);
alter table ops.role_permissions enable row level security;
create policy "Everybody may know what roles may do" on ops.role_permissions for select to authenticated using (true);

do $$
declare
  v_table text;
begin
  foreach v_table in array array['organization_members', 'roles', 'role_permissions'] loop
    execute format('create policy "The control room sees all rows" on ops.%I for select to lakehouse_controlroom using (true)', v_table);
  end loop;
  -- what nobody reads says so, partitions too: rows of a partitioned table are read through it
  for v_table in
    select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
     where n.nspname in ('ops', 'iceberg') and c.relkind in ('r', 'p')
       and not exists (select 1 from pg_catalog.pg_policy as p where p.polrelid = c.oid)
  loop
    execute 'alter table ' || v_table || ' enable row level security';
    execute 'create policy "Nobody reads it by itself" on ' || v_table || ' for all to public using (false) with check (false)';
  end loop;
end
$$;

create function ops.close_partition() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('create policy "Nobody reads it by itself" on ops.%I for all to public using (false) with check (false)', new.name);
  return null;
end
$$;
comment on function ops.close_partition is 'Trigger: a new event partition is read through the log only.';
create trigger new_partitions_are_closed after insert on ops.event_partitions for each row execute function ops.close_partition();

-- ---------------------------------------------------------------------------------------------------------------
-- Foreign keys: each has an index, or what it points to cannot go
-- ---------------------------------------------------------------------------------------------------------------
create index alerts_of_an_environment_newest_first on ops.alerts (environment_id, created_at desc, id desc);

-- An index for each would be written with every run and read by nobody. Runs take both keys from tables that keep their foreign keys.
-- squawk-ignore ban-drop-constraint
alter table ops.runs drop constraint runs_bundle_fkey;
create function ops.refuse_removal() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.refuse('NOT_ALLOWED', 403, format('%s of %s.%s is refused: runs name its rows', tg_op, tg_table_schema, tg_table_name),
                     'Rows of it stay for good.');
  return null;
end
$$;
comment on function ops.refuse_removal is 'Trigger that keeps rows which runs name without a foreign key.';
create trigger bundles_stay before delete or truncate or update of digest on ops.bundles
  for each statement execute function ops.refuse_removal();
create trigger lanes_stay before delete or truncate or update of id on ops.lanes
  for each statement execute function ops.refuse_removal();

-- ---------------------------------------------------------------------------------------------------------------
-- Grants
-- ---------------------------------------------------------------------------------------------------------------
do $$
declare
  v_function regprocedure;
begin
  for v_function in select p.oid from pg_catalog.pg_proc as p where p.pronamespace = 'guard'::regnamespace loop
    execute format('comment on function %s is %L', v_function, 'Checks the caller, then calls the function of that name in ops. Callers: schema api.');
  end loop;
end
$$;
revoke execute on all functions in schema ops, guard, api from public;
grant usage on schema guard to authenticated;
grant execute on all functions in schema guard, api to authenticated;

revoke execute on function ops.wait_reason_of from authenticated, lakehouse_controlroom;
grant execute on function ops.wait_reason to authenticated, lakehouse_controlroom;
grant execute on function ops.my_projects, ops.my_environments, ops.my_organizations, ops.my_whole_organizations to authenticated;
grant execute on function
  ops.create_organization, ops.create_project, ops.create_environment, ops.set_member, ops.remove_member, ops.set_organization_member,
  ops.remove_organization_member
  to lakehouse_controlroom;

revoke all on ops.organization_members, ops.roles, ops.role_permissions from public;
grant select on ops.organizations, ops.projects, ops.environments, ops.members, ops.organization_members, ops.roles, ops.role_permissions
  to authenticated, lakehouse_controlroom;
grant select (id, environment_id, pipeline, labels, requires, prefers) on ops.lanes to authenticated;
grant select on api.organizations, api.projects, api.environments, api.members, api.organization_members, api.role_permissions
  to authenticated, lakehouse_controlroom;
