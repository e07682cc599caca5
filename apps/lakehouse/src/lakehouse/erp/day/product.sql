-- One product gets a new price: $1 seed, $2 written at.
update product_template
set list_price = list_price + 1.50, write_date = $2
where id = (select id from product_template order by md5(id::text || ':' || $1::text) limit 1)
returning id;
