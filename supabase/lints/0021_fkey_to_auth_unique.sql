-- ERROR: only the primary key of a table in schema auth stays what it is.
select r.object, k.conname::text as detail
  from pg_catalog.pg_constraint as k
  join relations as r on r.oid = k.conrelid
  join pg_catalog.pg_class as t on t.oid = k.confrelid
  join pg_catalog.pg_index as i on i.indexrelid = k.conindid
 where k.contype = 'f' and t.relnamespace = to_regnamespace('auth') and not i.indisprimary;
