-- Confirmed sales orders by company, customer and currency of the order.
select
    sale.company_id,
    sale.partner_id,
    sale.currency_id,
    partner.name as partner,
    currency.name as currency,
    count(*) as orders,
    coalesce(sum(sale.amount_total), 0) as amount_total
from silver.sale_order as sale
left join silver.res_partner as partner on partner.id = sale.partner_id
left join silver.res_currency as currency on currency.id = sale.currency_id
where sale.state in ('sale', 'done')
group by 1, 2, 3, 4, 5
