-- Cover, and points that move: proposals for rounds that nobody walks; delivery points that an address change put elsewhere
--
-- A `cover_proposal` is what a supervisor was shown: pieces of runs for other runs, and nothing of any carrier. `marks` say how
-- the runs stood when it was made; confirming it needs them to stand so still. Proposals go with their day.
--
-- A `moved_point` keeps what a delivery point was before an address change moved it: its stops (each with the stop before it),
-- its place and what proofs had taught of it; so that a rejection or a late truth puts everything back. `mark` names the place
-- that the decision wants; `place_point` changes nothing where it is the same. All of it happens in the commit of the decision,
-- with the versions of every round that gains, loses or changes a stop. An import that knows the new place ends the move; one
-- that does not leaves it standing (`settle_moved_points`).

create table cover_proposal (
  id text not null constraint cover_proposal_pk primary key,
  site text not null,
  day date not null,
  made_at timestamptz not null,
  body jsonb not null,
  marks jsonb not null,
  confirmed_at timestamptz
);

create index cover_proposal_by_day on cover_proposal (day);

create table moved_point (
  delivery_point_id text not null constraint moved_point_pk primary key,
  mark text not null,
  place jsonb not null,
  existed boolean not null,
  address text,
  lat double precision,
  lon double precision,
  round_id text,
  stops jsonb not null,
  door bytea,
  box bytea,
  moved_on date
);

create table address_report (
  id uuid not null constraint address_report_pk primary key,
  delivery_point_id text not null,
  reported_at timestamptz not null,
  state text not null constraint address_report_state check (state in ('review', 'accepted', 'confirmed', 'rejected', 'withdrawn')),
  change text not null,
  confidence text not null,
  effective_on date,
  round_id text,
  score double precision,
  sealed bytea not null
);

create index address_report_by_state on address_report (state, reported_at, id);

-- Put a stop into a round behind one stop, else before another, else at a sequence, else at its end; nothing for no such round.
create function put_stop(wanted jsonb, point text) returns void language plpgsql as $$
declare
  place_no integer;
begin
  if not exists (select 1 from round where id = wanted ->> 'round_id') then
    return;
  end if;
  select sequence + 1 into place_no from stop where stop.round_id = wanted ->> 'round_id' and stop.stop_id = wanted ->> 'after_stop_id';
  if place_no is null then
    select sequence into place_no from stop where stop.round_id = wanted ->> 'round_id' and stop.stop_id = wanted ->> 'before_stop_id';
  end if;
  place_no := coalesce(place_no, (wanted ->> 'sequence')::integer,
    (select max(sequence) + 1 from stop where stop.round_id = wanted ->> 'round_id'), 1);
  if exists (select 1 from stop where stop.round_id = wanted ->> 'round_id' and stop.sequence = place_no) then
    update stop set sequence = sequence + 1 where stop.round_id = wanted ->> 'round_id' and stop.sequence >= place_no;
  end if;
  insert into stop (round_id, stop_id, sequence, delivery_point_id, lat, lon, side, address, box_lat, box_lon)
  values (wanted ->> 'round_id', wanted ->> 'stop_id', place_no, point, (wanted ->> 'lat')::float8, (wanted ->> 'lon')::float8,
    wanted ->> 'side', wanted ->> 'address', (wanted ->> 'box_lat')::float8, (wanted ->> 'box_lon')::float8)
  on conflict (round_id, stop_id) do nothing;
end
$$;

-- Write down what a point is now, before it is moved for the first time.
create function remember_point(point text) returns void language sql as $$
  insert into moved_point (delivery_point_id, mark, place, existed, address, lat, lon, round_id, stops, door, box, moved_on)
  select point, '', '{}', known.id is not null, known.address, known.lat, known.lon, known.round_id,
    coalesce((
      select jsonb_agg(to_jsonb(mine) || jsonb_build_object('after_stop_id', (
        select other.stop_id from stop as other
        where other.round_id = mine.round_id and (other.sequence, other.stop_id) < (mine.sequence, mine.stop_id)
        order by other.sequence desc, other.stop_id desc limit 1)) order by mine.round_id, mine.sequence)
      from stop as mine where mine.delivery_point_id = point), '[]'),
    memory.door, memory.box, memory.moved_on
  from (select point as id) as wanted
  left join delivery_point as known on known.id = wanted.id
  left join delivery_point_memory as memory on memory.delivery_point_id = wanted.id
$$;

-- Put a point back to where it was before it was moved.
create function restore_point(point text) returns void language plpgsql as $$
declare
  before moved_point;
  each jsonb;
begin
  select moved_point.* into before from moved_point where delivery_point_id = point;
  delete from stop where delivery_point_id = point;
  for each in select value from jsonb_array_elements(before.stops) loop
    perform put_stop(each, point);
  end loop;
  if before.existed then
    update delivery_point set address = before.address, lat = before.lat, lon = before.lon, round_id = before.round_id
    where id = point;
  else
    delete from delivery_point where id = point;
  end if;
  update delivery_point_memory set door = before.door, box = before.box, moved_on = before.moved_on
  where delivery_point_id = point;
end
$$;

-- Put a point, as it was, where a decision wants it: on a round (`move`), its letterbox (`box`), under another name (`address`).
create function apply_place(point text, place jsonb) returns void language plpgsql as $$
declare
  move jsonb := place -> 'move';
  box jsonb := place -> 'box';
begin
  if move is not null and exists (select 1 from round where id = move ->> 'round_id') then
    delete from stop where delivery_point_id = point;
    perform put_stop(move, point);
    insert into delivery_point (id, address, lat, lon)
    values (point, move ->> 'address', (move ->> 'lat')::float8, (move ->> 'lon')::float8)
    on conflict (id) do update set address = excluded.address, lat = excluded.lat, lon = excluded.lon, round_id = null;
    update delivery_point_memory set door = null, box = null, moved_on = null where delivery_point_id = point;
  end if;
  if box is not null then
    update stop set box_lat = (box ->> 'lat')::float8, box_lon = (box ->> 'lon')::float8 where delivery_point_id = point;
    update delivery_point set lat = (box ->> 'lat')::float8, lon = (box ->> 'lon')::float8 where id = point;
    update delivery_point_memory as memory set box = null, moved_on = null where delivery_point_id = point;
  end if;
  if place ->> 'address' is not null then
    update stop set address = place ->> 'address' where delivery_point_id = point;
    update delivery_point set address = place ->> 'address' where id = point;
  end if;
end
$$;

-- Make a point be where a decision wants it, or where it was if `place` is null; open tasks from a day on follow it.
create function place_point(point text, wanted_mark text, place jsonb, from_day date) returns void language plpgsql as $$
declare
  known text;
  touched text[];
begin
  perform pg_advisory_xact_lock(hashtextextended('stop', 8122));  -- two points may share a round: one after the other
  select mark into known from moved_point where delivery_point_id = point;
  if known is not distinct from wanted_mark or (known is null and place is null) then
    return;
  end if;
  touched := array(select stop.round_id from stop where stop.delivery_point_id = point);
  if known is null then
    perform remember_point(point);
  else
    perform restore_point(point);
  end if;
  if place is null then
    delete from moved_point where delivery_point_id = point;
  else
    perform apply_place(point, place);
    update moved_point set mark = wanted_mark, place = place_point.place where delivery_point_id = point;
  end if;
  touched := touched || array(select stop.round_id from stop where stop.delivery_point_id = point);
  update round set version = version + 1, changed_at = clock_timestamp() where id = any(touched);
  perform follow_point(point, from_day);
end
$$;

-- Put the open tasks of a point from a day on to the round that now serves it; what moved to another run of its day stays.
create function follow_point(point text, from_day date) returns void language plpgsql as $$
declare
  target text := coalesce((select stop.round_id from stop where stop.delivery_point_id = point order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = point));
begin
  update run set version = run.version + left_behind.changes
  from (
    select task.day, task.round_id, sum(task.changes) + 1 as changes from task
    where task.delivery_point = point and task.day >= from_day and task.state = 'planned' and task.moved_to is null
      and task.round_id is distinct from target
    group by task.day, task.round_id
  ) as left_behind
  where run.day = left_behind.day and run.round_id = left_behind.round_id;
  update task set round_id = target, changes = task.changes + 1
  where task.delivery_point = point and task.day >= from_day and task.state = 'planned' and task.moved_to is null
    and task.round_id is distinct from target;
end
$$;

-- After an import of rounds: what the plan now has itself is over, what it still has as it was before is done again.
create function settle_moved_points(round_ids text[]) returns void language plpgsql as $$
declare
  known moved_point;
  target text;
begin
  perform pg_advisory_xact_lock(hashtextextended('stop', 8122));
  for known in
    select moved_point.* from moved_point
    where moved_point.place -> 'move' ->> 'round_id' = any(round_ids)
      or exists (select 1 from stop where stop.delivery_point_id = moved_point.delivery_point_id and stop.round_id = any(round_ids))
    order by moved_point.delivery_point_id
  loop
    target := known.place -> 'move' ->> 'round_id';
    if exists (
      select 1 from stop where stop.delivery_point_id = known.delivery_point_id and stop.round_id = any(round_ids)
        and case when target is null then not exists (
          select 1 from jsonb_to_recordset(known.stops) as old (lat float8, lon float8, address text, box_lat float8, box_lon float8)
          where (old.lat, old.lon, old.address, old.box_lat, old.box_lon)
            is not distinct from (stop.lat, stop.lon, stop.address, stop.box_lat, stop.box_lon))
          else stop.round_id = target end)
    then
      delete from moved_point where delivery_point_id = known.delivery_point_id;
      update round set version = version + 1, changed_at = clock_timestamp()
      where not id = any(round_ids)
        and id in (select stop.round_id from stop where stop.delivery_point_id = known.delivery_point_id);
      delete from stop where delivery_point_id = known.delivery_point_id and not round_id = any(round_ids);
    else
      perform apply_place(known.delivery_point_id, known.place);
    end if;
  end loop;
end
$$;
