-- Quantity of every product in every internal location, by company.
select
    quant.company_id,
    quant.product_id,
    quant.location_id,
    template.name as product,
    location.complete_name as location,
    coalesce(sum(quant.quantity), 0) as quantity
from silver.stock_quant as quant
inner join silver.stock_location as location on location.id = quant.location_id
left join silver.product_product as product on product.id = quant.product_id
left join silver.product_template as template on template.id = product.product_tmpl_id
where location.usage = 'internal'
group by 1, 2, 3, 4, 5
