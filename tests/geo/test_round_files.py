"""The two file forms of rounds; a mistake is one plain sentence with its place."""

import json

import pytest

from geo import Round, Stop
from geo.errors import BadFile
from geo.round_files import read_rounds_csv, read_rounds_geojson, write_rounds_geojson

HEADER = "round_id,site,mode,sequence,stop_id,delivery_point_id,lat,lon,address"
ROWS = [
    'T07,pantin,foot,2,st-2,dp-2,48.901,2.401,"3 Rue Neuve, 93500 Pantin"',
    "T07,pantin,foot,1,st-1,dp-1,48.9,2.4,1 Rue Neuve",
    "T08,pantin,bike,1,st-9,dp-9,48.92,2.42,",
]


def feature(kind, coordinates, **properties):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


LINE = feature("LineString", [[2.4, 48.9], [2.41, 48.9]], round_id="T07", site="pantin", mode="foot", name="Centre")
POINT = feature("Point", [2.401, 48.9], round_id="T07", stop_id="st-1", sequence=1, delivery_point_id="dp-1")


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def changed(base, *, coordinates=None, kind=None, **properties):
    geometry = {"type": kind or base["geometry"]["type"], "coordinates": coordinates or base["geometry"]["coordinates"]}
    merged = {name: value for name, value in {**base["properties"], **properties}.items() if value is not None}
    return {"type": "Feature", "geometry": geometry, "properties": merged}


def test_csv_rows_become_rounds_in_the_order_of_sequence():
    first, second = read_rounds_csv([HEADER, *ROWS])
    assert (first.round_id, first.site, first.mode) == ("T07", "pantin", "foot")
    assert [s.stop_id for s in first.stops] == ["st-1", "st-2"]
    assert first.stops[1].address == "3 Rue Neuve, 93500 Pantin"
    assert first.drawn_line == ((2.4, 48.9), (2.401, 48.901))
    assert (second.mode, second.stops[0].address) == ("bike", None)


def test_csv_of_a_french_spreadsheet_reads_the_same():
    rows = ["\ufeffround_id;site;mode;sequence;stop_id;delivery_point_id;lat;lon", "T1;a;van;1;s;d;48,9;2,4", ""]
    (rnd,) = read_rounds_csv(rows)
    assert (rnd.stops[0].lat, rnd.stops[0].lon) == (48.9, 2.4)


@pytest.mark.parametrize(
    ("lines", "where", "reason"),
    [
        ([], "line 1", "the header lacks round_id"),
        (["round_id,site"], "line 1", "the header lacks mode, sequence"),
        ([HEADER], "file", "there is no stop in it."),
        ([HEADER, "T07,pantin"], "line 2", "it has 2 columns and the header has 9."),
        ([HEADER, "T07,pantin,foot,x,st-1,dp-1,48.9,2.4,"], "line 2", "sequence is x"),
        ([HEADER, "T07,pantin,tram,1,st-1,dp-1,48.9,2.4,"], "line 2", "mode is tram"),
        ([HEADER, "T07,pantin,foot,1,,dp-1,48.9,2.4,"], "line 2", "stop_id is missing."),
        ([HEADER, "T07,pantin,foot,1,st-1,dp-1,north,2.4,"], "line 2", "are not numbers"),
        ([HEADER, "T07,pantin,foot,1,st-1,dp-1,0,0,"], "line 2", "cannot be a real place"),
        ([HEADER, ROWS[1], ROWS[1].replace("st-1", "st-3")], "line 3", "sequence 1 is used by stop st-1 already."),
        ([HEADER, ROWS[1], ROWS[1].replace("foot,1", "foot,5")], "line 3", "stop st-1 is on the round already."),
        ([HEADER, ROWS[0], ROWS[1].replace("pantin", "bobigny")], "line 3", "another site or mode"),
    ],
)
def test_mistake_in_a_csv_is_one_sentence_with_its_line(lines, where, reason):
    with pytest.raises(BadFile) as caught:
        read_rounds_csv(lines)
    assert caught.value.where == where
    assert reason in caught.value.reason


def test_geojson_features_come_in_any_order():
    (rnd,) = read_rounds_geojson(
        collection(POINT, LINE, changed(POINT, stop_id="st-0", sequence=0, box_at=[2.5, 48.8]))
    )
    assert (rnd.round_id, rnd.site, rnd.mode, rnd.name) == ("T07", "pantin", "foot", "Centre")
    assert rnd.line == ((2.4, 48.9), (2.41, 48.9))
    assert [(s.stop_id, s.delivery_point_id, s.box_at) for s in rnd.stops] == [
        ("st-0", "dp-1", (48.8, 2.5)),
        ("st-1", "dp-1", None),
    ]


def test_written_rounds_read_back_the_same():
    stops = [
        Stop("a", 48.9, 2.4, side="left", delivery_point_id="dp-a", address="1 Rue de l'Été", sequence=1),
        Stop("b", 48.9012345, 2.4, delivery_point_id="dp-b", sequence=2, box_at=(48.91, 2.41)),
    ]
    rounds = [Round("T01", [(2.4, 48.9), (2.4, 48.91)], stops, site="pantin", mode="bike", name="Été")]
    assert read_rounds_geojson(write_rounds_geojson(rounds)) == rounds


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("{", "line 1", "this is not JSON"),
        ("[" * 100_000, "file", "nested too deeply"),
        ("[]", "file", "not a GeoJSON FeatureCollection"),
        (collection(), "file", "no LineString"),
        (collection("x"), "feature 1", "no geometry"),
        (collection(LINE), "feature 1", "round T07 has no stops."),
        (collection(LINE, changed(POINT, kind="Polygon")), "feature 2", "a Polygon means nothing here"),
        (collection(LINE, LINE, POINT), "feature 2", "round T07 has a line already (feature 1)."),
        (collection(LINE, changed(POINT, round_id="T99")), "feature 2", "round T99 has no LineString"),
        (collection(LINE, changed(POINT, sequence=None)), "feature 2", "sequence is None"),
        (collection(LINE, changed(POINT, sequence=1.5)), "feature 2", "sequence is 1.5"),
        (collection(LINE, changed(POINT, delivery_point_id=None)), "feature 2", "delivery_point_id is missing."),
        (collection(LINE, changed(POINT, coordinates=[48.9])), "feature 2", "[longitude, latitude]"),
        (collection(changed(LINE, coordinates=[[2.4, 48.9]]), POINT), "feature 1", "two positions"),
        (collection(changed(LINE, mode="boat"), POINT), "feature 1", "mode is boat"),
        (collection(changed(LINE, coordinates=[[2.4, 48.9], [200, 3]]), POINT), "feature 1", "cannot be a real place"),
    ],
)
def test_mistake_in_a_geojson_is_one_sentence_with_its_feature(text, where, reason):
    with pytest.raises(BadFile) as caught:
        read_rounds_geojson(text)
    assert caught.value.where == where
    assert reason in caught.value.reason
