-- WARN: whoever may select a public bucket's objects can list them all.
select 'storage.objects' as object, y.polname::text as detail
  from pg_catalog.pg_policy as y
 where y.polrelid = to_regclass('storage.objects') and y.polcmd in ('r', '*')
   and (xpath('/table/row/n/text()', query_to_xml(
     case when to_regclass('storage.buckets') is null then 'select 0 as n' else 'select count(*) as n from storage.buckets where public' end, false, false, '')))[1]::text <> '0';
