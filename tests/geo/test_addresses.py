"""Addresses as text: what people write is understood, and what is written fits the norm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.addresses import Address, city_key, format_lines, normalise_street, one_line, parse, street_key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 bis rue de la Paix, 93140 Bondy", Address(12, "BIS", "rue de la Paix", "93140", "Bondy")),
        ("12, rue Neuve, 93140 Bondy", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("12 R DE LA PAIX 93140 BONDY", Address(12, None, "R DE LA PAIX", "93140", "BONDY")),
        (
            "12B Av. du Gal de Gaulle 01000 BOURG CEDEX 2",
            Address(12, "B", "Av. du Gal de Gaulle", "01000", "BOURG CEDEX 2"),
        ),
        ("12 A rue du Four, Ajaccio", Address(12, "A", "rue du Four", None, "Ajaccio")),
        ("11 Rue du Fort 11800", Address(11, None, "Rue du Fort", "11800", None)),
        ("3 quater l'Orée 20167 Afa", Address(3, "QUATER", "l'Orée", "20167", "Afa")),
        ("5 à 7 rue Neuve 20000 Ajaccio", Address(5, None, "rue Neuve", "20000", "Ajaccio")),
        ("8 Mai 1945 93140 Bondy", Address(None, None, "8 Mai 1945", "93140", "Bondy")),
        ("rue du 8 mai 1945, Bondy", Address(None, None, "rue du 8 mai 1945", None, "Bondy")),
        ("1 rue d'Aulnay 93140 L\u2019Île-Saint-Denis", Address(1, None, "rue d'Aulnay", "93140", "L'Île-Saint-Denis")),
        ("93140 Bondy", Address(None, None, None, "93140", "Bondy")),
        ("13 Rue des Cités Audincourt", Address(13, None, "Rue des Cités Audincourt")),
        ("", Address()),
        (
            "Apt 3, Rés. Bleue, 12 bis, rue Neuve, 93140 Bondy",
            Address(12, "BIS", "rue Neuve", "93140", "Bondy", lines=("Apt 3", "Rés. Bleue")),
        ),
    ],
)
def test_one_line_addresses_are_taken_apart(text, expected):
    assert parse(text) == expected


def test_lines_of_the_norm_are_taken_apart():
    lines = [
        "Mme Rose Petit",
        "Appt 3 Escalier B",
        "Résidence des Lilas",
        "3 ter bd St Michel",
        "BP 12",
        "75005 PARIS CEDEX 05",
        "FRANCE",
    ]
    expected = Address(3, "TER", "bd St Michel", "75005", "PARIS CEDEX 05", lines=tuple(lines[:3]), place="BP 12")
    assert parse(lines) == expected
    assert parse("\n".join(lines)) == expected


def test_lines_without_a_street_keep_everything():
    address = parse(["Ferme Dubois", "Le Bourg", "48130 AUMONT AUBRAC"])
    assert (address.street, address.lines, address.city) == ("Le Bourg", ("Ferme Dubois",), "AUMONT AUBRAC")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Av du Mal de Lattre de Tassigny", "AVENUE DU MARECHAL DE LATTRE DE TASSIGNY"),
        ("bd. St-Michel", "BOULEVARD SAINT MICHEL"),
        ("Rue de l\u2019Œuvre", "RUE DE L OEUVRE"),
        ("R DU DR ROUX", "RUE DU DOCTEUR ROUX"),
        ("Rue du Premier Mai", "RUE DU 1ER MAI"),
        ("2ème avenue", "2E AVENUE"),
        ("Gde Rue", "GDE RUE"),
        ("", ""),
    ],
)
def test_street_labels_have_one_full_form(text, expected):
    assert normalise_street(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rue des Fleurs", "R. FLEURS"),
        ("Avenue du Général de Gaulle", "av gal de gaulle"),
        ("Place du Onze Novembre 1918", "Pl du 11 novembre 1918"),
        ("Rue de l'Été", "RUE DE L ETE"),
        ("Allée Ste-Barbe", "all Sainte Barbe"),
    ],
)
def test_two_spellings_of_a_street_compare_equal(one, other):
    assert street_key(one) == street_key(other)


def test_communes_compare_without_cedex_saints_and_articles():
    assert city_key("ST OUEN CEDEX 3") == city_key("Saint-Ouen")
    assert city_key("L'Île-Saint-Denis") == city_key("ILE ST DENIS")


def test_lines_are_written_by_the_norm():
    address = Address(12, "BIS", "rue de l'Œuvre", "93140", "Bondy", lines=("Mme Petit", "Appt 3"), place="BP 7")
    assert format_lines(address) == ["Mme Petit", "Appt 3", "12 BIS RUE DE L OEUVRE", "BP 7", "93140 BONDY"]


def test_street_type_is_shortened_only_when_the_label_is_over_32_characters():
    fits, long = "Boulevard des Combattants d'Indo", "Boulevard des Combattants d'Indochine"
    assert len(normalise_street(fits)) == 32
    assert format_lines(Address(1, None, fits))[0] == "1 BOULEVARD DES COMBATTANTS D INDO"
    assert format_lines(Address(1, None, long))[0] == "1 BD DES COMBATTANTS D INDOCHINE"


def test_one_line_reads_as_people_write():
    assert one_line(Address(12, "BIS", "Rue Neuve", "93140", "Bondy")) == "12 bis Rue Neuve, 93140 Bondy"
    assert one_line(Address(12, "B", "Rue Neuve", None, "Bondy")) == "12 B Rue Neuve, Bondy"


@given(text=st.text(max_size=200))
def test_any_text_can_be_parsed_and_written_within_the_norm(text):
    lines = format_lines(parse(text))
    assert len(lines) <= 6
    assert all(len(line) <= 38 and line == line.rstrip() for line in lines)


@given(text=st.text(max_size=80))
def test_normalising_twice_changes_nothing_in_capitals(text):
    assert normalise_street(text) == normalise_street(text).upper()
    assert street_key(text) == street_key(text.upper().lower())


@given(
    number=st.integers(1, 8999),
    mark=st.sampled_from([None, "BIS", "TER", "QUATER"]),
    street=st.sampled_from(["Rue de la Paix", "Avenue du Général de Gaulle", "Chemin des Vignes", "Impasse d'Alsace"]),
    place=st.sampled_from([("01000", "Bourg-en-Bresse"), ("93450", "L'Île-Saint-Denis"), ("20000", "Ajaccio")]),
)
def test_what_was_written_reads_back_as_the_same_address(number, mark, street, place):
    address = Address(number, mark, street, *place)
    assert parse(one_line(address)) == address
    back = parse(format_lines(address))
    assert (back.house_number, back.repetition, back.postcode) == (number, mark, place[0])
    assert (street_key(back.street), city_key(back.city)) == (street_key(street), city_key(place[1]))
