-- Every rule the generated books keep, as a query that counts the rows breaking it: one name and one count a line.
with payable as (
    select line.*
    from account_move_line as line
    inner join account_account as account on line.account_id = account.id
    where account.reconcile
),

matched as (
    select
        line.id,
        line.balance
        - coalesce((select sum(p.amount) from account_partial_reconcile as p where p.debit_move_id = line.id), 0)
        + coalesce((select sum(p.amount) from account_partial_reconcile as p where p.credit_move_id = line.id), 0)
            as residual,
        line.amount_currency
        - coalesce((select sum(p.debit_amount_currency) from account_partial_reconcile as p where p.debit_move_id = line.id), 0)
        + coalesce((select sum(p.credit_amount_currency) from account_partial_reconcile as p where p.credit_move_id = line.id), 0)
            as residual_currency
    from payable as line
),

totals as (
    select
        move.id,
        sum(line.balance) filter (where line.display_type = 'product') as untaxed,
        sum(line.balance) filter (where line.display_type in ('product', 'tax')) as total,
        sum(line.amount_residual) filter (where line.display_type = 'payment_term') as residual,
        sum(line.amount_residual_currency) filter (where line.display_type = 'payment_term') as residual_currency
    from account_move as move
    inner join account_move_line as line on line.move_id = move.id
    where move.move_type <> 'entry'
    group by move.id
),

stocked as (
    select
        product_id,
        location_id,
        sum(quantity) as quantity
    from (
        select product_id, location_dest_id as location_id, quantity
        from stock_move_line
        where state = 'done'
        union all
        select product_id, location_id, -quantity
        from stock_move_line
        where state = 'done'
    ) as moved
    group by product_id, location_id
)

select 'entries that do not balance' as fault, count(*) as rows
from (select move_id from account_move_line group by move_id having sum(balance) <> 0) as unbalanced
union all
select 'debit less credit is not the balance', count(*)
from account_move_line where debit - credit <> balance
union all
select 'lines in another company than their move', count(*)
from account_move_line as line
inner join account_move as move on line.move_id = move.id
where line.company_id <> move.company_id or line.journal_id <> move.journal_id
union all
select 'accounts of another company', count(*)
from account_move_line as line
inner join account_account as account on line.account_id = account.id
where account.company_id <> line.company_id
union all
select 'lines in another state, or under another name or date, than their move', count(*)
from account_move_line as line
inner join account_move as move on line.move_id = move.id
where line.parent_state <> move.state or line.move_name <> move.name or line.date <> move.date
union all
select 'residuals that are not balance less reconciliations', count(*)
from payable inner join matched on payable.id = matched.id
where payable.amount_residual <> matched.residual or payable.amount_residual_currency <> matched.residual_currency
union all
select 'residuals beyond their balance', count(*)
from payable where abs(amount_residual) > abs(balance) or amount_residual * balance < 0
union all
select 'reconciled flags that lie', count(*)
from payable
where reconciled <> (amount_residual = 0 and amount_residual_currency = 0 and parent_state = 'posted')
union all
select 'lines without full reconcile though partials close them, or the reverse', count(*)
from payable
where full_reconcile_id is not null and not reconciled
union all
select 'partials on lines that are not posted or of different companies or accounts', count(*)
from account_partial_reconcile as p
inner join account_move_line as d on p.debit_move_id = d.id
inner join account_move_line as c on p.credit_move_id = c.id
where
    d.parent_state <> 'posted' or c.parent_state <> 'posted' or d.company_id <> c.company_id
    or p.company_id <> d.company_id or d.account_id <> c.account_id or d.balance < 0 or c.balance > 0
    or d.full_reconcile_id is distinct from p.full_reconcile_id or c.full_reconcile_id is distinct from p.full_reconcile_id
    or d.matching_number <> c.matching_number
union all
select 'full reconciles whose lines do not sum to zero', count(*)
from (select full_reconcile_id from account_move_line where full_reconcile_id is not null
    group by full_reconcile_id having sum(balance) <> 0) as broken
union all
select 'invoice totals that are not their lines', count(*)
from account_move as move inner join totals on move.id = totals.id
where
    move.amount_untaxed_signed <> -coalesce(totals.untaxed, 0)
    or move.amount_total_signed <> -coalesce(totals.total, 0)
    or move.amount_residual_signed <> totals.residual
    or move.amount_residual <> abs(totals.residual_currency)
    or move.amount_total <> move.amount_untaxed + move.amount_tax
union all
select 'payment states that lie', count(*)
from account_move
where move_type <> 'entry' and state = 'posted' and (
    (payment_state in ('paid', 'reversed')) <> (amount_residual = 0)
    or (payment_state = 'not_paid' and amount_residual <> amount_total)
    or (payment_state = 'partial' and amount_residual = amount_total)
)
union all
select 'unposted moves with a payment state', count(*)
from account_move where state <> 'posted' and payment_state <> 'not_paid'
union all
select 'entry totals that are not their debits', count(*)
from account_move as move
where move.move_type = 'entry' and move.amount_total_signed
    <> (select sum(line.debit) from account_move_line as line where line.move_id = move.id)
union all
select 'payments that are not their lines', count(*)
from account_payment as pay
where not exists (
    select from account_move_line as line
    where line.move_id = pay.move_id and line.account_id = pay.outstanding_account_id
        and abs(line.amount_currency) = pay.amount and line.balance = pay.amount_company_currency_signed
)
union all
select 'sale orders that are not their lines', count(*)
from sale_order as o
where o.amount_total <> (select sum(price_total) from sale_order_line where order_id = o.id)
    or o.amount_untaxed <> (select sum(price_subtotal) from sale_order_line where order_id = o.id)
union all
select 'purchase orders that are not their lines', count(*)
from purchase_order as o
where o.amount_total <> (select sum(price_total) from purchase_order_line where order_id = o.id)
union all
select 'quants that are not the done moves', count(*)
from stock_quant as q full join stocked as s on q.product_id = s.product_id and q.location_id = s.location_id
where coalesce(q.quantity, 0) <> coalesce(s.quantity, 0)
union all
select 'gaps in the numbers of posted entries', count(*)
from (
    select count(*) as used, max(sequence_number) as last
    from account_move where sequence_number > 0 group by journal_id, sequence_prefix
) as numbers
where used <> last
union all
select 'yen with a fraction', count(*)
from account_move_line where currency_id = 3 and amount_currency <> trunc(amount_currency);
