-- WARN: columns of these types stand in the way of pg_upgrade.
select r.object, format('%s is a %s', a.attname, format_type(a.atttypid, null)) as detail
  from relations as r join pg_catalog.pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
 where r.kind in ('r', 'p', 'm')
   and a.atttypid in ('regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype, 'regoper'::regtype,
                      'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype);
