-- ERROR: an exposed table without row-level security has columns that sound like secrets.
select r.object, a.attname::text as detail
  from relations as r join pg_catalog.pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
 where r.exposed and r.kind in ('r', 'p') and not r.has_rls and (r.anon_reads or r.people_read)
   and replace(a.attname::text, '_', '') ~* '(password|passwd|secret|token|apikey|privatekey|accesskey|credential|creditcard|cvv|ssn|iban|pin$)';
