-- WARN: two indexes with the same columns, order and condition: one is enough.
select i.object, string_agg(i.name, ' and ' order by i.name) as detail
  from indexes as i join pg_catalog.pg_class as c on c.oid = i.oid
 group by i.object, c.relam, i.indkey::text, i.indclass::text, i.indoption::text, i.indcollation::text, pg_get_expr(i.indpred, i.relation), pg_get_expr(i.indexprs, i.relation)
having count(*) > 1;
