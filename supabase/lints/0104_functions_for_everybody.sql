-- ERROR: functions are executable by everybody until that is revoked.
select f.object, 'everybody may execute it' as detail
  from functions as f cross join lateral aclexplode(coalesce(f.acl, acldefault('f', f.owner))) as a
 where a.grantee = 0 and a.privilege_type = 'EXECUTE' and f.schema <> 'public';
