"""The classes of CIFAR-100, from the 100 fine ones up to living or not.

The first two levels are the data set's own (https://www.cs.toronto.edu/~kriz/cifar.html;
Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009), in its own
alphabetical order; the two above group its superclasses and are this book's.
"""

from __future__ import annotations

COARSE: dict[str, tuple[str, ...]] = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}

SEVEN: dict[str, tuple[str, ...]] = {
    "mammals": (
        "aquatic_mammals",
        "small_mammals",
        "medium_mammals",
        "large_carnivores",
        "large_omnivores_and_herbivores",
    ),
    "other_animals": ("fish", "reptiles", "insects", "non-insect_invertebrates"),
    "people": ("people",),
    "plants": ("flowers", "fruit_and_vegetables", "trees"),
    "household": ("food_containers", "household_electrical_devices", "household_furniture"),
    "outdoors": ("large_man-made_outdoor_things", "large_natural_outdoor_scenes"),
    "vehicles": ("vehicles_1", "vehicles_2"),
}

LIVING: dict[str, tuple[str, ...]] = {
    "living": ("mammals", "other_animals", "people", "plants"),
    "not_living": ("household", "outdoors", "vehicles"),
}
