-- One customer moves: $1 seed, $2 written at.
update res_partner
set street = '7 New Quay', phone = '+00 555 700700', comment = '<p>Moved.<br/>Old address is void.</p>', write_date = $2
where id = (select id from res_partner where customer_rank > 0 order by md5(id::text || ':' || $1::text) limit 1)
returning id;
