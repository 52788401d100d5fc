-- name: put
-- Take roster rows over; a row of the same day and round is replaced.
insert into roster (day, round_id, carrier, qualifications)
select day, round_id, carrier, array_remove(string_to_array(qualifications, ' '), '')
from unnest($1::date[], $2::text[], $3::text[], $4::text[]) as new (day, round_id, carrier, qualifications)
on conflict (day, round_id) do update set carrier = excluded.carrier, qualifications = excluded.qualifications
where (roster.carrier, roster.qualifications) is distinct from (excluded.carrier, excluded.qualifications);

-- name: rounds_of
-- Which rounds does this carrier walk on this day, or this device without a roster? Its own round first, ended runs last.
with walked as (
  select roster.round_id from roster where roster.day = $1 and roster.carrier = $2
  union
  select round.id from round where round.id = $3::text
    and not exists (select 1 from roster where roster.day = $1 and roster.round_id = $3::text)
    and not exists (select 1 from roster where roster.day = $1 and roster.carrier = $2)
)
select walked.round_id from walked
join round on round.id = walked.round_id and (round.site = $4 or round.id = $3::text)
left join run on run.day = $1 and run.round_id = walked.round_id
order by coalesce(run.state, 'planned') = 'ended', coalesce(run.state, 'planned') = 'planned',
  walked.round_id is distinct from $3::text, walked.round_id;
