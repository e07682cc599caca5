-- Debit, credit and balance of every account that has posted entries, by company.
select
    line.company_id,
    line.account_id,
    account.code as account_code,
    account.name as account_name,
    coalesce(sum(line.debit), 0) as debit,
    coalesce(sum(line.credit), 0) as credit,
    coalesce(sum(line.balance), 0) as balance
from silver.account_move_line as line
left join silver.account_account as account on account.id = line.account_id
where line.parent_state = 'posted' and line.account_id is not null
group by 1, 2, 3, 4
