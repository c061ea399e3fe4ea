"""A live quiz: what actors are for. One game is one value in a store; every player's actor follows it.

game.py is the game and its rules, table.py where it lies, players.py the actors, questions.py what is asked.
"""
