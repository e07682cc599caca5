-- A raw statement of an addon, which leaves write_date alone: $1 seed.
update res_partner
set color = color + 1
where id = (select id from res_partner where is_company order by md5(id::text || '+' || $1::text) limit 1)
returning id;
