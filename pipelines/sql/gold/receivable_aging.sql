-- What customers owe on the day `as_of`, by how long it is overdue. Not due: due that day or later.
with open_line as (
    select
        line.company_id,
        line.partner_id,
        line.amount_residual,
        date_diff('day', coalesce(line.date_maturity, line.date), $as_of) as days_overdue
    from silver.account_move_line as line
    inner join silver.account_account as account on account.id = line.account_id
    where
        account.account_type = 'asset_receivable'
        and line.parent_state = 'posted'
        and not coalesce(line.reconciled, false)
)

select
    cast($as_of as date) as as_of,
    open_line.company_id,
    open_line.partner_id,
    partner.name as partner,
    coalesce(sum(case when open_line.days_overdue <= 0 then open_line.amount_residual end), 0) as not_due,
    coalesce(sum(case when open_line.days_overdue between 1 and 30 then open_line.amount_residual end), 0) as d1_30,
    coalesce(sum(case when open_line.days_overdue between 31 and 60 then open_line.amount_residual end), 0) as d31_60,
    coalesce(sum(case when open_line.days_overdue between 61 and 90 then open_line.amount_residual end), 0) as d61_90,
    coalesce(sum(case when open_line.days_overdue > 90 then open_line.amount_residual end), 0) as d90_plus,
    coalesce(sum(open_line.amount_residual), 0) as total
from open_line
left join silver.res_partner as partner on partner.id = open_line.partner_id
group by 1, 2, 3, 4
