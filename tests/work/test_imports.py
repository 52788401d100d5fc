"""Files that operators bring: good ones, real ones, and every mistake with its line."""

import time
from pathlib import Path

import orjson
import pytest

from fieldsvc.errors import UserMistake
from fieldsvc.simulate.town import Town
from fieldsvc.store import round as rounds
from fieldsvc.work.errors import BadImport
from fieldsvc.work.imports import create_site, import_addresses, import_roster, import_rounds, layout_rounds
from tests.work.conftest import PARIS, TODAY, Office, lines, saved

BAN = "id;numero;rep;nom_voie;code_postal;code_insee;nom_commune;lon;lat\n"
COUNTS = "select (select count(*) from round), (select count(*) from stop), (select count(*) from delivery_point)"


async def test_addresses_are_taken_once_and_a_second_import_changes_nothing(empty: Office) -> None:
    told: list[int] = []
    text = empty.town.addresses_csv()
    report = await import_addresses(empty.database, lines(text), progress=told.append)
    count = text.count("\n") - 1
    assert (report.taken, report.refused, told) == (count, 0, [count])
    before = await empty.fetch("select id, xmin::text from address order by id")
    await import_addresses(empty.database, lines(text))
    assert await empty.fetch("select id, xmin::text from address order by id") == before
    communes = await empty.fetch("select citycode, city, postcodes from commune")
    assert [tuple(row) for row in communes] == [("99901", "Villeneuve-sur-Arve", ["99910"])]


async def test_the_last_row_of_an_address_counts(empty: Office) -> None:
    rows = "93010_1_1;1;;Rue A;93140;93010;Bondy;2.48;48.90\n93010_1_1;1;;Rue B;93140;93010;Bondy;2.48;48.90\n"
    assert (await import_addresses(empty.database, lines(BAN + rows))).taken == 2
    assert await empty.value("select street from address") == "Rue B"


async def test_rows_that_cannot_be_used_are_counted_with_their_line_and_the_rest_is_taken(empty: Office) -> None:
    good = "93010_1_1;1;;Rue A;93140;93010;Bondy;2.48;48.90\n"
    bad = "93010_1_2;2;;Rue A;93140;93010;Bondy;east;48.90\n"
    report = await import_addresses(empty.database, lines(BAN + good + bad))
    assert (report.taken, report.refused, report.bad[0].line_no) == (1, 1, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the file is empty"),
        ("a,b\n1,2\n", "line 1: this is neither a BAN CSV"),
        (BAN, "line 2: there is no row"),
        (BAN + "x;1;;Rue A;93140;93010;Bondy;2.48;north\n", "line 2: the position"),
        (BAN + "x;1;;Rue\0A;93140;93010;Bondy;2.48;48.9\n", "line 2: there is a NUL"),
    ],
)
async def test_a_file_that_is_no_address_file_changes_nothing(empty: Office, text: str, says: str) -> None:
    with pytest.raises(BadImport, match=says):
        await import_addresses(empty.database, lines(text))
    assert await empty.value("select count(*) from address") == 0


async def test_a_file_that_turns_bad_in_the_middle_changes_nothing(empty: Office) -> None:
    text = empty.town.addresses_csv()

    def broken() -> object:
        yield from lines(text)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")

    with pytest.raises(BadImport, match="not UTF-8"):
        await import_addresses(empty.database, broken())  # type: ignore[arg-type]
    assert await empty.value("select count(*) from address") == 0


async def test_the_real_addresses_of_bondy_and_of_a_departement_are_taken(empty: Office, data_folder: Path) -> None:
    with (data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv").open(encoding="utf-8") as file:
        report = await import_addresses(empty.database, file)
    assert report.taken + report.refused == 8413
    assert report.taken > 8400
    with (data_folder / "bano" / "bano-2A.csv").open(encoding="utf-8") as file:
        more = await import_addresses(empty.database, file)
    assert more.taken > 1000
    assert await empty.value("select count(*) from address") == report.taken + more.taken
    assert await empty.value("select count(*) from commune where citycode like '2A%'") != 0


async def test_rounds_laid_out_over_bondy_can_be_walked_and_keep_their_names(empty: Office, data_folder: Path) -> None:
    with (data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv").open(encoding="utf-8") as file:
        taken = (await import_addresses(empty.database, file)).taken
    await create_site(empty.database, "bondy")
    report = await layout_rounds(empty.database, site="bondy", count=17, zone=PARIS)
    assert (report.rounds, report.stops, report.changed) == (17, taken, 17)
    again = await layout_rounds(empty.database, site="bondy", count=17, zone=PARIS)
    assert again.changed == 0
    fewer = await layout_rounds(empty.database, site="bondy", count=16, zone=PARIS)
    assert fewer.changed > 0
    assert tuple((await empty.fetch(COUNTS))[0])[:2] == (16, taken)
    plan = await empty.rounds.run_plan("run-2026-11-21-T01")
    assert plan is not None
    assert [problem for problem in plan.round.problems() if "is on the line" not in problem] == []


async def test_a_layout_leaves_rounds_of_others_alone(office: Office) -> None:
    await create_site(office.database, "sud")
    with pytest.raises(UserMistake, match="0 addresses cannot make 2 rounds"):
        await layout_rounds(office.database, site="sud", count=2, zone=PARIS)
    extra = "".join(f"93010_9_{n};{n};;Rue Z;93140;93010;Bondy;2.48{n:02d};48.90\n" for n in range(1, 21))
    await import_addresses(office.database, lines(BAN + extra))
    report = await layout_rounds(office.database, site="sud", count=2, zone=PARIS)
    assert (report.rounds, report.stops) == (2, 20)
    ids = {row["id"] for row in await office.fetch("select id from round where site = 'sud'")}
    assert ids == {"sud-T01", "sud-T02"}
    with pytest.raises(UserMistake, match="There is no site nord"):
        await layout_rounds(office.database, site="nord", count=2, zone=PARIS)
    with pytest.raises(UserMistake, match="at least one round"):
        await layout_rounds(office.database, site="sud", count=0, zone=PARIS)


async def test_rounds_come_from_geojson_and_csv_and_a_second_import_changes_nothing(
    empty: Office, tmp_path: Path
) -> None:
    path = saved(tmp_path, empty.town.rounds_geojson())
    report = await import_rounds(empty.database, path, zone=PARIS)
    assert (report.rounds, report.changed) == (3, 3)
    assert tuple((await empty.fetch(COUNTS))[0]) == (3, report.stops, report.stops)
    before = await empty.fetch("select stop_id, xmin::text from stop order by round_id, stop_id")
    assert (await import_rounds(empty.database, path, zone=PARIS)).changed == 0
    assert await empty.fetch("select stop_id, xmin::text from stop order by round_id, stop_id") == before
    csv_text = (
        "round_id,site,mode,sequence,stop_id,delivery_point_id,lat,lon,address\n"
        "T01,nord,bike,1,s1,dp-1,48.9,2.40,1 rue A\n"
        "T01,nord,bike,2,s2,dp-2,48.9,2.41,2 rue A\n"
    )
    assert (await import_rounds(empty.database, saved(tmp_path, csv_text, "csv"), zone=PARIS)).changed == 1
    row = (await empty.fetch("select site, mode, version, array_length(line, 1) from round where id = 'T01'"))[0]
    assert tuple(row) == ("nord", "bike", 2, None)
    plan = await empty.rounds.run_plan("run-2026-11-21-T01")
    assert plan is not None
    assert plan.delivery_point_of_stop == {"s1": "dp-1", "s2": "dp-2"}
    assert plan.round.drawn_line == ((2.40, 48.9), (2.41, 48.9))


CSV_HEAD = "round_id,site,mode,sequence,stop_id,delivery_point_id,lat,lon,address\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1"),
        ("{", "line 1: this is not JSON"),
        ('{"type":"FeatureCollection","features":[]}', "there is no LineString"),
        ("[1]", "not a GeoJSON FeatureCollection"),
        ("a;b\n", "line 1: the header lacks"),
        (CSV_HEAD, "there is no stop"),
        (CSV_HEAD + "T01,nord,plane,1,s1,dp-1,48.9,2.4,\n", "line 2: mode is plane"),
        (CSV_HEAD + "T01,nord,foot,1,s1,dp-1,48.9,2.4,\nT01,nord,foot,1,s2,dp-2,48.9,2.4,\n", "line 3: sequence 1"),
        (CSV_HEAD + "T 01,nord,foot,1,s1,dp-1,48.9,2.4,\n", "round 'T 01': an id has letters"),
        (CSV_HEAD + "T01,le nord,foot,1,s1,dp-1,48.9,2.4,\n", "cannot name a site"),
        (CSV_HEAD + "T01,nord,foot,1,s1,dp 1,48.9,2.4,\n", "stop s1: 'dp 1' is no id"),
        (CSV_HEAD + "T01,nord,foot,1,s1,dp-1,48.9,2.4,a\0b\n", "NUL"),
    ],
)
async def test_a_mistake_in_a_rounds_file_is_named_and_changes_nothing(
    office: Office, tmp_path: Path, text: str, says: str
) -> None:
    before = tuple((await office.fetch(COUNTS))[0])
    with pytest.raises(BadImport, match=says):
        await import_rounds(office.database, saved(tmp_path, text, "bad"), zone=PARIS)
    assert tuple((await office.fetch(COUNTS))[0]) == before


async def test_a_missing_or_binary_file_is_said_plainly(empty: Office, tmp_path: Path) -> None:
    with pytest.raises(BadImport, match="No such file"):
        await import_rounds(empty.database, tmp_path / "none", zone=PARIS)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadImport, match="not UTF-8"):
        await import_rounds(empty.database, tmp_path / "binary", zone=PARIS)


async def test_seventeen_thousand_stops_are_imported_in_five_seconds(empty: Office, tmp_path: Path) -> None:
    big = Town(seed=2, rounds=35, stops=500)
    path = saved(tmp_path, big.rounds_geojson())
    began = time.perf_counter()
    report = await import_rounds(empty.database, path, zone=PARIS)
    took_s = time.perf_counter() - began
    assert report.stops > 16_500
    assert took_s < 5


async def test_a_round_that_is_read_again_is_held_once_until_it_changes(office: Office) -> None:
    book = {each.round_id: each for each in await rounds.read_all(office.database)}
    planned = await office.rounds.known_round("T01")
    assert planned is not None
    assert planned.stored.round is book["T01"]
    await office.fetch("update stop set lat = lat + 0.0001 where round_id = 'T01' and sequence = 3")
    (other,) = [each for each in await rounds.read_all(office.database) if each.round_id == "T01"]
    assert other is not book["T01"]
    assert [a.lat == b.lat for a, b in zip(other.stops, book["T01"].stops, strict=True)].count(False) == 1


async def test_the_roster_is_taken_replaced_row_by_row_and_may_leave_a_round_to_nobody(office: Office) -> None:
    assert await import_roster(office.database, lines(office.town.roster_csv(TODAY))) == 3
    text = f"date;round_id;carrier;qualifications\n{TODAY};T02;;\n{TODAY};T03;Zoé;visits|keys, pouches\n"
    assert await import_roster(office.database, lines("\ufeff" + text)) == 2
    rows = await office.fetch("select round_id, carrier, qualifications from roster order by round_id")
    assert [tuple(row) for row in rows][1:] == [("T02", None, []), ("T03", "Zoé", ["visits", "keys", "pouches"])]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the header lacks date"),
        ("date,round_id,carrier\n", "line 2: there is no row"),
        ("date,round_id,carrier\n21/11/2026,T01,Zoé\n", "line 2: the date is '21/11/2026'"),
        ("date,round_id,carrier\n2026-11-21,,Zoé\n", "line 2: round_id is missing"),
        ("date,round_id,carrier\n2026-11-21,T01,Zoé\n2026-11-21,T99,Léo\n", "line 3: there is no round T99"),
        ("date,round_id,carrier\n2026-11-21,T01\n", "line 2: it has 2 columns"),
        ("date,round_id,carrier\n2026-11-21,T01,a\0b\n", "line 2: there is a NUL"),
    ],
)
async def test_a_mistake_in_the_roster_is_named_and_changes_nothing(office: Office, text: str, says: str) -> None:
    with pytest.raises(BadImport, match=says):
        await import_roster(office.database, lines(text))
    assert await office.value("select count(*) from roster") == 0


async def test_tasks_come_from_json_lines_through_the_journal_and_a_second_import_changes_nothing(
    office: Office,
) -> None:
    bodies = [body for body in office.town.tasks(TODAY) if office.registry.task_handler(body["service"])]
    assert {body["service"] for body in bodies} >= {"item", "medication", "home_visit"}
    text = "".join(orjson.dumps(body).decode() + "\n" for body in bodies)
    told: list[int] = []
    report = await office.task_import.run(lines(text), progress=told.append)
    assert (report.planned, report.unchanged, report.warnings) == (report.tasks, 0, 0)
    assert told[-1] == report.tasks
    assert (
        await office.value("select count(*) from event where kind = 'field' and type = 'task.planned'") == report.tasks
    )
    assert await office.value("select count(*) from task where round_id is null") == 0
    again = await office.task_import.run(lines(text))
    assert (again.planned, again.unchanged) == (0, report.tasks)
    first = orjson.loads(text.splitlines()[0])
    first["addressee"] = "M. Autre"
    changed = await office.task_import.run([orjson.dumps(first).decode()])
    assert (changed.planned, changed.unchanged) == (1, 0)
    assert await office.value("select count(*) from task") == report.tasks


async def test_tasks_come_from_csv(office: Office) -> None:
    point = next(office.town.delivery_points())
    text = (
        (
            "service;subject;on;delivery_point;addressee;requirements;window_from;window_until;details;order_ref\n"
            f'item;item/RK1;{TODAY};{point.id};Mme Martin;identity|signature;;;;A"1\n'
            f'medication;;{TODAY};{point.id};Mme Martin;seal;{TODAY}T08:00:00Z;{TODAY}T10:00:00Z;{{""may_receive"":[""patient""]}};\n'
        )
        .replace('{""', '"{""')
        .replace('""]}', '""]}"')
        .replace('A"1', "A1")
    )
    report = await office.task_import.run(lines(text))
    assert report.planned == 2
    rows = await office.fetch("select subject, requirements, window_from, order_ref, sealed from task order by service")
    assert [row["requirements"] for row in rows] == [["identity", "signature"], ["seal"]]
    assert rows[0]["order_ref"] == "A1"
    assert rows[1]["subject"].startswith("pouch/P-")
    assert rows[1]["window_from"] is not None
    opened = await office.opener.open_blobs([row["sealed"] for row in rows])
    assert [each["addressee"] for each in opened] == ["Mme Martin", "Mme Martin"]
    assert opened[1]["details"] == {"may_receive": ["patient"]}
    assert (await office.task_import.run(lines(text))).planned == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: this is neither JSON lines nor a CSV"),
        ("\n", "line 1: this is neither"),
        ("{\n", "line 1: this is not JSON"),
        ('{"service":"item"}\n[]\n', "line 1: This service does not issue ids"),
        ('{"service":"item","subject":"item/1","delivery_point":"x"}\n[]\n', "line 2: a task is a JSON object"),
        ('{"service":"nothing","subject":"item/1"}\n', "line 1: No service takes such tasks"),
        ('{"service":"item","subject":"pouch/1"}\n', "line 1: The subject of service item is item/"),
        ('{"service":"item","subject":"item/1","king":1}\n', "line 1: body: Extra inputs"),
        ('{"service":"item","subject":"item/1","on":"tomorrow"}\n', "line 1: on: "),
        ("service,colour\nitem,red\n", "line 1: the columns colour mean nothing"),
        ("service,details\nitem,red\n", "line 2: details is not JSON"),
        ("service,subject\nitem\n", "line 2: it has 1 columns"),
    ],
)
async def test_a_mistake_in_a_tasks_file_is_named_before_anything_is_planned(
    office: Office, text: str, says: str
) -> None:
    with pytest.raises(BadImport, match=says):
        await office.task_import.run(lines(text))
    assert await office.value("select count(*) from event") == 0


async def test_the_same_task_twice_in_a_file_is_a_mistake(office: Office) -> None:
    line = orjson.dumps({"service": "item", "subject": "item/1", "delivery_point": "x", "on": str(TODAY)}).decode()
    with pytest.raises(BadImport, match="line 3: the same service, subject and day are on line 1"):
        await office.task_import.run([line, "\n", line])


async def test_a_task_that_its_service_refuses_is_named_and_the_others_are_planned(office: Office) -> None:
    account, _ = await office.subscriber()
    point = next(office.town.delivery_points()).id
    first = {"service": "item", "subject": "item/1", "delivery_point": point, "on": str(TODAY)}
    await office.task_import.run([orjson.dumps(first).decode()], account=account)
    second = first | {"subject": "item/2"}
    with pytest.raises(BadImport, match=r"line 1: .*subject_taken.*\(1 of 2 tasks were planned"):
        await office.task_import.run([orjson.dumps(each).decode() for each in (first, second)])
    assert await office.value("select count(*) from task where account is null") == 1
