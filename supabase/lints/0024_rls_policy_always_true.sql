-- WARN: a policy for writes that is always true is no policy.
select y.object, y.name as detail
  from policies as y
 where y.is_permissive and y.command <> 'r' and 'true' in (btrim(y.qual, '() '), btrim(y.with_check, '() '))
   and (y.roles = '{0}' or y.roles && array['anon'::regrole::oid, 'authenticated'::regrole::oid]);
