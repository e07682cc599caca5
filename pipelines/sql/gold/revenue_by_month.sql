-- Revenue of posted customer invoices and refunds, by company and month of the invoice date, in the company's currency.
select
    move.company_id,
    company.name as company,
    currency.name as currency,
    cast(date_trunc('month', move.invoice_date) as date) as month,
    count(*) as move_count,
    coalesce(sum(move.amount_untaxed_signed), 0) as revenue
from silver.account_move as move
left join silver.res_company as company on company.id = move.company_id
left join silver.res_currency as currency on currency.id = company.currency_id
where move.state = 'posted' and move.move_type in ('out_invoice', 'out_refund')
group by 1, 2, 3, 4
