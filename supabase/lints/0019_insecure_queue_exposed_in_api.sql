-- ERROR: when queues are exposed, every queue's table needs row-level security.
select format('pgmq.%s', c.relname) as object, 'queue without row-level security' as detail
  from pg_catalog.pg_class as c
 where c.relnamespace = to_regnamespace('pgmq') and c.relname ~ '^[qa]_' and c.relkind in ('r', 'p') and not c.relrowsecurity
   and exists (select 1 from looked_at as s where s.schema = 'pgmq_public' and s.exposed);
