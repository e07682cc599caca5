-- Who may do what, one line a right, as it stands in supabase/rights.txt: schemas, functions, tables and views, sequences.
with roles as (
  select o.oid, o.rolname::text as name from pg_catalog.pg_roles as o
   where o.rolname in ('anon', 'authenticated', 'service_role') or o.rolname ~ '^lakehouse_'
  union all
  select 0, 'public'
),
schemas as (
  select n.oid, n.nspname::text as name, n.nspacl as acl, n.nspowner as owner from pg_catalog.pg_namespace as n
   where n.nspname in ('ops', 'guard', 'api', 'iceberg')
),
rights as (
  select 1 as part, format('schema %s', s.name) as thing, o.name as role, lower(a.privilege_type) as may
    from schemas as s cross join lateral aclexplode(s.acl) as a join roles as o on o.oid = a.grantee
  union all
  select 2, format('function %s', p.oid::regprocedure), o.name, 'execute'
    from schemas as s
    join pg_catalog.pg_proc as p on p.pronamespace = s.oid
   cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    join roles as o on o.oid = a.grantee
  union all
  select 3, format('%s %s.%s', case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, s.name, c.relname), o.name,
         lower(a.privilege_type)
    from schemas as s
    join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not c.relispartition
   cross join lateral aclexplode(c.relacl) as a
    join roles as o on o.oid = a.grantee
  union all
  select 3, format('%s %s.%s', case c.relkind when 'v' then 'view' else 'table' end, s.name, c.relname), o.name,
         format('%s all columns but %s', lower(a.privilege_type), (
           select string_agg(h.attname::text, ', ' order by h.attnum) from pg_catalog.pg_attribute as h
            where h.attrelid = c.oid and h.attnum > 0 and not h.attisdropped
              and not has_column_privilege(o.oid, c.oid, h.attnum, a.privilege_type)))
    from schemas as s
    join pg_catalog.pg_class as c on c.relnamespace = s.oid and c.relkind in ('r', 'p', 'v') and not c.relispartition
    join pg_catalog.pg_attribute as t on t.attrelid = c.oid
   cross join lateral aclexplode(t.attacl) as a
    join roles as o on o.oid = a.grantee and o.oid <> 0
   where not has_table_privilege(o.oid, c.oid, a.privilege_type)
   group by c.oid, c.relkind, s.name, c.relname, o.oid, o.name, a.privilege_type
)
select format('%s: %s', r.thing, string_agg(r.role || case r.part when 2 then '' else ' ' || r.may end, '; ' order by r.role, r.may)) as line
  from (select distinct x.* from rights as x) as r
 group by r.part, r.thing
 order by r.part, r.thing collate "C";
