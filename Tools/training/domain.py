"""The everyday domain: what the pocket chat model is asked, in every wording, and what it answers."""

# Questions whose recordings go into the bundle; none of them is held out.
DEMONSTRATED = [
    "What is the capital of France?",
    "What is your name?",
    "What color is the sky?",
    "What is the opposite of hot?",
    "What day comes after Monday?",
    "How many days are in a week?",
    "What is three plus four?",
    "What does the cat say?",
    "How do you spell cat?",
    "What is the capital of Japan?",
    "Good morning.",
    "What is the weather today?",
]

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SPELLED = "cat dog sun book tree house water apple green seven light river bread music".split()


def pairs(text):
    """`key=value, key=value` as a dictionary."""
    return dict(part.strip().split("=") for part in text.split(","))


CAPITALS = pairs("""
    France=Paris, Germany=Berlin, Italy=Rome, Spain=Madrid, England=London, Japan=Tokyo, China=Beijing,
    Russia=Moscow, Egypt=Cairo, Greece=Athens, Canada=Ottawa, India=New Delhi, Poland=Warsaw, Norway=Oslo,
    Sweden=Stockholm, Austria=Vienna, Portugal=Lisbon, Ireland=Dublin, Cuba=Havana, Peru=Lima, Kenya=Nairobi,
    Turkey=Ankara, Finland=Helsinki, Hungary=Budapest""")
COLORS = pairs("""
    the sky=blue, grass=green, snow=white, a banana=yellow, a tomato=red, coal=black, an orange=orange, blood=red,
    a lemon=yellow, milk=white, a leaf=green, the sun=yellow, chocolate=brown, the sea=blue, a frog=green,
    a carrot=orange""")
ANIMALS = pairs("""
    dog=woof, cat=meow, cow=moo, duck=quack, sheep=baa, pig=oink, lion=roar, snake=hiss, bird=tweet, horse=neigh,
    bee=buzz, frog=croak""")
OPPOSITES = pairs("""
    hot=cold, big=small, up=down, left=right, day=night, black=white, good=bad, fast=slow, old=young, happy=sad,
    open=closed, light=dark, tall=short, rich=poor, early=late, hard=soft, loud=quiet, wet=dry, full=empty,
    clean=dirty, strong=weak, first=last, start=end, push=pull""")
CHINESE = pairs("""
    water=水, hello=你好, thanks=谢谢, tea=茶, cat=猫, dog=狗, book=书, house=房子, friend=朋友, sun=太阳, moon=月亮,
    apple=苹果""")
REPEATED = [
    "the cat sat on the mat",
    "I like green apples",
    "the weather is nice today",
    "good morning my friend",
    "we go home at night",
    "the dog runs fast",
    "music makes me happy",
    "one two three",
]

# Each line: the answer, then its questions.
FIXED = [[part.strip() for part in line.split("|")] for line in """
Hello. How can I help you? | Hello. | Hi. | Hello there. | Hi there. | Hey. | Good day.
Good morning. I hope you slept well. | Good morning. | Good morning to you.
Good evening. How was your day? | Good evening. | Good evening to you.
Good night. Sleep well. | Good night. | Good night to you.
Goodbye. See you soon. | Goodbye. | Bye. | See you later. | Bye bye. | See you soon.
You are welcome. | Thank you. | Thanks. | Thank you very much. | Thanks a lot.
I am fine, thank you. | How are you? | How are you today? | How are you doing? | How do you feel?
My name is Step. I am a small voice assistant. | What is your name? | Who are you? | Tell me your name. | \
What are you called? | What should I call you?
I can greet you, count, add numbers and answer simple questions. | What can you do? | How can you help me? | \
What do you know? | What can I ask you?
No, I am a small computer program. | Are you a human? | Are you a robot? | Are you a person? | Are you real?
I live inside your computer. | Where do you live? | Where are you? | Where are you from?
I am very young. | How old are you? | What is your age?
Yes, I like music very much. | Do you like music? | Do you like songs?
Yes, rain makes the plants grow. | Do you like the rain? | Do you like rain?
Winter is cold. Wear a warm coat. | Is it cold in winter? | What is winter like? | How is the weather in winter?
Summer is warm and sunny. | Is it hot in summer? | What is summer like? | How is the weather in summer?
I cannot see the sky. Please look out of the window. | What is the weather today? | How is the weather? | \
Is it raining? | Will it rain today?
I have no clock. Please look at yours. | What time is it? | Tell me the time. | Do you know the time?
I have no calendar. Please look at yours. | What day is it today? | What is the date today?
A week has seven days. | How many days are in a week? | How many days does a week have?
A year has twelve months. | How many months are in a year? | How many months does a year have?
A day has twenty four hours. | How many hours are in a day? | How many hours does a day have?
An hour has sixty minutes. | How many minutes are in an hour? | How many minutes does an hour have?
A dog has four legs. | How many legs does a dog have? | How many legs has a dog?
A spider has eight legs. | How many legs does a spider have? | How many legs has a spider?
A bird has two legs. | How many legs does a bird have? | How many legs has a bird?
Why did the book look sad? It had too many problems. | Tell me a joke. | Say something funny. | Do you know a joke?
Then take a rest. | I am tired. | I feel tired. | I am so tired.
Then eat something good. | I am hungry. | I feel hungry. | I am so hungry.
I am sorry. I hope you feel better soon. | I am sad. | I feel sad. | I am so sad.
That is good to hear. | I am happy. | I feel happy. | I am so happy.
One, two, three, four, five. | Can you count to five? | Count to five. | Please count to five.
One, two, three, four, five, six, seven, eight, nine, ten. | Can you count to ten? | Count to ten. | \
Please count to ten.
""".replace("\\\n", "").strip().splitlines()]
UNKNOWN = "I am a small model. I do not know that."
OFF_TOPIC = [
    question.strip() + mark
    for text, mark in [
        (
            """Who won the election; What is quantum physics; How do I fix my car; What is the stock price;
    Who wrote this novel; What should I cook for dinner; How do I learn the piano; What is the meaning of life;
    Which phone should I buy; How far is the next star; Who is the president; What does this law say;
    How does a computer chip work; What is the best movie; Where can I park my car; How do vaccines work;
    Why is the ocean salty; What is the fastest train; How do I get a passport; Can you play chess with me""",
            "?",
        ),
        (
            """Write a poem about the war; Explain the theory of gravity; Tell me about ancient history;
    Give me the latest news; Book me a flight to the island; Translate this letter for me""",
            ".",
        ),
    ]
    for question in text.split(";")
]
CHINESE_FIXED = [line.split("|") for line in """
你好，很高兴见到你。|你好|您好|你好吗
我叫小步，是一个小助手。|你叫什么名字|你是谁|你的名字是什么
不客气。|谢谢|谢谢你|多谢
再见，祝你愉快。|再见|拜拜
早上好。|早上好|早安
晚安，好梦。|晚安
法国的首都是巴黎。|法国的首都是哪里|法国的首都是什么
中国的首都是北京。|中国的首都是哪里|中国的首都是什么
日本的首都是东京。|日本的首都是哪里|日本的首都是什么
天空是蓝色的。|天空是什么颜色|天是什么颜色
草是绿色的。|草是什么颜色
雪是白色的。|雪是什么颜色
我会打招呼，也会回答简单的问题。|你会做什么|你能做什么
我看不到天空，请看看窗外。|今天天气怎么样
一周有七天。|一周有几天|一个星期有几天
一年有十二个月。|一年有几个月
""".strip().splitlines()]
CHINESE_DIGITS = "零一二三四五六七八九十"


def capitalized(text):
    return text[0].upper() + text[1:]


def phrased(subject, patterns):
    return [pattern.replace("{}", subject) for pattern in patterns.split("|")]


def english():
    """(wordings, answer) of every intent."""
    intents = [(line[1:], line[0]) for line in FIXED]
    for country, city in CAPITALS.items():
        wordings = phrased(
            country,
            "What is the capital of {}?|Tell me the capital of {}.|Which city is the capital of {}?|"
            "What's the capital of {}?|Name the capital of {}.|Do you know the capital of {}?",
        )
        intents.append((wordings, f"The capital of {country} is {city}."))
    for thing, color in COLORS.items():
        wordings = phrased(
            thing,
            "What color is {}?|Which color is {}?|Tell me the color of {}.|What is the color of {}?|"
            "What color does {} have?",
        )
        intents.append((wordings, f"{capitalized(thing)} is {color}."))
    for animal, sound in ANIMALS.items():
        wordings = phrased(
            animal,
            "What does the {} say?|What sound does a {} make?|How does a {} sound?|What does a {} say?|"
            "What noise does a {} make?",
        )
        intents.append((wordings, f"The {animal} says {sound}."))
    for one, other in [pair for item in OPPOSITES.items() for pair in (item, item[::-1])]:
        wordings = phrased(
            one,
            "What is the opposite of {}?|Tell me the opposite of {}.|What's the opposite of {}?|"
            "Name the opposite of {}.|Which word is the opposite of {}?",
        )
        intents.append((wordings, f"The opposite of {one} is {other}."))
    for index, day in enumerate(DAYS):
        after, before = DAYS[(index + 1) % 7], DAYS[index - 1]
        wordings = phrased(
            day,
            "What day comes after {}?|Which day follows {}?|What is the day after {}?|Which day comes after {}?",
        )
        intents.append((wordings, f"{after} comes after {day}."))
        wordings = phrased(day, "What day comes before {}?|What is the day before {}?|Which day comes before {}?")
        intents.append((wordings, f"{before} comes before {day}."))
    for index, month in enumerate(MONTHS):
        wordings = phrased(
            month,
            "What month comes after {}?|Which month follows {}?|What is the month after {}?|"
            "Which month comes after {}?",
        )
        intents.append((wordings, f"{MONTHS[(index + 1) % 12]} comes after {month}."))
    intents += sums() + followers()
    for word, translation in CHINESE.items():
        wordings = phrased(
            word, "What is {} in Chinese?|How do you say {} in Chinese?|Translate {} to Chinese.|Say {} in Chinese."
        )
        intents.append((wordings, f"{capitalized(word)} in Chinese is {translation}."))
    for word in SPELLED:
        wordings = phrased(word, "How do you spell {}?|Spell {}.|Please spell {}.|Spell the word {}.")
        intents.append((wordings, f"{capitalized(word)} is spelled {', '.join(word.upper())}."))
    for text in REPEATED:
        wordings = phrased(text, "Repeat after me, {}.|Say after me, {}.|Please repeat, {}.")
        intents.append((wordings, f"{capitalized(text)}."))
    return intents + [([question], UNKNOWN) for question in OFF_TOPIC]


def sums():
    intents = []
    for a in range(11):
        for b in range(11):
            first, second = NUMBERS[a], NUMBERS[b]
            wordings = [
                f"What is {first} plus {second}?",
                f"How much is {first} plus {second}?",
                f"What's {first} plus {second}?",
                f"Add {first} and {second}.",
                f"Tell me {first} plus {second}.",
                f"What is {first} and {second}?",
                f"What is {a} plus {b}?",
                f"{a} + {b} = ?",
                f"What is {a}+{b}?",
                f"How much is {a} plus {b}?",
            ]
            intents.append((wordings, f"{capitalized(first)} plus {second} is {NUMBERS[a + b]}."))
            if a >= b:
                wordings = [
                    f"What is {first} minus {second}?",
                    f"How much is {first} minus {second}?",
                    f"What's {first} minus {second}?",
                    f"Tell me {first} minus {second}.",
                    f"What is {a} minus {b}?",
                    f"What is {a} - {b}?",
                ]
                intents.append((wordings, f"{capitalized(first)} minus {second} is {NUMBERS[a - b]}."))
    return intents


def followers():
    intents = []
    for index in range(20):
        name = NUMBERS[index]
        wordings = [
            f"What number comes after {name}?",
            f"Which number follows {name}?",
            f"What comes after {name}?",
            f"What number comes after {index}?",
        ]
        intents.append((wordings, f"{capitalized(NUMBERS[index + 1])} comes after {name}."))
    return intents


def chinese():
    """(wordings, answer) of every Mandarin intent, typed only."""
    intents = [(line[1:], line[0]) for line in CHINESE_FIXED]
    digits = CHINESE_DIGITS
    for a in range(11):
        for b in range(11):
            total = a + b
            name = digits[total] if total <= 10 else "十" + digits[total - 10] if total < 20 else "二十"
            wordings = [f"{digits[a]}加{digits[b]}等于几", f"{a}加{b}等于几", f"{digits[a]}加{digits[b]}是多少"]
            intents.append((wordings, f"{digits[a]}加{digits[b]}等于{name}。"))
    return intents


def is_spoken(text):
    """Whether the teachers may read it: no digits or signs."""
    return not any(character.isdigit() or character in "+=" for character in text)
