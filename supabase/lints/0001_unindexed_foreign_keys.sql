-- INFO: a foreign key without an index makes every change of the referenced row read the whole table.
select r.object, k.conname::text as detail
  from pg_catalog.pg_constraint as k
  join relations as r on r.oid = k.conrelid
 where k.contype = 'f' and not r.is_partition
   and not exists (
     select 1 from indexes as i
      where i.relation = r.oid
        and (select array_agg(x.key order by x.key) from unnest(i.indkey::int2[]) with ordinality as x (key, n) where x.n <= cardinality(k.conkey))
            = (select array_agg(y.key order by y.key) from unnest(k.conkey) as y (key))
        and (i.indpred is null or pg_get_expr(i.indpred, r.oid) ~ '^\(\w+ IS NOT NULL\)$'));
