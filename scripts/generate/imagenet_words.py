#!/usr/bin/env python3
"""Prints src/model/imagenet.tsv: the words of ImageNet's 1,000 classes, and the broader words above them.

    scripts/generate/imagenet_words.py SYNSETS [DATA_NOUN] > src/model/imagenet.tsv

SYNSETS    the 1,000 WordNet numbers (n01440764 ...), one a line, in the order of the networks' outputs (timm has this
           file as imagenet_synsets.txt)
DATA_NOUN  WordNet 3.0's nouns (default: /usr/share/wordnet/data.noun, of Debian's wordnet-base)

A line has the number, the word of the class, and the broader words, the narrowest first. Of WordNet's 860 broader
synsets only those in BROADER are used: words of everyday language (dog, vehicle, food), not those between them
(placental, instrumentality, commodity).
"""

import sys
from collections import Counter

# WordNet number -> the word that is shown.
BROADER = {
    "00015388": "animal", "00021939": "object", "03094503": "container", "03183080": "device", "03294048": "equipment", "03563967": "tool",
    "01861778": "mammal", "02084071": "dog", "02087551": "hound", "02092468": "terrier", "02101108": "spaniel",
    "02099029": "retriever", "02100399": "setter", "02104523": "sheepdog", "02113335": "poodle", "02109811": "sled dog", "02085374": "toy dog",
    "02112826": "corgi", "02111626": "spitz", "02096756": "schnauzer", "02106966": "pinscher", "02090827": "greyhound", "02115335": "wild dog",
    "01503061": "bird", "01844917": "water bird", "01525720": "songbird", "01529672": "finch", "01816887": "parrot", "01604330": "bird of prey",
    "01846331": "duck", "02008041": "heron", "02002075": "stork", "02021795": "seabird", "02022684": "shorebird", "01795088": "grouse", "01557185": "thrush",
    "02159955": "insect", "02164464": "beetle", "02274259": "butterfly", "02268148": "dragonfly", "01772222": "spider", "01976957": "crab",
    "01982650": "lobster", "01974773": "crustacean", "01942177": "snail", "01940736": "mollusk", "01661091": "reptile", "01726692": "snake",
    "01754876": "rattlesnake", "01753959": "viper", "01674464": "lizard", "01662784": "turtle", "01663401": "sea turtle", "01696633": "crocodile",
    "01627424": "amphibian", "01639765": "frog", "01629276": "salamander", "01630284": "newt", "02512053": "fish", "01482330": "shark", "01495701": "ray",
    "02120997": "cat", "02121808": "house cat", "02127808": "big cat", "02114100": "wolf", "02118333": "fox", "02131653": "bear", "02484322": "monkey",
    "02470325": "ape", "02496913": "lemur", "02329401": "rodent", "02324045": "rabbit", "02370806": "hoofed animal", "02374149": "horse", "02395003": "pig",
    "02402175": "cow", "02411206": "sheep", "02419796": "antelope", "02503517": "elephant", "02062744": "whale", "02441326": "weasel family",
    "04524313": "vehicle", "02958343": "car", "04490091": "truck", "02924116": "bus", "04520170": "van", "03684823": "locomotive", "02834778": "bicycle",
    "02858304": "boat", "04194289": "ship", "04128499": "sailboat", "04530566": "watercraft", "02686568": "aircraft", "04235291": "sled",
    "04543158": "wagon", "02970849": "cart", "03764276": "military vehicle", "04552696": "warship", "02959942": "railway car",
    "03800933": "musical instrument", "04586932": "wind instrument", "02891788": "brass instrument", "04338517": "stringed instrument",
    "03467517": "guitar", "03915437": "percussion instrument", "03614532": "keyboard instrument", "03928116": "piano",
    "03051540": "clothing", "03380867": "footwear", "03381126": "footwear", "04199027": "shoe", "03497657": "hat", "02954340": "cap", "03502509": "headgear",
    "03057021": "coat", "03450516": "gown", "04230808": "skirt", "04371563": "swimwear", "03815615": "tie", "04370048": "sweater", "04143897": "scarf",
    "02739668": "armor", "03513137": "helmet", "03725035": "mask", "03540267": "socks",
    "03405725": "furniture", "03001627": "chair", "04379243": "table", "02766320": "crib", "04161981": "seat", "03636248": "lamp", "04263760": "lamp",
    "02913152": "building", "03544360": "house", "03259505": "dwelling", "02898711": "bridge", "03953416": "place of worship", "04202417": "shop",
    "03327234": "fence", "04105068": "roof", "03743902": "monument", "04187547": "shed", "04417809": "theater", "03074380": "column", "04341686": "structure",
    "07555863": "food", "00021265": "food", "13134947": "fruit", "07705931": "fruit", "07707451": "vegetable", "07679356": "bread", "07609840": "dessert",
    "07881800": "drink", "07557434": "meal", "07695965": "sandwich", "07715561": "squash", "07747055": "citrus fruit", "12992868": "mushroom",
    "11669921": "flower", "00017222": "plant",
    "04451818": "tool", "04565375": "weapon", "03467984": "gun", "03623556": "knife", "03621049": "kitchen utensil", "03528263": "appliance",
    "02729837": "appliance", "03082979": "computer", "03985232": "laptop", "04401088": "telephone", "02942699": "camera", "03046257": "clock", "04437953": "timepiece",
    "03278248": "electronics", "02778669": "ball", "04285146": "sports equipment", "03414162": "game equipment", "03964744": "toy", "02876657": "bottle",
    "02773037": "bag", "02883344": "box", "02801938": "basket", "03990474": "pot", "02880940": "bowl", "03438257": "glass", "03593526": "jar",
    "04381994": "tableware", "03309808": "fabric", "04459362": "towel", "03151077": "curtain", "03714235": "makeup", "04447443": "toiletries",
    "03733925": "measuring instrument", "03852280": "optical instrument", "03906997": "pen", "04574999": "wheel", "03699975": "machine",
    "09287968": "landscape", "09359803": "mountain", "09433442": "shore", "00007846": "person", "03682487": "lock", "03323703": "fastener",
    "04151581": "screen", "04404412": "television", "03880531": "pan", "03862676": "oven", "04253437": "snow", "04099429": "rocket",
}
# Classes for which another word than WordNet's first one is shown.
NAMES = {
    "n02012849": "crane (bird)", "n03126707": "crane (machine)", "n03710637": "maillot", "n03710721": "one-piece swimsuit", "n02113023": "Pembroke Welsh corgi",
    "n02113186": "Cardigan Welsh corgi", "n04037443": "race car", "n04238763": "slide rule", "n04243546": "slot machine", "n02389026": "sorrel horse",
    "n02979186": "cassette player", "n04152593": "computer screen", "n04392985": "tape player", "n03709823": "mailbag", "n01755581": "diamondback rattlesnake",
    "n04376876": "syringe", "n02169497": "leaf beetle", "n04344873": "studio couch", "n02666196": "abacus", "n03777754": "modem", "n04228054": "ski",
    "n04254777": "sock", "n04356056": "sunglasses", "n04355933": "sunglass", "n02123159": "tiger cat", "n04540053": "volleyball", "n03532672": "hook",
    "n04525305": "vending machine", "n07860988": "dough", "n09193705": "alp", "n02704792": "amphibious vehicle", "n04111531": "rotisserie",
}


def nouns(path):
    """Number to (words, numbers above)."""
    found = {}
    for line in open(path, encoding="latin-1"):
        if line.startswith("  "):
            continue
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words, rest = fields[4:4 + 2 * count:2], fields[4 + 2 * count:]
        pointers = [rest[1 + 4 * i:5 + 4 * i] for i in range(int(rest[0]))]
        found[fields[0]] = words, [number for kind, number, *_ in pointers if kind in ("@", "@i")]
    return found


def above(nouns, number):
    """All that is above."""
    ups = nouns[number][1]
    return set(ups).union(*(above(nouns, up) for up in ups))


def main():
    synsets = open(sys.argv[1]).read().split()
    known = nouns(sys.argv[2] if len(sys.argv) > 2 else "/usr/share/wordnet/data.noun")
    assert len(synsets) == 1000
    names = [NAMES.get(synset, known[synset[1:]][0][0].replace("_", " ")) for synset in synsets]
    assert len(set(names)) == 1000, [name for name in names if names.count(name) > 1]
    broader = [{BROADER[number] for number in above(known, synset[1:]) if number in BROADER} for synset in synsets]
    classes = Counter(word for words in broader for word in words)
    for synset, name, words in zip(synsets, names, broader):
        ordered = sorted(words - {name}, key=lambda word: (classes[word], word))
        print(synset, name, ", ".join(ordered), sep="\t")


main()
