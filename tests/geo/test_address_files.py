"""The three forms of reference addresses; bad rows are told, never fatal."""

import pytest

from geo.address_files import AddressRow, BadRow, PostcodeRow, read_addresses, read_hexasmal, repair
from geo.errors import BadFile

BAN_HEADER = (
    "id;id_fantoir;numero;rep;nom_voie;code_postal;code_insee;nom_commune;code_insee_ancienne_commune;nom_ancienne_commune;x;y;"
    "lon;lat;type_position;alias;nom_ld;libelle_acheminement;nom_afnor;source_position;source_nom_voie;certification_commune;cad_parcelles"
)
BAN_ROW = (
    "01004_0018_00012_bis;01004_0018;12;bis;Rue Amédée Bonnet;01500;01004;Ambérieu-en-Bugey;;;882000.1;6541000.2;"
    "5.351;45.957;entrée;;;AMBERIEU EN BUGEY;RUE AMEDEE BONNET;commune;commune;1;"
)
EXPORT_HEADER = '"",' + ",".join(f'"{name}"' for name in BAN_HEADER.split(";"))
EXPORT_ROW = '"7","01004_0018_00003","",3,"","AllÃ©e de lâ€™Orme",1500,1004,"Ambérieu-en-Bugey",NA,NA,1,2,5.35,45.95,"",NA,NA,"X","Y","inconnue","inconnue",0,""'
BANO_ROW = "2A004A003J-1B,1BIS,Cours Napoléon,20000,Ajaccio,OSM,41.92,8.73"


def test_official_ban_csv_is_read():
    assert list(read_addresses([BAN_HEADER, BAN_ROW])) == [
        AddressRow(
            "01004_0018_00012_bis",
            12,
            "BIS",
            "Rue Amédée Bonnet",
            "01500",
            "Ambérieu-en-Bugey",
            "01004",
            45.957,
            5.351,
            "entrée",
        )
    ]


def test_comma_export_is_read_with_its_zeros_back_and_its_double_encoding_undone():
    (row,) = read_addresses(["\ufeff" + EXPORT_HEADER, EXPORT_ROW])
    assert (row.street, row.postcode, row.citycode) == ("Allée de l\u2019Orme", "01500", "01004")
    assert (row.repetition, row.position_kind) == (None, None)


def test_bano_is_read_without_a_header_and_its_commune_is_in_the_id():
    (row,) = read_addresses([BANO_ROW])
    assert row == AddressRow("2A004A003J-1B", 1, "BIS", "Cours Napoléon", "20000", "Ajaccio", "2A004", 41.92, 8.73)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("5.351;45.957", ";"), "the position is missing"),
        (("5.351;45.957", "0;0"), "cannot be a real place"),
        ((";12;bis", ";7&9;bis"), "the number is '7&9'."),
        ((";01500;", ";ABC;"), "the postcode is 'ABC'."),
        ((";Rue Amédée Bonnet;", ";;"), "the street or the commune is missing."),
        (("01004_0018_00012_bis;", ";"), "the id is missing."),
        ((";entrée;", ";"), "it has 22 columns and the header has 23."),
    ],
)
def test_bad_row_is_told_with_its_line_and_the_next_one_still_read(change, reason):
    bad, good = read_addresses([BAN_HEADER, BAN_ROW.replace(*change), BAN_ROW])
    assert isinstance(bad, BadRow)
    assert bad.line_no == 2
    assert reason in bad.reason
    assert isinstance(good, AddressRow)


def test_broken_quotes_and_nul_do_not_stop_the_import():
    rows = list(read_addresses([BANO_ROW, BANO_ROW.replace("Cours", "Co\0urs"), "x," + "y" * 200_000, BANO_ROW]))
    assert isinstance(rows[0], AddressRow)
    assert isinstance(rows[-1], AddressRow)
    assert [row.line_no for row in rows if isinstance(row, BadRow)][-1] == 3


def test_numbers_that_stand_for_none_are_none():
    (row,) = read_addresses([BAN_HEADER, BAN_ROW.replace(";12;bis", ";99999;")])
    assert row.house_number is None


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "the file is empty."),
        (["  "], "the file is empty."),
        (["name,street", "x,y"], "neither a BAN CSV"),
        (["numero;nom_voie;lon;lat"], "the BAN header lacks id, rep, code_postal"),
    ],
)
def test_file_of_another_form_is_one_sentence(lines, reason):
    with pytest.raises(BadFile) as caught:
        list(read_addresses(lines))
    assert reason in caught.value.reason


HEXASMAL = {
    2023: "code_commune_insee;nom_de_la_commune;code_postal;ligne_5;libelle_d_acheminement;coordonnees_geographiques",
    2021: "Code_commune_INSEE;Nom_commune;Code_postal;Ligne_5;Libellé_d_acheminement;coordonnees_gps",
    2024: "#Code_commune_INSEE;Nom_de_la_commune;Code_postal;Libellé_d_acheminement;Ligne_5",
}


@pytest.mark.parametrize("year", HEXASMAL)
def test_file_of_postcodes_is_read_whatever_its_year(year):
    cells = ["1053", "BOURG EN BRESSE", "1000", "BROU", "BOURG EN BRESSE CEDEX", "46.2,5.2"]
    if year == 2024:
        cells = [*cells[:3], cells[4], cells[3]]
    good, bad = read_hexasmal(["\ufeff" + HEXASMAL[year], ";".join(cells), ";".join(["x", *cells[1:]])])
    assert good == PostcodeRow("01053", "BOURG EN BRESSE", "01000", "BOURG EN BRESSE CEDEX", "BROU")
    assert isinstance(bad, BadRow)
    assert bad.line_no == 3


def test_file_without_the_columns_of_postcodes_is_one_sentence():
    with pytest.raises(BadFile, match="the header lacks postcode, line 5, label"):
        list(read_hexasmal(["code_insee;nom"]))


def test_text_that_was_encoded_once_is_left_alone():
    assert [repair(t) for t in ("Châtelet", "Ã", "Été", "Allée", "ThÃ©rÃ©se")] == [
        "Châtelet",
        "Ã",
        "Été",
        "Allée",
        "Thérése",
    ]


def test_real_files_are_read_whole(data_folder, note):
    if data_folder is None:
        test_official_ban_csv_is_read()
        return
    for name, rows in (
        ("ban_bondy/adresse_ban_bondy_93010.csv", 8413),
        ("bano/bano-90.csv", 35847),
        ("bano/bano-05.csv", 12994),
    ):
        with (data_folder / name).open(encoding="utf-8", newline="") as lines:
            read = list(read_addresses(lines))
        bad = [row for row in read if isinstance(row, BadRow)]
        note(f"{name}: {len(read)} rows, {len(bad)} bad {[row.reason for row in bad]}")
        assert len(read) == rows
        assert len(bad) <= 1
        assert not [row for row in read if isinstance(row, AddressRow) and "Ã" in row.street]
