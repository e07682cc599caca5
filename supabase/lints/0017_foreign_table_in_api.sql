-- WARN: foreign tables know no row-level security.
select r.object, 'foreign table people can read' as detail
  from relations as r where r.exposed and r.kind = 'f' and (r.anon_reads or r.people_read);
