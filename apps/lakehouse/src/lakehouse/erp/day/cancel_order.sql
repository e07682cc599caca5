-- A quotation that nobody wants any more: $1 seed, $2 written at.
with dropped as (
    update sale_order
    set state = 'cancel', write_date = $2
    where id = (
        select id from sale_order where state in ('draft', 'sent') order by md5(id::text || ':' || $1::text) limit 1
    )
    returning id
),

lines as (
    update sale_order_line
    set state = 'cancel', write_date = $2
    from dropped
    where sale_order_line.order_id = dropped.id
    returning sale_order_line.id
)

select id from dropped;
