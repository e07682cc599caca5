-- An unpaid invoice in its company's own currency, and a payment of that company to make the new one like: $1 seed.
select
    invoice.id,
    payment.id
from account_move as invoice
inner join res_company as company on invoice.company_id = company.id and invoice.currency_id = company.currency_id
cross join lateral (
    select pay.id
    from account_payment as pay
    inner join account_move as move on pay.move_id = move.id
    where
        move.company_id = invoice.company_id and move.currency_id = invoice.currency_id and move.state = 'posted'
        and pay.payment_type = 'inbound' and pay.partner_type = 'customer'
    order by pay.id
    limit 1
) as payment
where invoice.move_type = 'out_invoice' and invoice.payment_state = 'not_paid' and invoice.state = 'posted'
    and invoice.amount_residual > 0
order by md5(invoice.id::text || ':' || $1::text)
limit 1;
