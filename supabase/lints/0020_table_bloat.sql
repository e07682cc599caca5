-- INFO: a table with more than four times the pages that its rows need, as the last ANALYZE saw them.
select r.object, format('%s pages, about %s needed', r.pages, n.pages) as detail
  from relations as r
 cross join lateral (
   select ceil(r.row_estimate * (28 + coalesce(sum(s.avg_width), 0)) / 8000) as pages
     from pg_catalog.pg_stats as s where s.schemaname = r.schema and s.tablename = r.name
 ) as n
 where r.kind = 'r' and r.row_estimate >= 0 and r.pages > 1280 and r.pages > 4 * greatest(n.pages, 1);
