"""Words of the fictional town: street kinds and names, and people who do not exist."""

SMALL_KINDS = ("Rue", "Chemin", "Allée", "Sente", "Passage", "Ruelle")
LARGE_KINDS = ("Avenue", "Boulevard", "Cours")

STREET_NAMES = tuple(
    line.strip()
    for line in """
    de l'Arve, des Tilleuls, du Vieux Moulin, de la Source, des Tanneurs, du Four à Pain, des Lavandières, du Lavoir, du Grand Pré,
    de la Combe, des Noisetiers, du Pressoir, des Vignes Hautes, du Belvédère, de la Scierie, des Bateliers, du Pont Neuf, des Trois Fontaines,
    de la Fruitière, des Alpages, du Clos Fleuri, de la Côte Rousse, des Muletiers, du Val Joli, des Marronniers, de la Gravière, du Glacis,
    des Hirondelles, du Rossignol, des Mésanges, du Grand Duc, de l'Écureuil, des Chamois, du Torrent, des Gentianes, des Bleuets, des Coquelicots,
    du Muguet, des Primevères, de la Bruyère, des Fougères, des Ormes, du Frêne, des Érables, du Cèdre, des Peupliers, de l'Aulnaie, de la Saulaie,
    des Charmilles, du Verger, des Pommiers, des Cerisiers, des Pruniers, du Poirier, de la Treille, des Semailles, des Moissons, de la Grange,
    du Chaume, de la Bergerie, de la Ferme Blanche, du Colombier, de la Tuilerie, des Potiers, des Tisserands, des Charrons, du Maréchal-Ferrant,
    des Cordeliers, de l'Horloge, du Beffroi, de la Halle, du Marché aux Grains, de l'Octroi, de la Barrière, du Relais, de la Diligence,
    de la Vieille Poste, du Télégraphe, de la Gare Haute, des Cheminots, de l'Aiguillage, de la Filature, de la Forge, des Horlogers, du Décolletage,
    de l'Écluse, du Déversoir, de la Passerelle, du Gué, de la Digue, des Galets, des Roseaux, du Martin-Pêcheur, de la Truite, de l'Étang,
    de la Clairière, du Bois Rond, de la Futaie, des Bûcherons, du Chêne Creux, de la Pierre Levée, de la Roche Fendue, du Calvaire, des Écoles,
    du Préau, de la Liberté, de la Paix, de la Concorde, de l'Amitié, du Progrès, de l'Avenir, du Levant, du Couchant, du Midi, de la Bise
    """.replace("\n", " ").split(",")
)

VILLAGES = (
    "Valmorin-le-Sec", "Craponnet-les-Bois", "Étrivière-sous-Bois", "Sainte-Ombeline", "Bourdignac-le-Pré", "Lanvoisin", "Morteferrand",
    "Saint-Évroux-des-Haies", "Pierrelongue-d'Arve", "Chantegrelle", "Vaucressonnet", "Haut-Bessonnet",
)  # fmt: skip

FIRST_NAMES = (
    "Adèle", "Agathe", "Alain", "Amina", "Anatole", "Basile", "Blanche", "Camille", "Céleste", "Clément", "Colette", "Denis", "Edmond", "Élise",
    "Fanny", "Farid", "Félix", "Gaëlle", "Gaston", "Hélène", "Hugo", "Inès", "Irène", "Joachim", "Joséphine", "Karim", "Laure", "Léon", "Lucie",
    "Madeleine", "Malik", "Marius", "Nadia", "Noé", "Odette", "Oscar", "Paulin", "Perrine", "Rachel", "Rémi", "Sabine", "Samir", "Solange", "Théo",
    "Ursule", "Valentin", "Violette", "Yann", "Yasmina", "Zélie",
)  # fmt: skip
SURNAMES = (
    "Aubépin", "Barbelet", "Bellerive", "Boisvert", "Brumeval", "Chantemerle", "Clairfont", "Combelle", "Courtebois", "Desarbres", "Dufournil",
    "Duruisseau", "Épinoy", "Fleurance", "Fontbonne", "Froidevent", "Gravelle", "Hautecombe", "Jolivoix", "Lafougère", "Lagrange-Noire", "Lanoisette",
    "Malroche", "Merlevent", "Montclair", "Moulinard", "Noirétang", "Orval", "Passereau", "Pierrebrune", "Pontarve", "Prévert-Combe", "Quatrepierre",
    "Ravinel", "Rivebelle", "Rochefleur", "Sapinière", "Sauvageon", "Sourdeval", "Taillefer", "Torrentin", "Trévoux", "Valbrune", "Verdelet",
    "Vieuxbourg", "Villepré",
)  # fmt: skip
