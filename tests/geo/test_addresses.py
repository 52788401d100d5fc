"""Addresses as text: what people write is understood, and what is written fits the norm."""

import re

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
        ("93140 Bondy, 12 rue Neuve", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("93140 Bondy 12 rue Neuve", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("Bondy, 12 rue Neuve", Address(12, None, "rue Neuve", None, "Bondy")),
        ("12 rue Neuve, Bondy, 93140", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("rue Neuve 12, 93140 Bondy", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("rue Neuve n° 12 bis, 93140 Bondy", Address(12, "BIS", "rue Neuve", "93140", "Bondy")),
        ("Rue Neuve, 12, 93140 Bondy", Address(12, None, "Rue Neuve", "93140", "Bondy")),
        ("Route Nationale 9, 48000 Mende", Address(None, None, "Route Nationale 9", "48000", "Mende")),
        ("12-14 rue Neuve 93140 Bondy", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("12-b, rue Neuve, 93140 Bondy", Address(12, "B", "rue Neuve", "93140", "Bondy")),
        ("2e avenue, 06510 Carros", Address(None, None, "2e avenue", "06510", "Carros")),
        ("3 L OREE 93140 BONDY", Address(3, None, "L OREE", "93140", "BONDY")),
        ("18 D Chemin Vert, 05000 Gap", Address(18, "D", "Chemin Vert", "05000", "Gap")),
        ("1200 chemin des Vignes, Gap", Address(1200, None, "chemin des Vignes", None, "Gap")),
        ("12 rue Neuve 93140 Bondy FRANCE", Address(12, None, "rue Neuve", "93140", "Bondy")),
        ("12 rue de Belgique, 90000 Belfort", Address(12, None, "rue de Belgique", "90000", "Belfort")),
        (
            "Résidence X 12 rue Neuve 93140 Bondy",
            Address(12, None, "rue Neuve", "93140", "Bondy", lines=("Résidence X",)),
        ),
        (
            "3e étage, Porte 3, 12 rue Neuve, 93140 Bondy",
            Address(12, None, "rue Neuve", "93140", "Bondy", lines=("3e étage", "Porte 3")),
        ),
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
        ("Gde Rue", "GRANDE RUE"),
        ("RD 26", "ROUTE DEPARTEMENTALE 26"),
        ("St Michel", "SAINT MICHEL"),
        ("Route du Col de Vence", "ROUTE DU COL DE VENCE"),
        ("Rue des Prés", "RUE DES PRES"),
        ("Rue du Col. Fabien", "RUE DU COLONEL FABIEN"),
        ("Psg Choiseul", "PASSAGE CHOISEUL"),
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
        ("Grand'Rue", "GDE RUE"),
        ("Rue des Quatre Vents", "r. des 4 vents"),
        ("Rue du Dixième Régiment", "Rue du 10e Régiment"),
        ("Rue Henri IV", "rue Henri Quatre"),
        ("Rue Mademoiselle Bourgeois", "rue mlle bourgeois"),
    ],
)
def test_two_spellings_of_a_street_compare_equal(one, other):
    assert street_key(one) == street_key(other)


def test_communes_compare_without_cedex_saints_and_articles():
    assert city_key("ST OUEN CEDEX 3") == city_key("Saint-Ouen")
    assert city_key("L'Île-Saint-Denis") == city_key("ILE ST DENIS")


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("Rue de la Loi 16, 1000 Bruxelles, Belgique", "BELGIQUE"),
        ("12 rue Haute 1000 Bruxelles Belgique", "BELGIQUE"),
        ("10 rue du Rhône\nCH-1204 Genève", "CH"),
        ("Hauptstraße 5\n10115 Berlin\nDeutschland", "DEUTSCHLAND"),
        ("12 rue Neuve, 93140 Bondy, France", None),
        ("12 rue de Suisse", None),
    ],
)
def test_address_abroad_names_its_country(text, country):
    assert parse(text).country == country


def test_line_above_the_street_that_is_too_long_goes_on_in_the_next_one():
    address = Address(
        1, None, "rue Neuve", "93140", "Bondy", lines=("Madame la directrice de la Résidence des Trois Tilleuls",)
    )
    assert format_lines(address) == [
        "Madame la directrice de la Résidence",
        "des Trois Tilleuls",
        "1 RUE NEUVE",
        "93140 BONDY",
    ]


def test_long_town_is_shortened_to_fit_its_line():
    town = Address(1, None, "rue Neuve", "51290", "Saint-Remy-en-Bouzemont-Saint-Genest-et-Isson")
    assert len(format_lines(town)[-1]) <= 38


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


PIECES = st.sampled_from(
    [
        "12",
        "bis",
        "rue",
        "de la",
        "Paix",
        ",",
        "\n",
        "93140",
        "Bondy",
        "CEDEX",
        "BP 12",
        "1000",
        "Belgique",
        "é",
        "\ud800",
        "\0",
        "(",
        "n°",
        "-",
    ]
)
SURROGATES_TOO = st.text(st.characters(), max_size=200) | st.lists(PIECES, max_size=30).map(" ".join)


@given(text=SURROGATES_TOO | st.lists(SURROGATES_TOO, max_size=9))
def test_any_text_can_be_parsed_and_written_within_the_norm(text):
    address = parse(text)
    lines = format_lines(address)
    assert len(lines) <= 6
    assert all(0 < len(line) <= 38 and line == line.strip() for line in lines)
    above = len(format_lines(Address(lines=address.lines)))
    assert all(re.fullmatch("[A-Z0-9 ]+", line) for line in lines[above:])
    "".join(lines).encode()


@given(
    number=st.none() | st.integers(-5, 10**9),
    street=st.text(max_size=90),
    city=st.text(max_size=90),
    above=st.lists(st.text(max_size=60), max_size=6),
)
def test_any_address_can_be_written_within_the_norm(number, street, city, above):
    lines = format_lines(Address(number, "BIS", street, "01000", city, lines=tuple(above), place=street))
    assert len(lines) <= 6
    assert all(0 < len(line) <= 38 for line in lines)


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
