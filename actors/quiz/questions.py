"""What is asked: general knowledge that does not change. The right answer stands first here, and anywhere in a game."""

from __future__ import annotations

import random
from collections.abc import Collection

from .game import Question

BANK: tuple[tuple[str, str, str, str, str], ...] = (
    ("Which planet is the largest in our solar system?", "Jupiter", "Saturn", "Neptune", "Earth"),
    ("What is the chemical symbol of gold?", "Au", "Ag", "Go", "Gd"),
    ("How many sides does a hexagon have?", "6", "5", "7", "8"),
    (
        "Which is the longest bone in the human body?",
        "The thigh bone",
        "The shin bone",
        "The upper arm",
        "The collarbone",
    ),
    ("Which ocean is the largest?", "The Pacific", "The Atlantic", "The Indian Ocean", "The Arctic Ocean"),
    ("Who wrote “Hamlet”?", "William Shakespeare", "Christopher Marlowe", "Charles Dickens", "John Milton"),
    ("What is the capital of Australia?", "Canberra", "Sydney", "Melbourne", "Perth"),
    ("In which year did the Berlin Wall fall?", "1989", "1987", "1991", "1993"),
    ("Which gas makes up most of the air around us?", "Nitrogen", "Oxygen", "Carbon dioxide", "Argon"),
    ("How many legs does a spider have?", "8", "6", "10", "12"),
    ("Who painted the “Mona Lisa”?", "Leonardo da Vinci", "Michelangelo", "Raphael", "Sandro Botticelli"),
    ("What is the square root of 144?", "12", "14", "11", "16"),
    ("Which country has the Great Barrier Reef?", "Australia", "Fiji", "Indonesia", "The Philippines"),
    ("From what do bees make honey?", "Nectar", "Sap", "Resin", "Wax"),
    ("Which planet is the closest to the Sun?", "Mercury", "Venus", "Mars", "Earth"),
    ("How many strings does a violin have?", "4", "5", "6", "8"),
    ("What is the capital of Canada?", "Ottawa", "Toronto", "Montréal", "Vancouver"),
    (
        "Who was the first person to walk on the Moon?",
        "Neil Armstrong",
        "Buzz Aldrin",
        "Yuri Gagarin",
        "Michael Collins",
    ),
    ("Which element has the atomic number 1?", "Hydrogen", "Helium", "Oxygen", "Carbon"),
    ("How many players of one team are on the field in football (soccer)?", "11", "10", "9", "12"),
    ("Which is the smallest prime number?", "2", "1", "3", "0"),
    ("On which continent lies the Sahara?", "Africa", "Asia", "Australia", "South America"),
    ("What is the hardest natural mineral?", "Diamond", "Quartz", "Topaz", "Corundum"),
    (
        "Who formulated the general theory of relativity?",
        "Albert Einstein",
        "Isaac Newton",
        "Niels Bohr",
        "Marie Curie",
    ),
    ("How many hearts does an octopus have?", "3", "1", "2", "8"),
    ("Which city is known for its canals and gondolas?", "Venice", "Florence", "Naples", "Verona"),
    ("At sea level, at how many degrees Celsius does water boil?", "100", "90", "120", "80"),
    ("Which animal is the fastest on land?", "The cheetah", "The lion", "The pronghorn", "The greyhound"),
    ("In which country did the Olympic Games of antiquity take place?", "Greece", "Italy", "Egypt", "Turkey"),
    ("How many bits are in a byte?", "8", "4", "16", "10"),
    ("Which instrument has 88 keys?", "The piano", "The accordion", "The harpsichord", "The celesta"),
    ("What is the capital of Japan?", "Tokyo", "Kyoto", "Osaka", "Nagoya"),
    ("Which organ of the body makes insulin?", "The pancreas", "The liver", "The kidneys", "The spleen"),
    ("Who discovered penicillin?", "Alexander Fleming", "Louis Pasteur", "Robert Koch", "Edward Jenner"),
    ("Which river flows through Cairo?", "The Nile", "The Euphrates", "The Niger", "The Congo"),
    ("How many minutes are in a day?", "1,440", "1,240", "1,640", "2,400"),
    (
        "What is the name of the point in the sky directly overhead?",
        "The zenith",
        "The nadir",
        "The equinox",
        "The meridian",
    ),
    ("Which bird is the largest living one?", "The ostrich", "The emu", "The albatross", "The condor"),
    ("In a right-angled triangle, what is the longest side called?", "Hypotenuse", "Cathetus", "Radius", "Median"),
    ("Which mountain is the highest above the sea?", "Mount Everest", "K2", "Kilimanjaro", "Mont Blanc"),
)


def draw(number: int, without: Collection[str] = ()) -> list[Question]:
    """So many questions, none twice, the choices shuffled; those whose texts are in `without` only if there is need."""
    fresh = [row for row in BANK if row[0] not in without]
    known = [row for row in BANK if row[0] in without]
    chosen = random.sample(fresh, min(number, len(fresh)))
    chosen += random.sample(known, min(number - len(chosen), len(known)))
    questions = []
    for text, *choices in chosen:
        right = choices[0]
        random.shuffle(choices)
        questions.append(Question(text, tuple(choices), choices.index(right)))
    return questions
