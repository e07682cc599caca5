-- WARN: materialised views know no row-level security.
select r.object, 'materialised view people can read' as detail
  from relations as r where r.exposed and r.kind = 'm' and (r.anon_reads or r.people_read);
