-- ERROR: an exposed view over auth.users shows who has an account.
select r.object, 'reads auth.users' as detail
  from relations as r
 where r.exposed and r.kind in ('v', 'm') and (r.anon_reads or r.people_read)
   and exists (
     select 1 from pg_catalog.pg_rewrite as w
       join pg_catalog.pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
      where w.ev_class = r.oid and d.refobjid = to_regclass('auth.users'));
