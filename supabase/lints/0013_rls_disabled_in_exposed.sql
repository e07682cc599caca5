-- ERROR: a table in an exposed schema without row-level security is open to whoever may select.
select r.object, 'row-level security is off' as detail
  from relations as r where r.exposed and r.kind in ('r', 'p') and not r.has_rls and (r.anon_reads or r.people_read);
