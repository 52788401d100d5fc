"""The register of processing in French; its English words are those of `fieldsvc/journal/register.py`. A test finds what is missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldsvc.journal.register import InUse, Standing, register
from fieldsvc.journal.retention import Kept, Purpose


@dataclass(frozen=True, slots=True)
class French:
    """What a purpose is called, what it rests on, what is kept, and who receives it."""

    name: str
    basis: str
    data: str
    recipients: str


@dataclass(frozen=True, slots=True)
class Said:
    """A purpose in words; `limits` are (table, how long)."""

    name: str
    basis: str
    data: str
    recipients: str
    limits: Sequence[tuple[str, str]]
    of_carriers: bool


OF_CARRIERS = frozenset(
    ("rounds", "planning of work", "who is calling", "who looked", "figures", "safety of rounds", "tracks", "journal")
)
FRENCH: Mapping[str, French] = {
    "journal": French(
        "journal",
        "contrat : ce qui a été fait pour une commande, et sa preuve pendant l'année des réclamations",
        "champs publics et internes de chaque événement ; identifiants et empreintes de ce qu'un téléphone a envoyé ; combien d'événements a eus une chose, et à qui elle est",
        "l'abonné dont c'est la commande ; l'exploitant",
    ),
    "orders": French(
        "commandes",
        "contrat : faire ce qui est commandé, et en répondre pendant un an",
        "champs personnels des événements ; histoire de chaque chose ; adresse, destinataire, contacts, mandats, notes, détails ; anciennes et nouvelles adresses ; ce qui a été dit et répondu dans un dossier ; idées et réponses ; noms, digicode et consignes d'un foyer, depuis qu'il les a confirmés ; carnet du point de distribution, avec ses digicodes, tant qu'il n'est pas remplacé ; empreintes des codes des avis de passage ; envois refusés, une fois réglés",
        "l'abonné dont c'est la commande ; le facteur du jour, sur sa feuille ; l'exploitant",
    ),
    "visits and medicines": French(
        "visites et médicaments",
        "contrat et consentement exprès : l'aide à domicile ; 90 jours, pour que la personne visitée puisse lire",
        "réponses, besoins et notes des visites ; qui a reçu un sachet ; histoire de chaque visite et de chaque sachet ; adresse, destinataire, contacts, questions, notes ; qui peut suivre quelle visite, par une empreinte ; quelle image va avec quelle visite",
        "l'abonné dont c'est la commande, habilité santé ; le facteur à la porte",
    ),
    "codes and door codes": French(
        "codes et digicodes",
        "contrat : vérifier qui demande un changement, et pouvoir entrer",
        "codes des lettres, codes de porte",
        "personne à l'extérieur",
    ),
    "proofs of registered mail": French(
        "preuves des recommandés",
        "obligation légale : arrêté du 7 février 2007 ; due pendant un an, même de qui a été effacé",
        "qui a accepté, quelle pièce a été montrée, signatures",
        "l'expéditeur ; l'exploitant",
    ),
    "what could not be taken": French(
        "ce qui n'a pas pu être pris",
        "contrat : rien de ce qu'un téléphone envoie n'est perdu avant que quelqu'un l'ait regardé",
        "l'envoi tel qu'il est arrivé, chiffré",
        "l'exploitant",
    ),
    "rounds": French(
        "tournées",
        "intérêt légitime : où en est une tournée, pour ses créneaux et la sécurité du facteur ; 61 jours au plus",
        "mètres parcourus sur la ligne prévue, sans lieu ; leur dernier état ; appels à l'aide ouverts, dont le lieu est chiffré dans le journal ; ce qu'un encadrant a dit à un facteur",
        "les encadrants de l'établissement",
    ),
    "planning of work": French(
        "organisation du travail",
        "contrat de travail : qui fait quelle tournée quel jour, et qui remplace",
        "le facteur d'une tournée et d'un jour ; les absents d'un jour : maladie, congé, formation, autre ; les remplacements proposés et leur durée ; la version de la feuille qu'un téléphone a montrée",
        "le facteur ; les encadrants de l'établissement ; l'exploitant",
    ),
    "notices": French(
        "avis",
        "contrat : dire aux personnes ce qui arrive à leur courrier ; l'adresse et les mots sont oubliés dès l'envoi",
        "adresse, mots",
        "le serveur de courrier ou la passerelle de l'exploitant",
    ),
    "delivery changes": French(
        "changements de distribution",
        "contrat, et contre la fraude : un an de demandes compte quand la suivante est jugée",
        "ce qui a été demandé, par qui, nouvelle adresse ; moyens de joindre, une fois prouvés",
        "qui a demandé ; l'exploitant",
    ),
    "accounts of customers": French(
        "comptes des clients",
        "contrat : qui revient est reconnu ; oubliés sur simple demande, ou deux ans après la dernière visite",
        "courriel, chiffré ; empreintes du courriel et du nom que donne le fournisseur d'identité",
        "personne à l'extérieur",
    ),
    "answers of receivers": French(
        "réponses des destinataires techniques",
        "intérêt légitime : trouver pourquoi un envoi a échoué",
        "les 4 premiers Ko d'une réponse",
        "l'abonné dont c'est le point d'accès",
    ),
    "who is calling": French(
        "qui appelle",
        "contrat de travail, contrat : seul qui y a droit peut voir ou dire quelque chose",
        "facteur et établissement d'un téléphone ; nom, courriel, établissement et rôle d'un compte ; nom d'une clé d'API, et dernier jour où elle a servi ; qualifications d'un facteur ; empreintes des jetons, des liens, des codes, et de ce qui a été essayé en vain",
        "personne à l'extérieur ; l'exploitant",
    ),
    "who looked": French(
        "qui a regardé",
        "obligation légale : rendre compte ; un facteur peut lire qui a regardé son travail",
        "qui, quand, ce qui a été regardé ou fait, pourquoi",
        "le facteur, pour ce qui le concerne ; les auditeurs",
    ),
    "rights of persons": French(
        "droits des personnes",
        "obligation légale : accès, effacement, et la preuve des deux",
        "clés chiffrées ; date d'un effacement, sans nom ; référence d'un dossier",
        "la personne ; l'exploitant",
    ),
    "what people do not want": French(
        "ce que les gens ne veulent pas",
        "consentement : des messages d'un genre partent jusqu'à ce que quelqu'un dise non ; le non est gardé pour être tenu",
        "empreinte d'une adresse sous une clé du service ; genre de message",
        "personne à l'extérieur",
    ),
    "figures": French(
        "chiffres",
        "intérêt légitime : comment marche un service dans un établissement ; jamais par facteur",
        "sommes par mois, service et établissement ; une marque qui distingue les facteurs pendant un mois, et sa clé ; ce qui a été compté d'une chose",
        "encadrants et membres, à partir de cinq réponses de trois facteurs",
    ),
    "safety of rounds": French(
        "sécurité des tournées",
        "obligation légale : la sécurité des facteurs ; contrat : les créneaux menacés",
        "ce que quelqu'un doit regarder ; lieu et nature d'un danger ; quel créneau est menacé",
        "les encadrants de l'établissement ; les facteurs dont la tournée y passe",
    ),
    "pictures": French(
        "images",
        "contrat : la preuve de ce qui a été fait",
        "image réencodée et chiffrée, sans le lieu ni l'appareil",
        "qui peut voir l'événement qui la nomme",
    ),
    "tracks": French(
        "traces",
        "exception documentée de l'exploitant, coupée par défaut : FIELDSVC_KEEP_TRACKS_DAYS",
        "positions en service",
        "le facteur ; l'exploitant",
    ),
}
_LIMITS: Mapping[str, str] = {
    "as long as the carrier has a phone": "tant que le facteur a un téléphone",
    "as long as they may sign in": "tant que la personne peut se connecter",
    "as long as the carrier works at the site": "tant que le facteur travaille dans l'établissement",
    "a day after its end": "un jour après sa fin",
    "a day after it was made": "un jour après sa création",
    "an hour": "une heure",
    "13 months, whole months at a time": "13 mois, par mois entiers",
    "30 days after it was revoked": "30 jours après sa révocation",
    "until they want it again": "jusqu'à ce que la personne le veuille de nouveau",
    "one row": "une ligne",
    "for good: digests alone": "sans limite : des empreintes seulement",
    "until the person is erased": "jusqu'à l'effacement de la personne",
    "as long as the store": "aussi longtemps que le service",
    "as long as the store: nobody can be told from them": "aussi longtemps que le service : on n'y reconnaît personne",
    "until there is company; 7 days after the month": "jusqu'à ce qu'il y ait du monde ; 7 jours après le mois au plus",
    "60 days after the last word of it": "60 jours après le dernier mot",
    "7 days after the month": "7 jours après le mois",
    "60 days after somebody took it": "60 jours après la prise en compte",
    "60 days after its end": "60 jours après sa fin",
    "as long as its task": "aussi longtemps que sa mission",
    "as long as the event's sealed part; 7 days without one": "comme la partie chiffrée de l'événement ; 7 jours sans événement",
    "as many days as the operator set; 0 by default": "autant de jours que l'exploitant a fixé ; 0 par défaut",
}


def in_words(language: str) -> list[Said]:
    """List the purposes of the register in French or English, those about carriers first."""
    found = [_said(each, language) for each in register()]
    return sorted(found, key=lambda each: not each.of_carriers)


def limit_of(kept: Kept | InUse, language: str) -> str:
    """Say how long rows are kept."""
    if isinstance(kept, InUse):
        return _LIMITS[kept.limit] if language == "fr" else kept.limit
    if language == "en":
        return kept.limit
    return f"{kept.months} mois du calendrier" if kept.months else f"{kept.days} jour{'s' if kept.days > 1 else ''}"


def _said(purpose: Purpose | Standing, language: str) -> Said:
    limits = [(each.table, limit_of(each, language)) for each in purpose.tables]
    of_carriers = purpose.name in OF_CARRIERS
    if language == "fr":
        known = FRENCH[purpose.name]
        return Said(known.name, known.basis, known.data, known.recipients, limits, of_carriers)
    data = "; ".join(_each([field for kept in purpose.tables for field in kept.fields]))
    return Said(purpose.name, purpose.basis, data, "; ".join(purpose.recipients), limits, of_carriers)


def _each(words: Iterable[str]) -> Iterator[str]:
    """Yield each word once."""
    yield from dict.fromkeys(words)
