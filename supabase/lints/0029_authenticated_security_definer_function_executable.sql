-- WARN: a function with its owner's rights that authenticated can call lies in an exposed schema.
select f.object, 'authenticated runs it with its owner''s rights' as detail
  from functions as f where f.exposed and f.is_definer and has_function_privilege('authenticated', f.oid, 'execute');
