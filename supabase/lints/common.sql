-- What the lints look at: our schemas and whatever is exposed (pgrst.db_schemas), without what belongs to an extension.
create temporary view looked_at as
select n.oid, n.nspname::text as schema, n.nspname::text = any (string_to_array(replace(current_setting('pgrst.db_schemas', true), ' ', ''), ',')) as exposed
  from pg_catalog.pg_namespace as n
 where n.nspname in ('ops', 'guard', 'api', 'iceberg', 'public')
    or n.nspname::text = any (string_to_array(replace(current_setting('pgrst.db_schemas', true), ' ', ''), ','));

create temporary view relations as
select c.oid, s.schema, c.relname::text as name, format('%s.%s', s.schema, c.relname) as object, c.relkind as kind, c.relispartition as is_partition,
       c.relrowsecurity as has_rls, c.reloptions as options, c.reltuples as row_estimate, c.relpages as pages, s.exposed,
       has_any_column_privilege('anon', c.oid, 'select') as anon_reads, has_any_column_privilege('authenticated', c.oid, 'select') as people_read
  from pg_catalog.pg_class as c
  join looked_at as s on s.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'v', 'm', 'f')
   and not exists (select 1 from pg_catalog.pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');

create temporary view functions as
select p.oid, s.schema, p.oid::regprocedure::text as object, s.exposed, p.prosecdef as is_definer, p.proconfig as settings, p.proacl as acl, p.proowner as owner
  from pg_catalog.pg_proc as p
  join looked_at as s on s.oid = p.pronamespace
 where not exists (select 1 from pg_catalog.pg_depend as d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');

create temporary view policies as
select r.oid as relation, r.object, r.has_rls, y.polname::text as name, y.polcmd as command, y.polpermissive as is_permissive, y.polroles as roles,
       coalesce(pg_get_expr(y.polqual, y.polrelid), '') as qual, coalesce(pg_get_expr(y.polwithcheck, y.polrelid), '') as with_check
  from pg_catalog.pg_policy as y join relations as r on r.oid = y.polrelid;

create temporary view indexes as
select i.indexrelid as oid, r.oid as relation, r.object, r.is_partition, i.indexrelid::regclass::text as name, i.*
  from pg_catalog.pg_index as i join relations as r on r.oid = i.indrelid;
