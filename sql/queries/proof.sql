-- purpose: proofs of registered mail

-- name: field_row
-- Find the row of one field event on a day, with the digest that ties it to every row before it.
select site, received_at, chain from event where id = $1 and day = $2 and kind = 'field';

-- name: carrier_knew
-- Had the carrier of a run, as the regular one of its round, seen a document at the delivery point of a subject before a moment?
select exists (
  select from run
  where run.id = $1 and run.carrier in (select regular_carriers(run.round_id, run.day))
    and exists (
      select from task
      join task as earlier on earlier.delivery_point = task.delivery_point
      join run as seen_on on seen_on.id = earlier.identity_run
      where task.subject = $2 and earlier.identity_at < $3 and seen_on.carrier = run.carrier)) as knew;
