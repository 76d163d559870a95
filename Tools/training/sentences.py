"""Sentences that people might say, from a grammar of our own over common words, a share of rare words, numbers,
dates and times. No text is taken from anywhere."""

import gzip
import json
import random

NOUNS = """time year day way man thing woman life child world school state family student group country problem hand
part place case week company system program question work night point home water room mother area money story fact month
lot right book eye job word business issue side kind head house service friend father power hour game line end member law
car city name team minute idea body back parent face level office door health person art war history party result change
morning reason research girl guy food teacher air light force boy age policy music dog cat tree garden river mountain
road street table chair window kitchen bread cheese apple orange letter paper pencil phone computer picture camera radio
song dance bird horse cow sheep fish flower grass leaf stone bridge boat ship train bus plane bicycle ticket station
market shop coat shirt shoe hat bag box key clock watch lamp bed bottle cup glass plate knife spoon fork soup cake sugar
salt coffee tea milk butter egg rain snow wind cloud sun moon star summer winter spring autumn sea beach island forest
field farm village town castle church hospital library museum theater park doctor nurse farmer driver writer painter
singer soldier king queen brother sister uncle aunt cousin baby neighbor guest""".split()
PLACES = """the park|the city|the kitchen|the garden|school|the office|the station|the river|the mountains|the village|the
library|the market|the beach|the hospital|the museum|the forest|London|Paris|the north|the south|the house next door|the old
bridge|the top of the hill|the end of the street|the other side of the road""".replace(
    "\n", " "
).split(
    "|"
)
NAMES = (
    """Anna Tom Mary John Peter Sarah David Laura James Emma Paul Alice Robert Julia Henry Kate George Lucy Martin Helen
Jack Susan Frank Nora Oscar Clara Simon Ruth Daniel Grace""".split()
)
ADJECTIVES = (
    """good new first last long great little own other old right big high different small large next early young
important few public bad same able free sure better strong whole clear white black red blue green yellow brown easy hard
simple quick slow warm cold hot cool dry wet clean dirty full empty open closed happy sad angry tired hungry quiet loud
bright dark soft heavy light deep short tall wide narrow cheap expensive rich poor safe dangerous fresh sweet sour bitter
beautiful strange famous friendly kind gentle brave clever lazy busy careful ready sick healthy round flat sharp smooth
rough thick thin useful wonderful terrible perfect broken lucky nervous proud serious silent wooden golden ancient
modern""".split()
)
TRANSITIVE = """see|sees|saw;find|finds|found;give|gives|gave;tell|tells|told;call|calls|called;need|needs|needed;
leave|leaves|left;keep|keeps|kept;show|shows|showed;hear|hears|heard;bring|brings|brought;write|writes|wrote;
lose|loses|lost;pay|pays|paid;meet|meets|met;learn|learns|learned;change|changes|changed;watch|watches|watched;
follow|follows|followed;open|opens|opened;close|closes|closed;build|builds|built;buy|buys|bought;sell|sells|sold;
break|breaks|broke;clean|cleans|cleaned;wash|washes|washed;cook|cooks|cooked;eat|eats|ate;drink|drinks|drank;
read|reads|read;paint|paints|painted;carry|carries|carried;catch|catches|caught;throw|throws|threw;hold|holds|held;
pull|pulls|pulled;push|pushes|pushed;love|loves|loved;like|likes|liked;want|wants|wanted;remember|remembers|remembered;
forget|forgets|forgot;understand|understands|understood;choose|chooses|chose;draw|draws|drew;fix|fixes|fixed;
help|helps|helped;send|sends|sent;steal|steals|stole;visit|visits|visited;wear|wears|wore;touch|touches|touched;
study|studies|studied;enjoy|enjoys|enjoyed;answer|answers|answered"""
INTRANSITIVE = """go|goes|went;come|comes|came;sit|sits|sat;stand|stands|stood;wait|waits|waited;run|runs|ran;walk|walks|walked;
sleep|sleeps|slept;laugh|laughs|laughed;cry|cries|cried;sing|sings|sang;dance|dances|danced;swim|swims|swam;
play|plays|played;work|works|worked;live|lives|lived;arrive|arrives|arrived;travel|travels|traveled;smile|smiles|smiled;
stay|stays|stayed;fall|falls|fell;grow|grows|grew;return|returns|returned;speak|speaks|spoke;listen|listens|listened"""
ADVERBS = (
    """quickly slowly quietly loudly often never always sometimes usually really almost already again soon together
early late today tomorrow yesterday carefully easily happily suddenly gently outside inside alone finally nearly
everywhere""".split()
)
TIMES = """in the morning|in the evening|at night|every day|last week|next year|on Monday|on Friday|on Sunday|after
dinner|before breakfast|at noon|all day|for an hour|two days ago|this afternoon|in the summer|in winter|at the weekend|once a
week|a long time ago|from time to time|at the same time|as soon as possible""".replace("\n", " ").split("|")
SUBJECTS = "I you we they".split()
SINGULAR = "he she it".split()
ONES = (
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen""".split()
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
MONTHS = "January February March April May June July August September October November December".split()
ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
fifteenth sixteenth seventeenth eighteenth nineteenth twentieth""".split()
PATTERNS = """{S} {v} {NP}.|{s} {vs} {NP}.|{s} {vp} {NP} {time}.|{S} {ip} to {place} {time}.|{NP} is {adj}.|{NP} was {adj}
and {adj}.|{NP} and {NP} are {adj}.|Is {np} {adj}?|Where is {np}?|Who {vp} {np}?|Why did {s} {v} {np}?|How much is {np}?|
When will {s} {v} {np}?|What did {s} {v} in {place}?|Can you {v} {np} for me?|Could {s} {v} {np}, please?|Please {v} {np}
{time}.|Do not {v} {np}.|Let us {i} in {place}.|There is {a} {n} in {place}.|There are {num} {ns} on the {n}.|I think {s}
{vs} {np}.|I do not know where {np} is.|{name} {ip} {adv}.|{name} and {name} {ip} to {place}.|{name} {vp} {np}, but {s}
{vp} {np}.|If {s} {vs} {np}, we will {v} {np}.|When {s} {ip} to {place}, it was {adj}.|{S} {v} {np} because {s} {is}
{adj}.|The {adj} {n} of {name} is {adj}.|It is {num} o'clock.|The meeting is on {date}.|{name} is {num} years old.|The
train leaves at {clock}.|It costs {num} dollars.|My {n} {vp} {np} {adv}.|Our {n} is more {adj} than your {n}.|This is the
{ord} {n}.|That {n} looks very {adj}.|{S} {have} never {ip2} {np}.|What {a} {adj} {n}!|{Adv}, {np} {ip}.|I would like {a}
{n} and {a} {n}.|You should {v} {np} {time}.|{s} will {i} {time}.|We have {num} {ns} and {num} {ns}.|Nobody {vp} {np}.|
Everyone {vs} {np}.|Some {ns} are {adj}, others are {adj}.|{rare} is {a} {rare2} word.|The {rare} {n} was {adj}.|{s} {vp} the
{rare}.|Do you know what {rare} means?|The {rare} and the {rare2} are {adj}.""".replace(
    "\n", " "
).split(
    "|"
)


def number(draw):
    """0 to 999 in words."""
    value = draw.choice([draw.randrange(20), draw.randrange(100), draw.randrange(1000)])
    return spelled(value)


def spelled(value):
    if value >= 100:
        rest = value % 100
        return ONES[value // 100] + " hundred" + (" and " + spelled(rest) if rest else "")
    if value >= 20:
        return TENS[value // 10 - 2] + (" " + ONES[value % 10] if value % 10 else "")
    return ONES[value]


def plural(noun):
    irregular = {"man": "men", "woman": "women", "child": "children", "person": "people", "life": "lives"}
    irregular |= {"sheep": "sheep", "fish": "fish", "leaf": "leaves", "knife": "knives"}
    if noun in irregular:
        return irregular[noun]
    if noun[-1] == "y" and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


class Grammar:
    """Draws sentences; `lexicon` is a list of rare words, each used about as often as the others."""

    def __init__(self, lexicon, seed):
        self.draw, self.lexicon = random.Random(seed), lexicon
        self.verbs = [entry.strip().split("|") for entry in TRANSITIVE.split(";")]
        self.moves = [entry.strip().split("|") for entry in INTRANSITIVE.split(";")]

    def noun_phrase(self):
        draw = self.draw
        noun = draw.choice(NOUNS)
        if draw.random() < 0.1:
            return draw.choice(NAMES)
        adjective = draw.choice(ADJECTIVES) + " " if draw.random() < 0.45 else ""
        kind = draw.choice(["the", "the", "a", "my", "your", "his", "her", "our", "this", "that"])
        if kind == "a":
            kind = self.article(adjective or noun)
        return f"{kind} {adjective}{noun}"

    @staticmethod
    def article(word):
        return "an" if word[0] in "aeiou" and not word.startswith(("uni", "use")) or word.startswith("hour") else "a"

    def sentence(self):
        draw = self.draw
        text = draw.choice(PATTERNS)
        while "{" in text:
            start = text.rindex("{")
            end = text.index("}", start)
            text = text[:start] + self.fill(text[start + 1 : end], text[end + 1 :]) + text[end + 1 :]
        text = " ".join(text.split())
        return text[0].upper() + text[1:]

    def fill(self, key, after):
        draw = self.draw
        match key:
            case "S":
                return draw.choice(SUBJECTS)
            case "s":
                return draw.choice(SINGULAR + NAMES[:10])
            case "v" | "vs" | "vp":
                return draw.choice(self.verbs)[["v", "vs", "vp"].index(key)]
            case "i" | "ip":
                return draw.choice(self.moves)[["i", "", "ip"].index(key)]
            case "ip2":
                return draw.choice(["found", "lost", "bought", "met", "heard", "read", "built", "visited"])
            case "NP" | "np":
                return self.noun_phrase()
            case "a":
                return self.article(after.split()[0]) if after.split() else "a"
            case "n":
                return draw.choice(NOUNS)
            case "ns":
                return plural(draw.choice(NOUNS))
            case "adj":
                return draw.choice(ADJECTIVES)
            case "adv" | "Adv":
                return draw.choice(ADVERBS)
            case "is":
                return "is"
            case "have":
                return "have"
            case "num":
                return number(draw)
            case "ord":
                return draw.choice(ORDINALS)
            case "date":
                return f"the {draw.choice(ORDINALS)} of {draw.choice(MONTHS)}"
            case "clock":
                return (
                    f"{ONES[draw.randrange(1, 13)]} {draw.choice(['fifteen', 'thirty', 'forty five', 'ten', 'twenty'])}"
                )
            case "name":
                return draw.choice(NAMES)
            case "place":
                return draw.choice(PLACES)
            case "time":
                return draw.choice(TIMES)
            case "rare" | "rare2":
                return draw.choice(self.lexicon)
            case _:
                raise KeyError(key)


def sentences(assets, count, seed=1):
    """`count` different sentences; `assets` holds the main voice's lexicon."""
    lexicon = json.load(gzip.open(assets / "lexicon_us_gold.json.gz"))
    words = sorted(
        word for word in lexicon if word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 10
    )
    grammar, found = Grammar(words, seed), {}
    while len(found) < count:
        text = grammar.sentence()
        if 8 <= len(text) <= 90:
            found[text] = None
    return list(found)
