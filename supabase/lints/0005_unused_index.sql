-- INFO: an index that nothing reads costs every write. Tells something only after work was done.
select i.object, i.name as detail
  from indexes as i
  join pg_catalog.pg_stat_all_indexes as t on t.indexrelid = i.oid
 where t.idx_scan = 0 and not i.indisunique and not i.is_partition;
