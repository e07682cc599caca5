-- ERROR: people change state through functions: no grant lets them write a table.
select r.object, format('%s may write', o.rolname) as detail
  from relations as r cross join pg_catalog.pg_roles as o
 where o.rolname in ('anon', 'authenticated')
   and (has_table_privilege(o.oid, r.oid, 'insert, update, delete, truncate') or has_any_column_privilege(o.oid, r.oid, 'insert, update'));
