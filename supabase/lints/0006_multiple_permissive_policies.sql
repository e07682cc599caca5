-- WARN: several permissive policies for one role and action are all evaluated for every row.
select y.object, format('%s for %s: %s', c.command, o.rolname, string_agg(y.name, ' and ' order by y.name)) as detail
  from policies as y
  join pg_catalog.pg_roles as o on y.roles = '{0}' or o.oid = any (y.roles)
  join (values ('r'), ('a'), ('w'), ('d')) as c (command) on y.command in (c.command::"char", '*')
 where y.is_permissive and o.rolname !~ '^pg_' and not o.rolbypassrls
 group by y.object, c.command, o.rolname
having count(*) > 1;
