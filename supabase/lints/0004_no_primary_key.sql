-- INFO: rows of a table without a primary key cannot be told apart.
select r.object, 'no primary key' as detail
  from relations as r
 where r.kind in ('r', 'p') and not r.is_partition and not exists (select 1 from indexes as i where i.relation = r.oid and i.indisprimary);
