-- ERROR: an exposed view reads with its owner's rights unless it is made security_invoker.
select r.object, 'reads with its owner''s rights' as detail
  from relations as r
 where r.exposed and r.kind = 'v' and (r.anon_reads or r.people_read)
   and not coalesce(r.options, '{}') && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes'];
